"""Optimisers of tables by rows: cost and state follow the rows that a step touches, not the table's size.

Adam keeps two more tables, and walks all three at every step. A step of a large catalogue touches a part of
the token vectors and few of the labels' own: the rest stays as it is, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn

from xmc.distributed import World
from xmc.training.learned.optimisers.blocks import GPU_ROWS
from xmc.training.learned.optimisers.gathered_rows import rows_over_ranks
from xmc.training.learned.optimisers.stochastic_rounding import StochasticRounding

__all__ = [
    "RowGradients",
    "RowOptimiser",
    "RowRMSProp",
    "RowRule",
    "SparseGradient",
    "TouchedRows",
    "row_rmsprop_",
    "subtract_rows_",
]

_FADING = 0.999
_EPSILON = 1e-12


@dataclass(eq=False)
class TouchedRows:
    """Distinct rows int64 [u] of a table, and ``scale`` times their gradients [u, D]."""

    rows: Tensor
    gradient: Tensor
    scale: float = 1.0
    rounding: StochasticRounding | None = None
    """How a table of bfloat16 takes a step; None for one of float32."""

    @cached_property
    def lengths(self) -> Tensor:
        """The length of each row's gradient before ``scale``, [u]: a pass over all of it, taken once."""
        lengths: Tensor = torch.linalg.vector_norm(self.gradient, dim=1)
        return lengths

    @property
    def squares(self) -> Tensor:
        """The squared length of each row's gradient, [u]."""
        return self.lengths.mul(self.scale).square_()


class RowGradients(Protocol):
    """A table, and the gradients of the rows that a step touched."""

    @property
    def table(self) -> Tensor:
        """[R, D], changed in place by an optimiser."""
        ...

    def forget(self) -> None:
        """Forget the gradients of the step before."""
        ...

    def gather(self, world: World) -> tuple[Tensor, Tensor] | None:
        """Distinct rows int64 [u] that any rank touched, and the sums of their gradients [u, D].

        Equal on every rank, which all call it; None where no row was touched.
        """
        ...


class SparseGradient:
    """A leaf whose ``.grad`` is a sparse tensor of rows, as a bag of tokens leaves it.

    Args:
        leaf: [R, D].
        table: What changes by it, where that is not the leaf itself.
    """

    def __init__(self, leaf: Tensor, table: Tensor | None = None) -> None:
        self.leaf, self._table = leaf, leaf if table is None else table

    @property
    def table(self) -> Tensor:
        """The values [R, D]."""
        return self._table.detach()

    def forget(self) -> None:
        """See :class:`RowGradients`."""
        self.leaf.grad = None

    @torch.no_grad()
    def gather(self, world: World) -> tuple[Tensor, Tensor] | None:
        """See :class:`RowGradients`."""
        gradient = self.leaf.grad
        found = None
        if gradient is not None:
            found = _coalesced(gradient)
        return found if world.size == 1 else rows_over_ranks(found, self.table, world)


class RowRule(Protocol):
    """How touched rows change, and what is kept of earlier steps."""

    def step(self, table: Tensor, touched: TouchedRows, rate: float) -> None:
        """Change the touched rows of ``table`` [R, D] in place."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What is kept, themselves: a checkpoint is copied into them."""
        ...


class RowOptimiser:
    """A rule applied to the touched rows of one table; see :class:`.optimiser.Optimiser`.

    Args:
        source: The table, on the device where it stays, and its gradients.
        rule: How rows change.
        peak_rate: The rule's rate at the peak of the schedule.
        clipped: Whether the gradient counts towards the norm that is clipped.
        decay: The share of a row that goes when it is touched, at the peak of the schedule.
        rounding: How the table takes a step, where it is one of bfloat16.
    """

    dense: Sequence[nn.Parameter] = ()

    def __init__(
        self,
        source: RowGradients,
        rule: RowRule,
        peak_rate: float,
        *,
        clipped: bool = False,
        decay: float = 0.0,
        rounding: StochasticRounding | None = None,
    ) -> None:
        self.source, self.rule, self.peak_rate, self.decay = source, rule, peak_rate, decay
        self._clipped, self.rounding = clipped, rounding
        self._touched: TouchedRows | None = None

    def zero_grad(self) -> None:
        """See :class:`.optimiser.Optimiser`."""
        self.source.forget()
        self._touched = None

    @torch.no_grad()
    def gather(self, world: World) -> None:
        """See :class:`.optimiser.Optimiser`."""
        found = self.source.gather(world)
        self._touched = None if found is None else TouchedRows(*found, rounding=self.rounding)

    @torch.no_grad()
    def clipped_square(self) -> Tensor | None:
        """See :class:`.optimiser.Optimiser`."""
        return self._touched.squares.sum() if self._clipped and self._touched is not None else None

    def shrink(self, scale: float) -> None:
        """See :class:`.optimiser.Optimiser`."""
        if self._clipped and self._touched is not None:
            self._touched.scale = scale

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """See :class:`.optimiser.Optimiser`; a row that no batch touched stays as it is."""
        if self._touched is None:
            return
        table, rows = self.source.table, self._touched.rows
        if self.rounding is not None:
            self.rounding.begin()
        if self.decay and self.rounding is not None:
            by = torch.full((len(rows),), self.decay * factor, device=table.device)
            self.rounding.subtract_(table, rows, by, table[rows].float())
        elif self.decay:
            table.index_copy_(0, rows, table[rows].mul_(1 - self.decay * factor))
        self.rule.step(table, self._touched, self.peak_rate * factor)
        self._touched = None

    def tensors(self) -> dict[str, Tensor]:
        """What the rule keeps, and how many steps have drawn noise."""
        kept = self.rule.tensors()
        return kept if self.rounding is None else {**kept, "rounded_steps": self.rounding.steps}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """See :class:`.optimiser.Optimiser`."""
        for name, mine in self.tensors().items():
            mine.copy_(tensors[name])


