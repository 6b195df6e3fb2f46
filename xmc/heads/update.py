"""What a step makes of the mix, its inverse and the scatter: one way for B <= D queries, one for more.

With H [B, D] the queries, c the curvature of each row's loss and A = H^T diag(c) H, the mix becomes
U (1 - lr A). Its inverse follows by a solve of [B, B] where B <= D, and anew from the mix where B > D. The
centred table X = W - 1 mean^T moves by the centred gradient G = X A + (Y - row means)^T H, so that the
scatter becomes

    X^T X - lr (T^T H + H^T T) + lr^2 G^T G,   T = diag(c) H X^T X + Y X.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xmc.heads.state import FactoredState
from xmc.scoring import Positives

__all__ = ["Batch", "SmallUpdate", "folding_update", "narrow_update", "wide_update"]


@dataclass(frozen=True)
class Batch:
    """A batch of B queries with P positives of n labels, as a step needs it; float64.

    Y [B, L] is the sparse part of the gradient by the scores, W the table, X the centred table.
    """

    queries: Tensor  # H [B, D]
    mixed: Tensor  # H U^T [B, D]
    curved: Tensor  # diag(c) H [B, D]
    base: Tensor  # [B], of the gradient by the scores: what all labels share
    pull: Tensor  # [B], sum of the gradient by the scores over labels
    sums: Tensor  # [B], sum of Y over labels
    centred: Tensor  # T [B, D]
    sparse: Tensor  # Y X [B, D]
    sparse_twice: Tensor  # Y Y^T H [B, D]
    shifts: Tensor  # c * (H shift) [B]
    mean: Tensor  # [D], of the rows of W
    pairs: Positives
    labels: Tensor  # [n], ascending
    columns: Tensor  # [P], each pair's position in labels
    grad_pairs: Tensor  # the values of Y [P]
    grad_labels: Tensor  # Y^T H at the n labels [n, D]

    @property
    def gradient(self) -> Tensor:
        """Of the loss by the queries, [B, D]: gradient by the scores times W."""
        return torch.addr(self.centred, self.pull, self.mean)


@dataclass(frozen=True)
class SmallUpdate:
    """The mix, its inverse and the scatter after a step [D, D]; and H times the new inverse [B, D]."""

    mix: Tensor
    inverse: Tensor
    solved: Tensor
    scatter: Tensor


def narrow_update(state: FactoredState, batch: Batch, rate: float) -> SmallUpdate:
    """For B <= D: seven products of B D^2, four of B^2 D and a solve of B^3 / 3."""
    queries, curved = batch.queries, batch.curved
    # A = H^T (C H) with C = diag(c), so by Woodbury's identity
    # (1 - r A)^-1 = 1 + r (C H)^T (1 - r H (C H)^T)^-1 H, where the inverse is [B, B].
    system = torch.eye(len(queries), dtype=queries.dtype, device=queries.device)
    system.addmm_(queries, curved.T, alpha=-rate)
    # It is also H times the new inverse: H (1 - r A)^-1 = (1 - r H (C H)^T)^-1 H, by pushing H through.
    solved = _solve(system, queries @ state.inverse)  # [B, D]
    inverse = torch.addmm(state.inverse, curved.T, solved, alpha=rate)
    # U A = (H U^T)^T (C H): B D^2, and A itself is not needed.
    mix = torch.addmm(state.mix, batch.mixed.T, curved, alpha=-rate)
    # dO dO^T less Y Y^T, for dO centred over the labels, C H X^T + Y - sums 1^T / L: with X^T 1 = 0 it is
    # C H T^T + Y X (C H)^T - sums sums^T / L. Y Y^T itself is not formed: Y Y^T H is known.
    gram = torch.addmm(curved @ batch.centred.T, batch.sparse, curved.T)  # [B, B]
    gram.addr_(batch.sums, batch.sums, alpha=-1 / state.num_labels)
    moved = torch.addmm(batch.sparse_twice, gram, queries)  # dO dO^T H [B, D]
    return SmallUpdate(mix, inverse, solved, _scatter(state, batch, rate, moved))


def wide_update(state: FactoredState, batch: Batch, rate: float) -> SmallUpdate:
    """For B > D: four products of B D^2, four of D^3 and an inverse; nothing of B^2."""
    queries = batch.queries
    # With more queries than dimensions everything is taken to [D, D] at once, and nothing to [B, B].
    curve = queries.T @ batch.curved  # A [D, D]
    mix = torch.addmm(state.mix, state.mix, curve, alpha=-rate)
    inverse = _inverse(mix)
    scatter = _wide_scatter(state, batch, rate, curve)
    return SmallUpdate(mix, inverse, queries @ inverse, scatter)


def folding_update(state: FactoredState, batch: Batch, rate: float) -> SmallUpdate:
    """For a step that multiplies the table out: the mix alone, which need not be invertible."""
    curve = batch.queries.T @ batch.curved
    mix = torch.addmm(state.mix, state.mix, curve, alpha=-rate)
    # The factor takes this mix in, so U = 1 and H U^-1 = H after the step.
    identity = torch.eye(len(mix), dtype=mix.dtype, device=mix.device)
    return SmallUpdate(mix, identity, batch.queries, _wide_scatter(state, batch, rate, curve))


def _scatter(state: FactoredState, batch: Batch, rate: float, moved: Tensor) -> Tensor:
    """``moved`` is dO dO^T H [B, D], dO the gradient by the scores less its mean over labels."""
    # G^T G = H^T dO dO^T H is symmetric, so what is added to the scatter is a matrix and its transpose.
    half = torch.add(moved * (rate * rate / 2), batch.centred, alpha=-rate)
    product = batch.queries.T @ half
    return state.scatter + product + product.T


def _wide_scatter(state: FactoredState, batch: Batch, rate: float, curve: Tensor) -> Tensor:
    # The terms of G^T G = H^T dO dO^T H one by one, each as a product of [D, D] matrices:
    # A S A + A (H^T Y X)^T + H^T Y X A + H^T Y Y^T H - (H^T sums)(H^T sums)^T / L, S the scatter.
    cross = batch.queries.T @ batch.sparse  # H^T Y X [D, D]
    first = torch.addmm(cross, curve, state.scatter)  # H^T T
    mean = batch.sums @ batch.queries  # H^T sums [D]
    second = torch.addmm(batch.queries.T @ batch.sparse_twice, curve, first.T).addmm_(cross, curve)
    second.addr_(mean, mean, alpha=-1 / state.num_labels)
    half = second.mul_(rate * rate / 2).sub_(first, alpha=rate)
    return state.scatter + half + half.T


def _solve(system: Tensor, right: Tensor) -> Tensor:
    """NaN where the system is singular, which the guard of the step sees."""
    solved, info = torch.linalg.solve_ex(system, right)
    return solved if int(info) == 0 else torch.full_like(right, torch.nan)


def _inverse(matrix: Tensor) -> Tensor:
    inverse, info = torch.linalg.inv_ex(matrix)
    return inverse if int(info) == 0 else torch.full_like(matrix, torch.nan)
