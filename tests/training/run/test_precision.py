from __future__ import annotations

import pytest
import torch

from xmc.errors import ConfigError
from xmc.training.run.precision import mixed_precision


def test_precision_follows_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert mixed_precision("auto") == mixed_precision("fp32") == "no"
    with pytest.raises(ConfigError, match="emulates"):
        mixed_precision("bf16")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert mixed_precision("auto") == mixed_precision("bf16") == "bf16"
