"""A label table kept as a product, so that a step on all its rows need touch but a few of them.

``W = V U + 1 shift^T``: a step multiplies U by a [D, D] matrix and moves the shift, which moves every row of
W, and only the rows of V that are positives in the batch change. The losses know W by its mean row and its
centred Gram matrix alone, and both follow a step in O(D^2) per query. Source: Vincent, de Brebisson and
Bouthillier, NeurIPS 2015, arXiv 1412.7091; the shift, and moments about the mean, are what losses on the
scores' mean and variance need beyond it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives.statistics.label_moments import label_moments

__all__ = ["FactoredState", "blocks", "factor", "plain_rows", "plain_table", "table_moments"]

# 16 MB of float32: enough for a product at full speed, little beside a table of millions of rows.
BLOCK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class FactoredState:
    """L rows of D numbers as ``factor @ mix + shift``; all but the factor in float64.

    Attributes:
        factor: V, [L, D] float32 or float64; steps change a few of its rows in place.
        mix: U, [D, D].
        inverse: Of the mix.
        shift: [D].
        mean: [D], of the L rows.
        scatter: [D, D], ``sum_j (w_j - mean)(w_j - mean)^T``.
    """

    factor: Tensor
    mix: Tensor
    inverse: Tensor
    shift: Tensor
    mean: Tensor
    scatter: Tensor

    @property
    def num_labels(self) -> int:
        """L."""
        return len(self.factor)

    @property
    def dimension(self) -> int:
        """D."""
        return self.factor.shape[1]

    @property
    def condition(self) -> float:
        """``|U| |U^-1| / D`` in Frobenius norms: 1 for U = 1, at most the condition number; O(D^2)."""
        return float(torch.linalg.vector_norm(self.mix) * torch.linalg.vector_norm(self.inverse)) / max(
            self.dimension, 1
        )


def factor(table: Tensor) -> FactoredState:
    """A table [L, D] as a state that takes it over: it is not copied, and steps will change it.

    One pass of L D^2 for the moments.

    Raises:
        ConfigError: When it is no [L, D] table of float32 or float64 with at least one row.
    """
    if table.ndim != 2 or not table.numel() or table.dtype not in (torch.float32, torch.float64):
        raise ConfigError(
            "expected a label table [L, D] of float32 or float64 with L and D at least 1, got "
            f"{list(table.shape)} of {table.dtype}"
        )
    # V = W, U = 1, shift = 0. All [D, D] numbers are float64: they are small, and the rounding of every step
    # adds up in them, while a step changes few rows of V.
    table = table.detach()
    identity = torch.eye(table.shape[1], dtype=torch.float64, device=table.device)
    mean, scatter = _moments(table)
    return FactoredState(table, identity, identity.clone(), torch.zeros_like(mean), mean, scatter)


def plain_rows(state: FactoredState, ids: Tensor | slice) -> Tensor:
    """Some rows of the label table, [n, D] in the factor's type."""
    part = state.factor[ids]
    return torch.addmm(state.shift.to(part.dtype), part, state.mix.to(part.dtype))


def plain_table(state: FactoredState, dtype: torch.dtype | None = None) -> Tensor:
    """The label table as a plain matrix [L, D], a new one; L D^2."""
    table = torch.empty_like(state.factor, dtype=dtype or state.factor.dtype)
    for part in blocks(state.factor):
        table[part] = plain_rows(state, part).to(table.dtype)
    return table


def table_moments(state: FactoredState) -> tuple[Tensor, Tensor]:
    """Mean [D] and scatter [D, D] computed from all L rows, L D^2: what the state's own should be."""
    mean, scatter = _moments(state.factor)
    # An affine map of the rows, v -> U^T v + shift: a shift does not change what is centred about the mean.
    return mean @ state.mix + state.shift, state.mix.T @ scatter @ state.mix


def blocks(table: Tensor) -> Iterator[slice]:
    """Slices over the rows of a table, small enough to work on one at a time."""
    size = max(1, BLOCK_ELEMENTS // table.shape[1])
    return (slice(start, start + size) for start in range(0, len(table), size))


def _moments(table: Tensor) -> tuple[Tensor, Tensor]:
    # The last dimension is the offsets', which a head has not.
    _, mean, scatter = label_moments(table, None, None)
    return mean[:-1].clone(), scatter[:-1, :-1].clone()
