"""From one loss per row to the loss of a batch."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from xmc.errors import ConfigError

__all__ = ["Reduction", "reduce_rows"]

Reduction = Literal["mean", "sum", "none"]


def reduce_rows(rows: Tensor, reduction: Reduction) -> Tensor:
    """The mean or sum of row losses [B], or the rows themselves for "none".

    Raises:
        ConfigError: For any other ``reduction``.
    """
    if reduction == "none":
        return rows
    if reduction == "sum":
        return rows.sum()
    if reduction == "mean":
        return rows.sum() / max(len(rows), 1)
    raise ConfigError(f"expected reduction to be 'mean', 'sum' or 'none', got {reduction!r}")
