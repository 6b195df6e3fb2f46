"""Each row's threshold at which soft indicators of its scores add up to k, merged over tiles and ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from xmc.distributed import World, all_reduce_sum
from xmc.objectives.statistics.row_histogram import RowHistogram
from xmc.objectives.statistics.threshold_search import SigmoidSums, find_thresholds, sigmoid_sums
from xmc.scoring import Tile
from xmc.scoring.statistic import RowNumbers, Scan, Walk, tile_weights

__all__ = ["MAX_REFINEMENTS", "SoftThreshold"]

MAX_REFINEMENTS = 5  # passes after the first; with the first one's collectives, eight in all
NEWTON_PASSES = 3  # of these, at least so many are left to Newton's method
WIDE = 4.0  # a bracket of more than this, in units of z, is narrowed by another histogram
REACH = 20.0  # scores further from the bracket than this, in units of z, have an indicator of 0 or 1


class _Passes(NamedTuple):
    """The two kinds of passes over this rank's labels, over tiles or by kernels.

    Attributes:
        histogram: Of a range, low [B] to high [B] (float64), not yet merged over ranks.
        sums: At thresholds [B] (float64), as [4, B] float64, not yet merged over ranks.
    """

    histogram: Callable[[Tensor, Tensor], RowHistogram]
    sums: Callable[[Tensor], Tensor]


class SoftThreshold:
    """``t_i`` with ``sum_j weight_j sigmoid(alpha (s_ij + t_i)) = k_i`` over all labels, positives included.

    ``weight`` is one over a label's inclusion probability, and 1 for a row's own positives. The statistic is
    [B, 2]: t, and ``sum_j weight_j p_j (1 - p_j)``, which the gradient needs and which carries none itself:
    ``d t / d s_j = -weight_j p_j (1 - p_j) / sum``. A row with ``k`` at or above the sum of the weights has
    ``t = inf``. Where the k-th and the next score are so far apart that exp underflows half way between them,
    any t there is taken and passes no gradient.

    Over W ranks: an all-reduce of 8 n B bytes for the histogram of n bins, one of 2 B floats, and for each of
    at most 5 passes that follow one of 32 B bytes, or of 8 n B where a histogram of the whole range is too
    coarse; none backward.
    """

    masks_positives = False

    def __init__(self, k: Tensor, alpha: float, low: Tensor, high: Tensor) -> None:
        """Make the statistic.

        Args:
            k: [B] targets, above 0.
            alpha: Steepness of the indicators.
            low: [B], where the histogram is to begin, equal on every rank.
            high: [B], where it is to end; scores beyond either end only cost precision of the first guess.
        """
        self.k, self.alpha, self.low, self.high = k.double(), alpha, low, high

    def reduce(self, walk: Walk, num_rows: int, like: Tensor, world: World) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`: histograms until the bracket is narrow, then Newton."""

        def histogram(low: Tensor, high: Tensor) -> RowHistogram:
            counted = RowHistogram(low.to(like.dtype), high.to(like.dtype))
            for tile in walk():
                counted.add(tile)
            return counted

        def sums(threshold: Tensor) -> Tensor:
            shift = (self.alpha * threshold).to(like.dtype)[:, None]
            total = like.new_zeros(4, len(threshold), dtype=torch.float64)
            for tile in walk():
                scaled = torch.add(shift, tile.scores, alpha=self.alpha, out=tile.scratch)
                total += sigmoid_sums(scaled, tile_weights(tile)).stacked()
            return total

        return self._solve(_Passes(histogram, sums), like, world)

    def reduce_fused(self, scan: Scan, like: Tensor, world: World) -> Tensor:
        """See :class:`xmc.scoring.statistic.FusedStatistic`; as :meth:`reduce`, with fewer bins."""
        from xmc.objectives.statistics.fused.soft_threshold import HISTOGRAM, NUM_BINS, SUMS

        def histogram(low: Tensor, high: Tensor) -> RowHistogram:
            counted = RowHistogram(low.to(like.dtype), high.to(like.dtype), NUM_BINS)
            counted.add_parts(scan(HISTOGRAM, RowNumbers(counted.low, counted.width)))
            return counted

        def sums(threshold: Tensor) -> Tensor:
            return scan(SUMS, RowNumbers(self.alpha * threshold, constant=self.alpha)).double().sum(0)

        return self._solve(_Passes(histogram, sums), like, world)

    def _solve(self, passes: _Passes, like: Tensor, world: World) -> Tensor:
        # A pass over the labels is dear and a histogram is cheap: the root is sought on the histogram first.
        histogram = _merged(passes.histogram(self.low, self.high), world)
        total = histogram.bins()[2].sum(1)
        # Rows without a root look for another one that exists, and are set to inf in the end.
        everything = self.k >= total
        k = torch.where(everything, total / 2, self.k)
        start, low, high = _from_histogram(histogram, k, self.alpha)
        left = MAX_REFINEMENTS
        while left > NEWTON_PASSES and bool((wide := self.alpha * (high - low) > WIDE).any()):
            # A score x matters to the root only where z = alpha (x + t) is within REACH of 0 for some t of
            # the bracket, so the next histogram spends its bins on -high - margin to margin - low.
            margin = REACH / self.alpha
            narrow = _merged(passes.histogram(-high - margin, margin - low), world, histogram)
            finer = _from_histogram(narrow, k, self.alpha)
            # Rows with a narrow bracket keep it: the new range is as good as theirs at best.
            start = torch.where(wide, finer[0], start)
            low = torch.where(wide, torch.maximum(low, finer[1]), low)
            high = torch.where(wide, torch.minimum(high, finer[2]), high)
            left -= 1
        threshold, slope = find_thresholds(
            lambda threshold: SigmoidSums(*all_reduce_sum(passes.sums(threshold), world)),
            k,
            self.alpha,
            (low, high),
            start,
            # Newton's error after a step is about the step squared, so a step of the root of eps is the last.
            tolerance=torch.finfo(like.dtype).eps ** 0.5,
            max_evaluations=left,
        )
        threshold, slope = threshold.masked_fill(everything, torch.inf), slope.masked_fill(everything, 0.0)
        return torch.stack([threshold, slope], 1).to(like.dtype)

    def fused_slope(self, statistic: Tensor, gradient: Tensor) -> tuple[Any, RowNumbers]:
        """See :class:`xmc.scoring.statistic.FusedStatistic`."""
        from xmc.objectives.statistics.fused.soft_threshold import slope

        # As in tile_gradient: scores are -inf beyond the last label and at masked pairs.
        shift = (self.alpha * statistic[:, 0]).nan_to_num(posinf=0.0)
        return slope, RowNumbers(shift, _share(statistic, gradient), self.alpha)

    def tile_gradient(self, tile: Tile, statistic: Tensor, gradient: Tensor) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`; only the first column of ``gradient`` [B, 2] counts."""
        share = _share(statistic, gradient)
        # At a score of -inf, inf - inf would not be a number; a row with an infinite threshold has share 0.
        shift = (self.alpha * statistic[:, 0]).nan_to_num(posinf=0.0)[:, None]
        # Implicit derivative: sum_j w_j sigmoid(alpha (s_j + t)) = k stays true when s_j moves, so
        # dt / ds_j = -w_j p_j (1 - p_j) / sum_i w_i p_i (1 - p_i).
        tail = torch.add(shift, tile.scores, alpha=self.alpha, out=tile.scratch).abs_().neg_().sigmoid_()
        torch.addcmul(tail, tail, tail, value=-1.0, out=tail).mul_(share[:, None])
        weights = tile_weights(tile)
        return tail if weights is None else tail.mul_(weights)

    def dense(self, scores: Tensor, log_weights: Tensor | None) -> Tensor:
        """See :class:`xmc.scoring.RowStatistic`: bisection, and the implicit derivative added on."""
        fixed = scores.detach()
        weights = torch.ones_like(fixed) if log_weights is None else log_weights.to(fixed.dtype).exp()
        root = self._bisect(fixed.double(), weights.double())
        known = torch.isfinite(root)
        root = torch.where(known, root, 0.0).to(fixed.dtype)
        tail = torch.sigmoid(-(self.alpha * (fixed + root[:, None])).abs())
        slopes = weights * tail * (1 - tail)
        slope = slopes.sum(1).masked_fill(~known, 0.0)
        share = torch.where(slope > 0, 1 / slope, 0.0)[:, None] * slopes
        # The value is root, as scores - fixed is 0; the derivative is that of the implicit function.
        threshold = root - (share * (scores - fixed)).sum(1)
        return torch.stack([threshold.masked_fill(~known, torch.inf), slope], 1)

    def _bisect(self, scores: Tensor, weights: Tensor) -> Tensor:
        """The roots [B] of whole rows, float64, from the exact bracket."""
        total = weights.sum(1)
        solvable = self.k < total
        k = torch.where(solvable, self.k, total / 2)
        # With every score at the row's largest, sum p = k at t = level - max; the scores are smaller, so the
        # root is above that. Below level - min for the same reason. This holds for any number of labels.
        level = (k.log() - (total - k).log()) / self.alpha
        low, high = level - scores.amax(1), level - scores.amin(1)
        for _ in range(100):
            middle = (low + high) / 2
            sums = sigmoid_sums(self.alpha * (scores + middle[:, None]), weights)
            above = (sums.count - k) + (sums.below - sums.above) > 0
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return ((low + high) / 2).masked_fill(~solvable, torch.inf)


def _merged(histogram: RowHistogram, world: World, known: RowHistogram | None = None) -> RowHistogram:
    histogram.merge(world, known)
    return histogram


def _share(statistic: Tensor, gradient: Tensor) -> Tensor:
    """By how much a threshold's gradient moves each label's ``weight p (1 - p)``: [B]."""
    # No label is between the tails where the slope is 0: any t there serves, and none moves it.
    return torch.where(statistic[:, 1] > 0, -gradient[:, 0] / statistic[:, 1], 0.0)


def _from_histogram(histogram: RowHistogram, k: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """First guesses and brackets [B]: roots with every score at its bin's middle, right and left."""
    left, right, weights = histogram.bins()
    # Larger scores have a smaller root: with every score at its bin's right edge it is below the true one,
    # with every score at the left edge above. A few hundred numbers per row instead of L.
    values = torch.cat([(left + right) / 2, right, left])
    weights, k = weights.repeat(3, 1), k.repeat(3)
    total = weights.sum(1)
    level = (k.log() - (total - k).log()) / alpha
    bracket = level - values[:, -1], level - values[:, 0]
    roots, _ = find_thresholds(
        lambda threshold: sigmoid_sums(alpha * (values + threshold[:, None]), weights),
        k,
        alpha,
        bracket,
        bracket[0],
        tolerance=1e-3,
        max_evaluations=60,
    )
    middle, low, high = roots.view(3, -1)
    # The binned roots are found to a tolerance, and bins are cut in the scores' own precision.
    slack = 1e-2 / alpha + 1e-6 * (low.abs() + high.abs())
    return middle, low - slack, high + slack
