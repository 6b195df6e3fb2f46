"""Negatives that a weight a label cannot say: those certain in one row alone, and those kept frozen.

Both join a row's statistic by its own merge, so that scoring needs to know neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from xmc.distributed import sum_over_ranks
from xmc.errors import ConfigError
from xmc.scoring import LabelShard, Positives, RowStatistic, as_positives, reduce_scores
from xmc.scoring.frozen import FrozenLabels
from xmc.scoring.moments import LabelMoments
from xmc.scoring.pairs import pair_products
from xmc.scoring.positives import PositivesLike

__all__ = ["ExtraNegatives", "MergeableStatistic", "reduce_with_extra"]


@dataclass(frozen=True)
class ExtraNegatives:
    """What joins the statistic of a batch beside its weighted labels.

    Attributes:
        certain: Pairs [B, L] of rows and labels of the pool, no positives, that are in the pool for certain
            given the row: their log weight is 0, whatever the label's is for other rows.
        frozen: Labels outside the pool, scored without a gradient. With them the partition function is the
            sum over pool and frozen labels, so the pool's labels weigh 1 in it; ``log_weights`` then weigh
            only the gradient that reaches the pool's labels as negatives, which estimates without bias the
            gradient of a step with all labels.
        moments: The same for a spherical loss, which knows labels by their moments: those of all labels
            outside the pool, of all ranks together.
    """

    certain: PositivesLike | None = None
    frozen: FrozenLabels | None = None
    moments: LabelMoments | None = None


@runtime_checkable
class MergeableStatistic(RowStatistic, Protocol):
    """A row statistic that is masked at positives and can be merged from parts of the labels."""

    def merge(self, first: Tensor, second: Tensor) -> Tensor:
        """The statistic [B] of two disjoint sets of labels from that of each, differentiable."""
        ...

    def of_pairs(self, scores: Tensor, pairs: Positives) -> Tensor:
        """The statistic [B] of a few labels a row, each of weight 1, from the scores [M] of the pairs."""
        ...


def reduce_with_extra(
    queries: Tensor,
    labels: Tensor,
    positives: Positives,
    statistic: RowStatistic,
    extra: ExtraNegatives,
    *,
    scale: float | Tensor,
    offsets: Tensor | None,
    log_weights: Tensor | None,
    shard: LabelShard | None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """As :func:`xmc.scoring.reduce_scores`, with ``extra`` in the statistic.

    Raises:
        ConfigError: When the statistic cannot be merged from parts, or moments are given.
    """
    if extra.moments is not None:
        raise ConfigError("expected frozen labels, got their moments: only a spherical loss takes those")
    shard = shard or LabelShard.whole(len(labels))
    listed, is_positive = _listed(positives, extra.certain)
    inputs = (queries, labels, listed, statistic)
    given = {"scale": scale, "offsets": offsets, "log_weights": log_weights, "shard": shard, **options}
    if extra.frozen is None:
        scores, value = reduce_scores(*inputs, **given)
    else:
        scores, value = _with_frozen(*inputs, extra.frozen, **given)
    if is_positive is None:
        return scores, value
    if statistic.masks_positives:
        # Listed with the positives they were left out of the weighted sum; here they come back with weight 1.
        # A statistic that masks nothing has them already: it gives every listed pair the weight 1.
        certain = _part(listed, ~is_positive)
        value = _mergeable(statistic).merge(
            value, _mergeable(statistic).of_pairs(scores[~is_positive], certain)
        )
    return scores[is_positive], value


def _with_frozen(
    queries: Tensor,
    labels: Tensor,
    listed: Positives,
    statistic: RowStatistic,
    frozen: FrozenLabels,
    *,
    scale: float | Tensor,
    offsets: Tensor | None,
    log_weights: Tensor | None,
    shard: LabelShard,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    mergeable = _mergeable(statistic)
    weighed, weighed_offsets = labels, offsets
    if log_weights is not None:
        factors = log_weights.exp()
        weighed = _scale_gradient(labels, factors[:, None])
        weighed_offsets = None if offsets is None else _scale_gradient(offsets, factors)
    _, pool = reduce_scores(
        queries, weighed, listed, statistic, scale=scale, offsets=weighed_offsets, shard=shard, **options
    )
    # The listed pairs' own scores: their gradient is that of a certain label, so it is not weighed.
    scores = _pair_scores(queries, labels, listed, scale, offsets, shard).to(pool.dtype)
    nothing = listed.rows.new_empty(0)
    none = Positives(nothing, nothing, None, listed.num_rows, frozen.shard.total)
    _, rest = reduce_scores(
        queries,
        frozen.embeddings,
        none,
        statistic,
        scale=scale,
        offsets=frozen.offsets,
        log_weights=frozen.log_weights,
        shard=frozen.shard,
        **options,
    )
    return scores, mergeable.merge(pool, rest)


def _pair_scores(
    queries: Tensor,
    labels: Tensor,
    pairs: Positives,
    scale: float | Tensor,
    offsets: Tensor | None,
    shard: LabelShard,
) -> Tensor:
    """The scores [P] of pairs over the labels of all ranks, differentiable and equal on every rank."""
    part = pairs.label_slices([shard.start, shard.start + len(labels)])[0]
    columns = pairs.labels[part] - shard.start
    own = scale * pair_products(queries, pairs.rows[part], labels, columns)
    own = own if offsets is None else own + offsets[columns]
    padding = (own.new_zeros(part.start), own.new_zeros(len(pairs) - part.stop))
    return sum_over_ranks(torch.cat([padding[0], own, padding[1]]), shard.world)


def _listed(positives: Positives, certain: PositivesLike | None) -> tuple[Positives, Tensor | None]:
    """Positives and certain negatives as one list of pairs, and which of them are positives: [P + M] bool.

    Raises:
        ConfigError: When a pair is in both.
    """
    if certain is None:
        return positives, None
    device = positives.rows.device
    more = as_positives(certain, positives.num_rows, positives.num_labels, device)
    if not len(more):
        return positives, None
    rows, labels = torch.cat([positives.rows, more.rows]), torch.cat([positives.labels, more.labels])
    keys, order = torch.sort(labels * positives.num_rows + rows)
    if bool((keys[1:] == keys[:-1]).any()):
        raise ConfigError("expected certain negatives apart from the positives, but a pair is both")
    pairs = Positives(rows[order], labels[order], None, positives.num_rows, positives.num_labels)
    return pairs, order < len(positives)


def _part(pairs: Positives, kept: Tensor) -> Positives:
    return Positives(pairs.rows[kept], pairs.labels[kept], None, pairs.num_rows, pairs.num_labels)


def _mergeable(statistic: RowStatistic) -> MergeableStatistic:
    if not isinstance(statistic, MergeableStatistic):
        raise ConfigError(
            f"expected an objective whose statistic merges from parts of the labels, got "
            f"{type(statistic).__name__}: label memory and mined negatives need a softmax-like objective"
        )
    return statistic


def _scale_gradient(values: Tensor, factors: Tensor) -> Tensor:
    scaled: Tensor = _ScaledGradient.apply(values, factors)  # type: ignore[no-untyped-call]
    return scaled


class _ScaledGradient(torch.autograd.Function):
    """The same tensor, with its gradient times ``factors``."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, factors: Tensor) -> Tensor:
        ctx.save_for_backward(factors)
        return tensor.view_as(tensor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (factors,) = ctx.saved_tensors
        return gradients[0] * factors.to(gradients[0].dtype), None
