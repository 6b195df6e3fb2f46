"""How many negatives each row has, and the mean and the scatter of their scores, without their scores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.distributed import all_reduce_sum, sum_over_ranks
from xmc.objectives.statistics.label_moments import label_moments_and_products
from xmc.scoring import Positives, ScoreInputs
from xmc.scoring.arithmetic import deterministic_index_add
from xmc.scoring.dense import dense_scores
from xmc.scoring.moments import LabelMoments

__all__ = ["RowMoments", "dense_negative_moments", "negative_moments", "without_positives"]


@dataclass(frozen=True)
class RowMoments:
    """Moments of sets of scores, float64; [B] for one set per row, [P] for one per pair.

    Attributes:
        count: Total weight n.
        mean: Weighted mean, 0 for an empty set.
        scatter: Weighted sum of squared deviations from the mean.
    """

    count: Tensor
    mean: Tensor
    scatter: Tensor

    @property
    def variance(self) -> Tensor:
        """Mean squared deviation."""
        return self.scatter / self.count

    @property
    def total(self) -> Tensor:
        """The weighted sum of the scores."""
        return self.count * self.mean

    @property
    def squares(self) -> Tensor:
        """The weighted sum of the squared scores."""
        return self.scatter + self.count * self.mean.square()

    def with_all(self, scores: Tensor, positives: Positives) -> RowMoments:
        """Row moments [B] with all positives' scores [P] added, each once whatever its relevance."""
        # About the old mean the new labels shift the mean by sum(d) / n; about the new mean the sum of
        # squares is less by n shift^2 (n counts the added ones).
        deviations = scores - self.mean[positives.rows]
        counts = positives.row_counts().to(self.count.dtype)
        count = self.count + counts
        shift = _row_sum(deviations, positives) / count.clamp_min(1.0)
        scatter = self.scatter + _row_sum(deviations.square(), positives) - count * shift.square()
        return RowMoments(count, self.mean + shift, scatter.clamp_min(0.0))

    def with_own(self, scores: Tensor, positives: Positives) -> RowMoments:
        """Pair moments [P]: those of the pair's row with this one positive's score added."""
        count = self.count[positives.rows]
        deviations = scores - self.mean[positives.rows]
        # The same for one label, simplified (Welford's update).
        mean = self.mean[positives.rows] + deviations / (count + 1)
        scatter = self.scatter[positives.rows] + deviations.square() * count / (count + 1)
        return RowMoments(count + 1, mean, scatter)

    def per_pair(self, positives: Positives) -> RowMoments:
        """Row moments [B] repeated for every pair: [P]."""
        rows = positives.rows
        return RowMoments(self.count[rows], self.mean[rows], self.scatter[rows])