@torch.no_grad()
def row_rmsprop_(table: Tensor, squares: Tensor, steps: Tensor, touched: TouchedRows, rate: float) -> None:
    """Take one step on some rows of a table, in place, each of about the same length however often it comes.

    ``s_r = 0.999 s_r + 0.001 mean_d g_rd^2`` and ``table[r] -= rate * g_r / sqrt(s_r / (1 - 0.999^t_r))``,
    where t_r counts the steps of row r: Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1) without a first
    moment, with one second moment a row instead of one a component, and with the bias correction by the row's
    own count, so that a row that comes late begins as the others did.

    Args:
        table: [R, D].
        squares: [R] float32, fading means of squared gradients.
        steps: [R] float32, how often each row was touched.
        touched: The rows and their gradients.
        rate: How far a component moves, in the root mean square over a row's first step.
    """
    rows = touched.rows
    taken = steps[rows] + 1
    steps[rows] = taken
    mean = squares[rows].lerp_(touched.squares / table.shape[1], 1 - _FADING)
    squares[rows] = mean
    factors = rate * touched.scale / ((mean / (1 - _FADING**taken)).sqrt_() + _EPSILON)
    subtract_rows_(table, rows, factors, touched.gradient, touched.rounding)


class RowRMSProp:
    """What :func:`row_rmsprop_` keeps of a table [R, D]; see :class:`RowRule`."""

    def __init__(self, table: Tensor) -> None:
        self.squares = torch.zeros(len(table), device=table.device)
        self.steps = torch.zeros_like(self.squares)

    def step(self, table: Tensor, touched: TouchedRows, rate: float) -> None:
        """See :class:`RowRule`."""
        row_rmsprop_(table, self.squares, self.steps, touched, rate)

    def tensors(self) -> dict[str, Tensor]:
        """The fading mean of squared gradients and the count of steps of each row, each [R]."""
        return {"squares": self.squares, "steps": self.steps}


def subtract_rows_(
    table: Tensor,
    rows: Tensor,
    factors: Tensor,
    gradient: Tensor,
    rounding: StochasticRounding | None = None,
) -> None:
    """``table[rows] -= factors[:, None] * gradient``, in place and without a copy of its size.

    Args:
        table: [R, D].
        rows: [u] int64, distinct.
        factors: [u].
        gradient: [u, D].
        rounding: How a table of bfloat16 is changed.
    """
    if rounding is not None:
        return rounding.subtract_(table, rows, factors, gradient)
    by_device = _subtract_product_ if table.device.type == "cpu" else _subtract_blocks_
    by_device(table, rows, factors.to(gradient.dtype), gradient)


def _subtract_product_(table: Tensor, rows: Tensor, factors: Tensor, gradient: Tensor) -> None:
    """By a product with the sparse matrix [R, u] of the factors, which torch adds to the table in place.

    It takes one row after the other, which is read and written once; with rows that are gathered, changed
    and scattered again it takes twice the time, and gives the same bits.
    """
    place = torch.stack([rows, torch.arange(len(rows))])
    size = len(table), len(rows)
    table.addmm_(
        torch.sparse_coo_tensor(place, -factors, size, is_coalesced=True, check_invariants=False), gradient
    )


def _subtract_blocks_(table: Tensor, rows: Tensor, factors: Tensor, gradient: Tensor) -> None:
    """By gathered rows: on a GPU a product would go over the whole table."""
    parts = zip(*(x.split(GPU_ROWS) for x in (rows, factors[:, None], gradient)), strict=True)
    for chosen, by, values in parts:
        table.index_copy_(0, chosen, table.index_select(0, chosen).addcmul_(by, values, value=-1))


def _coalesced(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of a sparse gradient, distinct and ascending, and their values."""
    rows = gradient._indices()[0]
    # Autograd forgets that the one gradient of a step was coalesced, and doing it again takes a copy.
    if bool((rows.diff() > 0).all()):
        return rows, gradient._values()
    gradient = gradient.coalesce()
    return gradient.indices()[0], gradient.values()
