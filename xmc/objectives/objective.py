"""An objective: a statistic of each row's scores and a value from it, run on whatever a step scores.

The statistic knows how scores are walked, merged over tiles and over ranks; the value is plain torch on the
positives' scores [P] and the statistic of B rows, which every rank computes alike. So whatever changes the
positives' scores alone, such as a margin, costs O(P).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, Literal, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.distributed import sum_over_ranks
from xmc.errors import ConfigError, NonFiniteError
from xmc.objectives.catalogue import ObjectiveFacts
from xmc.objectives.extra_negatives import reduce_with_extra
from xmc.scoring import Positives, RowStatistic, ScoreInputs, reduce_scores
from xmc.scoring.row_parts import in_pair_order, in_row_order, row_parts
from xmc.scoring.scaled_gradient import scaled_gradient

__all__ = [
    "Loss",
    "Margin",
    "Objective",
    "PositiveScores",
    "Reduction",
    "RowValue",
    "Statistic",
    "StatisticOfScores",
    "reduce_rows",
    "refuse_non_finite",
]

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)

Reduction = Literal["mean", "sum", "none"]


def reduce_rows(rows: Tensor, reduction: Reduction, weights: Tensor | None = None) -> Tensor:
    """The mean or sum of row losses [B], or the rows themselves for "none".

    Args:
        rows: [B].
        reduction: Which of them.
        weights: [B], what each row counts for: the mean is ``sum_i w_i l_i / sum_i w_i``. Of no effect on
            "none". None for 1 each.

    Raises:
        ConfigError: For any other ``reduction``.
    """
    if reduction == "none":
        return rows
    if reduction not in ("mean", "sum"):
        raise ConfigError(f"expected reduction to be 'mean', 'sum' or 'none', got {reduction!r}")
    total = rows.sum() if weights is None else (weights.to(rows) * rows).sum()
    if reduction == "sum":
        return total
    return total / max(len(rows), 1) if weights is None else total / weights.to(rows).sum()


@dataclass(frozen=True, eq=False)
class PositiveScores:
    """The scores of the positives, with what a value or a margin needs to know of them.

    Attributes:
        scores: [P], ``scale * q.e + offset``, the same on every rank.
        positives: The P pairs of B rows; relevance weights weigh sums and means over a row.
        inputs: What was scored, or None where scores are all there is (scale 1, no offsets).
    """

    scores: Tensor
    positives: Positives
    inputs: ScoreInputs | None = None

    @property
    def rows(self) -> Tensor:
        """The row of each positive, [P] int64: ``statistic[rows]`` gives each its row's statistic."""
        return self.positives.rows

    @property
    def scale(self) -> float | Tensor:
        """One over the temperature that the scores were made with.

        Every rank computes the whole value, so each passes on one of W equal parts of the scale's gradient,
        which are summed over ranks with the parts that come from the scores.
        """
        if self.inputs is None:
            return 1.0
        scale, size = self.inputs.scale, self.inputs.own_shard.world.size
        return scaled_gradient(scale, 1 / size) if isinstance(scale, Tensor) and size > 1 else scale

    def offsets(self) -> Tensor | None:
        """The offsets [P] of the positives' labels, on every rank, differentiable; None without offsets.

        Over W ranks: one all-reduce of P floats, so that every rank must ask.
        """
        if self.inputs is None or self.inputs.offsets is None:
            return None
        _, columns, part = self.inputs.own_pairs()
        # [P] with 0 for the pairs of other ranks' labels: the sum over ranks gives everyone all of them.
        own = F.pad(self.inputs.offsets[columns], (part.start, len(self.positives) - part.stop))
        return sum_over_ranks(own, self.inputs.own_shard.world)

    def products(self) -> Tensor:
        """``q.e`` of each positive, [P]: cosines where embeddings are normalised. As :meth:`offsets`."""
        offsets = self.offsets()
        return (self.scores if offsets is None else self.scores - offsets) / self.scale


class Statistic(Protocol[S_co]):
    """What an objective knows of each row besides its positives' scores, and how that is computed.

    Two objectives whose statistics are equal (``==``) share one pass over the labels when they are terms of
    one loss.
    """

    def __call__(self, inputs: ScoreInputs) -> tuple[PositiveScores, S_co]:
        """The positives' scores and the statistic of the B rows, differentiable and equal on every rank."""
        ...


