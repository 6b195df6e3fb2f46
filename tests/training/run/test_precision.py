from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from xmc.errors import ConfigError
from xmc.training import train
from xmc.training.run.precision import autocast_in, mixed_precision


def test_precision_follows_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert mixed_precision("auto") == mixed_precision("fp32") == "no"
    with pytest.raises(ConfigError, match="emulates"):
        mixed_precision("bf16")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert mixed_precision("auto") == mixed_precision("bf16") == "bf16"


@pytest.mark.parametrize("amx", [False, True])
def test_encoders_run_in_the_precision_that_was_asked_for(monkeypatch, amx):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    one = torch.ones(2, 2)
    for precision, dtype in (("fp32", torch.float32), ("auto", torch.bfloat16 if amx else torch.float32)):
        with autocast_in(precision, torch.device("cpu"))():
            assert (one @ one).dtype == dtype
    assert (one @ one).dtype == torch.float32


@pytest.mark.parametrize("theirs", ["no", "bf16"])
def test_a_process_that_was_set_up_for_another_precision_trains(config, changed, monkeypatch, theirs):
    AcceleratorState._reset_state()
    try:
        Accelerator(cpu=True, mixed_precision=theirs)
        for amx in (False, True):
            monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
            result = train(changed(config, run={"overwrite": True}, training={"max_steps": 1}))
            assert result.num_steps == 1
    finally:
        AcceleratorState._reset_state()
