"""Where a sum of sigmoids meets its target, for many rows at once, from few evaluations of the sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["SigmoidSums", "find_thresholds", "sigmoid_sums"]

SURE_STEP = 1e-6  # a step so small that even the first evaluation is final


@dataclass(frozen=True)
class SigmoidSums:
    """Weighted sums over a row's scores x at a threshold t.

    With ``z = alpha * (x + t)`` and ``p = sigmoid(z)``, the sum of p is ``count + below - above``. Told apart
    like this, ``sum p - k`` keeps its precision even where every p is almost 0 or almost 1.

    Attributes:
        below: [B] float64, the sum of p over z < 0.
        above: [B] float64, the sum of 1 - p over z >= 0.
        count: [B] float64, the weight of z >= 0.
        slope: [B] float64, the sum of p (1 - p).
    """

    below: Tensor
    above: Tensor
    count: Tensor
    slope: Tensor

    def stacked(self) -> Tensor:
        """[4, B], for adding up over tiles and ranks."""
        return torch.stack([self.below, self.above, self.count, self.slope])


def sigmoid_sums(scaled: Tensor, weights: Tensor | None) -> SigmoidSums:
    """The sums of one tile.

    Args:
        scaled: [B, t], z; overwritten.
        weights: [B, t], or None for 1.
    """
    # Tails apart: sigmoid(-|z|) is p left of 0 and 1 - p right of it, small numbers with all their digits.
    # From p itself 1 - p would have none left at z = 20, and the sum would be off by L times that.
    tail = scaled.abs().neg_().sigmoid_()  # the smaller of p and 1 - p
    weighted = tail if weights is None else tail * weights
    above = scaled.ge_(0.0) if weights is None else scaled.ge_(0.0).mul_(weights)
    total = weighted.sum(1).double()
    # p (1 - p) = tail (1 - tail) on either side.
    slope = total - torch.linalg.vecdot(tail, weighted).double()
    above_sum = torch.linalg.vecdot(tail, above).double()
    # A difference of the two sums, which rounding may take below 0.
    return SigmoidSums((total - above_sum).clamp_min(0.0), above_sum, above.sum(1).double(), slope)


def find_thresholds(
    evaluate: Callable[[Tensor], SigmoidSums],
    k: Tensor,
    alpha: float,
    bracket: tuple[Tensor, Tensor],
    start: Tensor,
    *,
    tolerance: float,
    max_evaluations: int,
) -> tuple[Tensor, Tensor]:
    """The thresholds t with ``sum_j p_j = k``, by Newton's method on a logarithm, kept inside a bracket.

    The step solves ``log(below + (count - k)+) = log(above + (k - count)+)``, which is linear in t for equal
    scores far from 0 and on a plateau between two groups of scores alike. A step that leaves the bracket, or
    is more than half the last but one, gives way to bisection. A row whose step is within tolerance takes
    that step and is left alone from then on, whatever the other rows do.

    Args:
        evaluate: The sums at thresholds [B].
        k: [B] float64, the targets.
        alpha: The steepness.
        bracket: [B] float64 twice, below and above the roots.
        start: [B] float64, first guesses.
        tolerance: Of ``alpha`` times a step; the error after the last step is about its square.
        max_evaluations: At most this many calls of ``evaluate``.

    Returns:
        The thresholds [B] and the slopes ``sum p (1 - p)`` there [B], both float64.
    """
    low, high = bracket
    threshold = torch.minimum(torch.maximum(start, low), high)
    slope = torch.zeros_like(threshold)
    active = torch.ones_like(threshold, dtype=torch.bool)
    last = (torch.full_like(threshold, torch.inf),) * 2
    earlier: tuple[Tensor, Tensor] | None = None
    for _ in range(max_evaluations):
        sums = evaluate(threshold)
        # sum p grows with t, so its sign against k says which end of the bracket t replaces.
        excess, step = _newton_step(sums, k, alpha)
        low = torch.where(excess <= 0, threshold, low)
        high = torch.where(excess >= 0, threshold, high)
        enough = SURE_STEP if earlier is None else tolerance
        settled = ((alpha * step).abs() <= enough) | (excess == 0)
        moved = threshold + torch.where(excess == 0, 0.0, step)
        # The safeguards of Dekker and Brent: within the bracket, and steps that shrink.
        newton = (moved > low) & (moved < high) & (step.abs() <= last[0] / 2)
        moved = torch.where(newton, moved, torch.where(settled, moved.clamp(low, high), (low + high) / 2))
        last = last[1], (moved - threshold).abs()
        # The sums are of the threshold before its last step: the slope goes along, or the implicit derivative
        # would be one step behind.
        slope = torch.where(active, _slope_at(moved, threshold, sums.slope, earlier, alpha), slope)
        earlier = threshold, sums.slope
        threshold = torch.where(active, moved, threshold)
        active = active & ~settled
        if not active.any():
            break
    return threshold, slope


def _newton_step(sums: SigmoidSums, k: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """The sign of ``sum p - k`` and the step that would remove it, infinite or NaN where nothing is known."""
    # sum p - k = below + (count - k) - above, whose positive and negative terms are compared by their
    # logarithms: far from the root their difference is nearly linear in t where sum p - k itself is flat.
    surplus = sums.count - k
    gained = sums.below + surplus.clamp_min(0.0)
    missed = sums.above + (-surplus).clamp_min(0.0)
    tails = sums.below + sums.above
    # d below / dt is alpha sum p (1 - p) over z < 0, and -d above / dt the same over z >= 0. One slope is
    # kept for both sides; it is shared out in proportion to the tails, which is exact where p (1 - p) is
    # about the tail. An inexact rate costs steps, never the root: excess is exact.
    rate = alpha * sums.slope / tails * (sums.below / gained + sums.above / missed)
    return torch.sign(gained - missed), (missed.log() - gained.log()) / rate


def _slope_at(
    moved: Tensor, threshold: Tensor, slope: Tensor, earlier: tuple[Tensor, Tensor] | None, alpha: float
) -> Tensor:
    """The slope after the last step, extrapolated in its logarithm; its rate of change is at most alpha."""
    if earlier is None:
        return slope
    distance = threshold - earlier[0]
    # |d log slope / dt| = alpha |sum p (1 - p)(1 - 2 p)| / sum p (1 - p) <= alpha.
    rate = ((slope / earlier[1]).log() / distance).nan_to_num(0.0, 0.0, 0.0).clamp(-alpha, alpha)
    return slope * torch.exp((rate * (moved - threshold)).clamp(-1.0, 1.0))
