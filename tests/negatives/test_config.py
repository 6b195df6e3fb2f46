from __future__ import annotations

from typing import Any

import pytest

from xmc.errors import ConfigError
from xmc.negatives import NegativesConfig


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "some"}, "negatives.mode: expected 'all' or 'sampled', got 'some'"),
        ({"mode": "sampled", "uniform": 0}, "negatives.uniform: expected at least 1 label, got 0"),
        ({"mode": "sampled", "uniform": -3}, "negatives.uniform: expected at least 1 label, got -3"),
    ],
)
def test_options_that_cannot_work_are_errors(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        NegativesConfig(**options)


def test_all_labels_need_no_draw() -> None:
    assert NegativesConfig(mode="all", uniform=0).mode == "all"