def negative_moments(inputs: ScoreInputs, outside: LabelMoments | None = None) -> tuple[Tensor, RowMoments]:
    """Scores of the positives [P] and the moments [B] of each row's negatives, in O(l D^2 + B D^2 + P D).

    The moments of all labels come from :func:`label_moments_and_products`; the positives are then taken out.

    Args:
        inputs: What is scored.
        outside: Moments of labels that are frozen, of all ranks together and the same on each. With them the
            moments are of these labels and those, each of weight 1, and the log weights weigh the gradient
            alone that reaches a label as one of them.

    Returns:
        Both float64, with gradients, equal on every rank. With W ranks two all-reduces, of B + 2 P + 1 (3 P
        with ``outside``) and of B float64 numbers.
    """
    # Masked pairs are taken out of the moments as positives are.
    positives, is_positive = inputs.listed_pairs
    inputs = replace(inputs, positives=positives, masked=None)
    labels, offsets = inputs.labels, inputs.offsets
    # Their gradient is a difference of parts, each larger than it: halves must be added up in float32.
    queries = inputs.queries.to(torch.promote_types(inputs.queries.dtype, torch.float32))
    world, scale = inputs.own_shard.world, _scale(inputs)
    given = None if inputs.log_weights is None else inputs.log_weights.detach().double().exp()
    # With the labels outside known, the pool's count once in the value; their weights are for the gradient.
    weights, of_gradient = (given, None) if outside is None else (None, given)
    rows, columns, part = inputs.own_pairs()
    moments, products, members = label_moments_and_products(
        labels, offsets, weights, queries, rows, columns, of_gradient
    )
    # The moments outside are already of all ranks, so one rank brings them in.
    if outside is not None and world.is_main:
        moments = moments.merged(outside)
    # A score is an inner product again: (scale q, 1).(e, offset).
    extended = torch.cat([queries.double() * scale, queries.new_ones(len(queries), 1).double()], 1)
    local_mean = extended @ moments.mean  # [B]
    local_scatter = ((extended @ moments.scatter) * extended).sum(1)  # [B]

    def everywhere(own: Tensor) -> Tensor:
        """[P] from this rank's positives, 0 for the others."""
        return F.pad(own, (part.start, len(positives) - part.stop))

    shifts = 0.0 if offsets is None else offsets.double()[columns]
    own = [products * scale + shifts]
    if of_gradient is not None:
        own.append(members * scale + shifts)
    # What has a gradient crosses in one all-reduce; counts and weights, which have none, in another.
    packed = torch.cat([moments.total * local_mean, *map(everywhere, own)])
    totals, *pairs = sum_over_ranks(packed, world).split([len(queries), *[len(positives)] * len(own)])
    factors = everywhere(torch.ones_like(products) if weights is None else weights[columns])
    counts = all_reduce_sum(torch.cat([moments.total.view(1), factors]), world)
    total, factors = counts[:1], counts[1:]
    overall = totals / total.clamp_min(torch.finfo(torch.float64).tiny)
    # Parts merge as scatter = sum_r scatter_r + sum_r n_r (mean_r - mean)^2 over the ranks r. The scatter is
    # least about the mean: its derivative by the mean is 0, but only over all ranks together.
    between = moments.total * (local_mean - overall.detach()).square()
    everything = RowMoments(
        total.expand(len(queries)), overall, sum_over_ranks(local_scatter + between, world)
    )
    num_labels = positives.num_labels + (0 if outside is None else int(outside.total))
    return pairs[0][is_positive], without_positives(everything, pairs[-1], factors, positives, num_labels)


def without_positives(
    everything: RowMoments, scores: Tensor, factors: Tensor, positives: Positives, num_labels: int
) -> RowMoments:
    """The moments of ``num_labels`` labels without the positives, which count ``factors`` [P] times."""
    # The deviations of all labels from their mean sum to 0, so without the positives they sum to -sum(f d):
    # that over the count left is the shift of the mean, and the scatter about the new mean follows.
    deviations = scores - everything.mean[positives.rows]
    # Asked of whole numbers: a count of weights may be 1e-12 where it should be 0.
    present = num_labels > positives.row_counts()
    count = torch.where(present, everything.count - _row_sum(factors, positives), 0.0)
    shift = -_row_sum(factors * deviations, positives) / torch.where(present, count, 1.0)
    scatter = everything.scatter - _row_sum(factors * deviations.square(), positives) - count * shift.square()
    mean = torch.where(present, everything.mean + shift, 0.0)
    # A difference of sums of squares may round to just below 0.
    return RowMoments(count, mean, torch.where(present, scatter, 0.0).clamp_min(0.0))


def dense_negative_moments(inputs: ScoreInputs) -> tuple[Tensor, RowMoments]:
    """The same as :func:`negative_moments` from the scores, in memory that grows with B x L: the oracle."""
    log_weights, positives = inputs.log_weights, inputs.pairs
    scores = dense_scores(inputs.queries, inputs.labels, _scale(inputs), inputs.offsets).double()
    weights = (
        torch.ones_like(scores) if log_weights is None else log_weights.double().exp().expand(scores.shape)
    )
    weights = weights.masked_fill(inputs.mask_of(inputs.left_out(positives_too=True)), 0.0)
    count = weights.sum(1)
    mean = (weights * scores).sum(1) / torch.where(count > 0, count, 1.0)
    scatter = (weights * (scores - mean[:, None]).square()).sum(1)
    return scores[positives.rows, positives.labels], RowMoments(count, mean, scatter)


def _scale(inputs: ScoreInputs) -> Tensor:
    return torch.as_tensor(inputs.scale, dtype=torch.float64, device=inputs.queries.device)


def _row_sum(values: Tensor, positives: Positives) -> Tensor:
    return deterministic_index_add(values.new_zeros(positives.num_rows), positives.rows, values)
