from __future__ import annotations

from typing import Any

import pytest

from xmc.encoders import EncoderConfig
from xmc.errors import ConfigError


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "lstm"},
        {"static_init": "random"},
        {"query_length": 0},
        {"dropout": 1.0},
        {"label_dropout": -0.1},
    ],
)
def test_bad_values_are_named(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        EncoderConfig(**values)
