"""The loss of a batch and its derivatives by the few numbers a spherical loss is made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xmc.objectives.objective import PositiveScores, reduce_rows
from xmc.objectives.statistics.moments import SphericalValue
from xmc.objectives.statistics.row_moments import RowMoments, without_positives
from xmc.scoring import Positives, as_positives
from xmc.scoring.positives import PositivesLike, join_pairs

__all__ = ["BatchSlopes", "Listed", "batch_slopes"]


@dataclass(frozen=True)
class Listed:
    """The pairs of a batch that are no negatives.

    Attributes:
        positives: Of them, with their relevance.
        pairs: P of them, positives and masked ones.
        is_positive: [P] bool, or None when all are.
    """

    positives: Positives
    pairs: Positives
    is_positive: Tensor | None = None

    @classmethod
    def of(cls, positives: Positives, masked: PositivesLike | None) -> Listed:
        """From the positives and the masked pairs.

        Raises:
            ConfigError: When shapes or ids do not fit, or a pair is both.
        """
        if masked is None:
            return cls(positives, positives)
        shape = positives.num_rows, positives.num_labels
        more = as_positives(masked, *shape, positives.rows.device)
        return cls(positives, *join_pairs(positives, more, "masked pairs apart from the positives"))


@dataclass(frozen=True)
class BatchSlopes:
    """The mean loss of a batch and its derivatives, all float64.

    The derivative by the score of row i and label l is
    ``grad_mean_i / L + 2 grad_scatter_i (score_il - mean_i) + grad_pairs``, the last only for a listed pair:
    a positive, or a masked one. That holds for decoupled losses too: there the statistics of each pair's term
    leave the row's other positives out, and a term's derivative by the statistics it shares with its row is
    summed into ``grad_mean`` and ``grad_scatter``, while what it does not share, a number for each other
    positive of the row, is summed into ``grad_pairs``. Both sums run over P pairs, not over pairs of pairs.

    Attributes:
        loss: A scalar, the mean over rows.
        grad_pairs: [P], by each listed pair's score with the row's mean and scatter held fixed.
        grad_mean: [B], by the mean score of each row over all labels.
        grad_scatter: [B], by the sum of squared deviations of each row's scores from their mean.
    """

    loss: Tensor
    grad_pairs: Tensor
    grad_mean: Tensor
    grad_scatter: Tensor


def batch_slopes(
    scores: Tensor, mean: Tensor, scatter: Tensor, listed: Listed, value: SphericalValue
) -> BatchSlopes:
    """Loss and derivatives from the listed pairs' scores [P] and the moments [B] over all labels, float64."""
    pairs = listed.pairs
    with torch.enable_grad():
        # The loss is differentiated by 2 B + P numbers: the whole gradient by B x L scores is an affine
        # function of the scores with these as coefficients (the class above), and is never formed.
        inputs = [tensor.detach().requires_grad_() for tensor in (scores, mean, scatter)]
        # These moments are of all labels, and a loss sees those of the negatives. Autograd goes through the
        # removal: what a positive's score does to the negatives' moments is in grad_pairs.
        count = torch.full_like(inputs[1], pairs.num_labels, requires_grad=False)
        everything = RowMoments(count, inputs[1], inputs[2])
        negatives = without_positives(everything, inputs[0], torch.ones_like(scores), pairs, pairs.num_labels)
        own = inputs[0] if listed.is_positive is None else inputs[0][listed.is_positive]
        loss = reduce_rows(value(PositiveScores(own, listed.positives), negatives), "mean")
        if not loss.requires_grad:  # no positive in the batch
            return BatchSlopes(loss, *(torch.zeros_like(tensor) for tensor in inputs))
        # A value may leave some of them unused: zeros then.
        slopes = torch.autograd.grad(loss, inputs, materialize_grads=True)
    return BatchSlopes(loss.detach(), *slopes)
