from __future__ import annotations

import pytest
import torch

from xmc.errors import ConfigError
from xmc.objectives.objective import reduce_rows


def test_rows_are_kept_summed_or_averaged() -> None:
    rows = torch.tensor([1.0, 2.0, 6.0])
    assert reduce_rows(rows, "none") is rows
    assert reduce_rows(rows, "sum") == 9
    assert reduce_rows(rows, "mean") == 3


def test_no_rows_average_to_zero() -> None:
    assert reduce_rows(torch.zeros(0), "mean") == 0


def test_other_words_are_an_error() -> None:
    with pytest.raises(ConfigError, match="expected reduction to be 'mean', 'sum' or 'none', got 'median'"):
        reduce_rows(torch.zeros(1), "median")  # type: ignore[arg-type]