@dataclass(frozen=True)
class StatisticOfScores:
    """A row statistic that scoring folds over tiles of scores, shards of ranks and extra negatives.

    Attributes:
        make: The row statistic of a batch; most are the same for every batch.
    """

    make: Callable[[ScoreInputs], RowStatistic]

    def __call__(self, inputs: ScoreInputs) -> tuple[PositiveScores, Tensor]:
        """See :class:`Statistic`; the statistic is [B] or [B, n]."""
        # Most steps have none: they need not pass through what joins them.
        reduce = reduce_scores if inputs.extra is None else reduce_with_extra
        if inputs.apart is None:
            scores, of_rows = reduce(inputs, self.make(inputs))
        else:
            parts = [reduce(part, self.make(part)) for part in row_parts(inputs, inputs.apart)]
            scores = in_pair_order(inputs.apart, inputs.pairs, [scores for scores, _ in parts])
            of_rows = in_row_order(inputs.apart, [of_rows for _, of_rows in parts])
        return PositiveScores(scores, inputs.pairs, inputs), of_rows


RowValue = Callable[[PositiveScores, S], Tensor]
"""Row losses [B] from the positives' scores and the statistic, in plain torch."""

Margin = Callable[[PositiveScores], Tensor]
"""The positives' scores [P] as the loss is to see them, such as CosFace's ``scores - scale * m``."""


class Loss(Protocol):
    """What a training step minimises: an objective, your own function, or a weighted sum of them."""

    @property
    def facts(self) -> ObjectiveFacts:
        """Its name, what it takes and what it ranks by."""
        ...

    def __call__(self, inputs: ScoreInputs, reduction: Reduction = "mean") -> Tensor:
        """The loss of a batch: a scalar, or [B] for ``reduction="none"``; equal on every rank."""
        ...


def refuse_non_finite(loss: Tensor, inputs: ScoreInputs, name: str) -> None:
    """Refuse a loss that is NaN or infinite, which is equal on every rank; does not ask a GPU.

    Raises:
        NonFiniteError: Saying how many queries and labels of this rank are the cause.
    """
    if loss.is_cuda or (math.isfinite(loss.item()) if loss.ndim == 0 else bool(torch.isfinite(loss).all())):
        return
    queries, labels = (int((~torch.isfinite(part).all(1)).sum()) for part in (inputs.queries, inputs.labels))
    raise NonFiniteError(
        f"{name}: expected a finite loss, got NaN or infinity; of this rank's embeddings {queries} of "
        f"{len(inputs.queries)} queries and {labels} of {len(inputs.labels)} labels are not finite: lower "
        "the learning rate or the scale, or clip gradients"
    )


@dataclass(frozen=True)
class Objective(Generic[S]):
    """A loss made of a row statistic and a value.

    Attributes:
        facts: Its name, what it takes and what it ranks by.
        statistic: What it knows of each row.
        value: Row losses from the positives' scores and the statistic.
        margin: Changes the positives' scores before the value sees them, or None. A margin belongs to
            training: rankings and metrics use the scores as they are.
        beside: Adds to the statistic what no label of the batch brings, such as a virtual negative, or None.
            As a margin it belongs to training.
    """

    facts: ObjectiveFacts
    statistic: Statistic[S]
    value: RowValue[S]
    margin: Margin | None = None
    beside: Callable[[PositiveScores, S], S] | None = None

    def __call__(self, inputs: ScoreInputs, reduction: Reduction = "mean") -> Tensor:
        """See :class:`Loss`. Embeddings may come out of autocast; nothing is computed in its precision.

        Raises:
            ConfigError: When shapes, ids or options do not fit.
            NonFiniteError: When the loss is not finite; on every rank, whichever holds the cause. Not on a
                GPU, where asking would wait for it: there the loss says so itself.
        """
        # A sum over a million labels means nothing in the 8 bits of bfloat16.
        with torch.autocast(inputs.queries.device.type, enabled=False):
            loss = reduce_rows(self.rows(*self.statistic(inputs)), reduction, inputs.row_weights)
        refuse_non_finite(loss, inputs, self.facts.name)
        return loss.to(torch.promote_types(inputs.queries.dtype, torch.float32))

    def rows(self, own: PositiveScores, statistic: S) -> Tensor:
        """The loss of each row, [B], from its statistic."""
        if self.beside is not None:
            # It has a score as the labels have, whatever margin the positives then get.
            statistic = self.beside(own, statistic)
        if self.margin is not None:
            # After the statistic: a margin moves positives and leaves what they compete with.
            own = replace(own, scores=self.margin(own))
        return self.value(own, statistic)
