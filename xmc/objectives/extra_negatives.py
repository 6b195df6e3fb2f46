"""Negatives that one weight per label cannot say: those certain in one row alone, and those kept frozen.

Both join a row's statistic by its own merge, so that scoring needs to know neither.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from xmc.distributed import sum_over_ranks
from xmc.errors import ConfigError
from xmc.scoring import FrozenLabels, Positives, RowStatistic, ScoreInputs, as_positives, reduce_scores
from xmc.scoring.pairs import pair_products
from xmc.scoring.positives import PositivesLike, join_pairs
from xmc.scoring.scaled_gradient import scaled_gradient

__all__ = ["MergeableStatistic", "reduce_with_extra"]


@runtime_checkable
class MergeableStatistic(RowStatistic, Protocol):
    """A row statistic that is masked at positives and can be merged from parts of the labels."""

    def merge(self, first: Tensor, second: Tensor) -> Tensor:
        """The statistic [B] of two disjoint sets of labels from that of each, differentiable."""
        ...

    def of_pairs(self, scores: Tensor, pairs: Positives) -> Tensor:
        """The statistic [B] of a few labels per row, each of weight 1, from the scores [M] of the pairs."""
        ...


def reduce_with_extra(inputs: ScoreInputs, statistic: RowStatistic) -> tuple[Tensor, Tensor]:
    """As :func:`xmc.scoring.reduce_scores`, with the extra negatives of ``inputs`` in the statistic.

    Raises:
        ConfigError: When the statistic cannot be merged from parts, or moments are given.
    """
    extra = inputs.extra
    if extra is None:
        return reduce_scores(inputs, statistic)
    if extra.moments is not None:
        raise ConfigError("expected frozen labels, got their moments: only a spherical loss takes those")
    # Certain negatives travel through scoring as positives do: as listed pairs, scored without a weight.
    listed, is_positive = _listed(inputs.pairs, extra.certain)
    inputs = replace(inputs, positives=listed, extra=None, masked=inputs.masked_pairs)
    if extra.frozen is None:
        scores, value = reduce_scores(inputs, statistic)
    else:
        scores, value = _with_frozen(inputs, _mergeable(statistic), extra.frozen)
    # Nothing but positives was listed.
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
    inputs: ScoreInputs, statistic: MergeableStatistic, frozen: FrozenLabels
) -> tuple[Tensor, Tensor]:
    """Scores of the listed pairs, and the statistic of the pool (each label once) and the frozen labels.

    The statistic's value is exact: pool and frozen labels are all labels, each of weight 1. Only the gradient
    to the pool's labels is an estimate, and is weighed like one: a label reached in one step of n gets n
    times its gradient then.
    """
    # Weights in the value: exp(log_weights) would count a pool label for the labels that were not drawn, but
    # those are here themselves, in the frozen part. So each label counts once in the value.
    pool = replace(inputs, log_weights=None)
    if inputs.log_weights is not None:
        # Weights in the gradient: a label is reached in a share p of the steps, and 1 / p times its gradient
        # then is the gradient of every step on average. Queries and scale get the value's own gradient.
        factors = inputs.log_weights.exp()
        pool = replace(
            pool,
            labels=scaled_gradient(inputs.labels, factors[:, None]),
            offsets=None if inputs.offsets is None else scaled_gradient(inputs.offsets, factors),
        )
    _, of_pool = reduce_scores(pool, statistic)
    # The listed pairs' own scores: their gradient is that of a certain label, so it is not weighed.
    scores = _pair_scores(inputs).to(of_pool.dtype)
    # Frozen labels are outside the pool, which has the listed pairs and the masked labels of all its rows but
    # the positives that rows did not keep: those are masked here.
    nothing = inputs.pairs.rows.new_empty(0)
    rest = replace(
        inputs,
        labels=frozen.embeddings,
        positives=Positives(nothing, nothing, None, inputs.pairs.num_rows, frozen.shard.total),
        offsets=frozen.offsets,
        log_weights=frozen.log_weights,
        shard=frozen.shard,
        masked=frozen.masked,
    )
    _, of_rest = reduce_scores(rest, statistic)
    return scores, statistic.merge(of_pool, of_rest)


def _pair_scores(inputs: ScoreInputs) -> Tensor:
    """The scores [P] of the pairs over the labels of all ranks, differentiable and equal on every rank."""
    rows, columns, part = inputs.own_pairs()
    own = inputs.scale * pair_products(inputs.queries, rows, inputs.labels, columns)  # [P] of this rank
    own = own if inputs.offsets is None else own + inputs.offsets[columns]
    # Pairs are ordered by label, so a rank's own are one slice of P and the sum puts slices side by side.
    padding = (own.new_zeros(part.start), own.new_zeros(len(inputs.pairs) - part.stop))
    return sum_over_ranks(torch.cat([padding[0], own, padding[1]]), inputs.own_shard.world)


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
    return join_pairs(positives, more, "certain negatives apart from the positives")


def _part(pairs: Positives, kept: Tensor) -> Positives:
    return Positives(pairs.rows[kept], pairs.labels[kept], None, pairs.num_rows, pairs.num_labels)


def _mergeable(statistic: RowStatistic) -> MergeableStatistic:
    if not isinstance(statistic, MergeableStatistic):
        raise ConfigError(
            f"expected an objective whose statistic merges from parts of the labels, got "
            f"{type(statistic).__name__}: label memory and mined negatives need a softmax-like objective"
        )
    return statistic
