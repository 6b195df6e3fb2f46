"""Large margin discriminative loss: classes compact about their means, and means far from every boundary.

Source: Nguyen et al., "Large Margin Discriminative Loss for Classification" (arXiv 2405.18499v2), section 3:
the momentum mean of a class holds its samples together, the mean of the batch keeps away from boundaries
("partial momentum"). There a sample has one class and every class is scored. Here a class is a label, its
samples are the queries that have it, and boundaries are those between its vector and the vectors of the
step's other labels, but of none that comes with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Unpack

from xmc.distributed import sum_over_ranks
from xmc.errors import ConfigError
from xmc.objectives.catalogue import ObjectiveFacts, facts_of
from xmc.objectives.classes.boundaries import excluded_pairs, nearest_boundaries, signed_distances
from xmc.objectives.classes.means import ClassMeans, blended
from xmc.objectives.objective import Reduction, reduce_rows, refuse_non_finite
from xmc.objectives.public import loss_module, with_scoring_options
from xmc.scoring import Positives, ScoreInputs, ScoringOptions
from xmc.scoring.arithmetic import deterministic_index_add
from xmc.scoring.inputs import check_inputs
from xmc.scoring.positives import PositivesLike
from xmc.scoring.reduction import check_implementation

__all__ = ["Discriminative", "DiscriminativeLoss", "class_shares", "discriminative", "objective"]


def class_shares(pairs: Positives, classes: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    """What each query is of the mean of its class, those of a class adding up to 1: [P].

    In proportion to the pair's part of its query's relevance: a query with many labels, which is near to no
    one of them, says little of each.

    Args:
        pairs: The P positives.
        classes: [P] int64, the class of each.
        num_classes: C.
        dtype: Of the result.
    """
    relevance = torch.ones(len(pairs), device=classes.device, dtype=dtype)
    if pairs.weights is not None:
        relevance = pairs.weights.to(dtype)
    of_rows = deterministic_index_add(relevance.new_zeros(pairs.num_rows), pairs.rows, relevance)
    parts = relevance / of_rows[pairs.rows]
    of_classes = deterministic_index_add(parts.new_zeros(num_classes), classes, parts)
    return parts / of_classes[classes]


@dataclass(frozen=True)
class DiscriminativeLoss:
    """The loss and its momentum means; see :func:`discriminative` and :class:`xmc.objectives.objective.Loss`.

    Means change by :meth:`commit` alone, which training calls after each batch: in a loop of your own call it
    after ``backward``.

    Attributes:
        facts: Its name and what it takes.
        alpha: Weight of compactness.
        beta: Weight of the margin.
        gamma: Weight of the lengths of the means.
        delta_v: Distance to its class mean up to which a query costs nothing.
        delta_d: Distance to the nearest boundary from which on a mean costs nothing.
        means: The momentum means.
    """

    facts: ObjectiveFacts
    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 0.001
    delta_v: float = 0.5
    delta_d: float = 0.3
    means: ClassMeans = field(default_factory=ClassMeans, compare=False)

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, weights and distances below 0."""
        for name in ("alpha", "beta", "gamma", "delta_v", "delta_d"):
            if not getattr(self, name) >= 0:
                raise ConfigError(
                    f"discriminative: expected {name} to be 0 or more, got {getattr(self, name)}"
                )

    def __call__(self, inputs: ScoreInputs, reduction: Reduction = "mean") -> Tensor:
        """See :class:`xmc.objectives.objective.Loss`.

        Over W ranks: all-reduces of C x (2D + 1), C x (D + 1), C, C and B numbers.

        Raises:
            ConfigError: When shapes or ids do not fit.
            NonFiniteError: When the loss is not finite.
        """
        with torch.autocast(inputs.queries.device.type, enabled=False):
            loss = reduce_rows(self._rows(inputs), reduction, inputs.row_weights)
        refuse_non_finite(loss, inputs, self.facts.name)
        return loss.to(torch.promote_types(inputs.queries.dtype, torch.float32))

    def commit(self) -> None:
        """Take over the momentum means that the last batch led to."""
        self.means.commit()

    def tensors(self) -> dict[str, Tensor]:
        """The momentum means, for a checkpoint."""
        return self.means.tensors()

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from :meth:`tensors`."""
        self.means.load(tensors)

    def _rows(self, inputs: ScoreInputs) -> Tensor:
        """The loss of each row, [B]: its share of what its classes cost; their mean is that over classes."""
        check_implementation(inputs)
        check_inputs(_of_one_kind(inputs))
        dtype = torch.promote_types(inputs.queries.dtype, torch.float32)
        queries, labels, world = inputs.queries.to(dtype), inputs.labels.to(dtype), inputs.own_shard.world
        pairs = inputs.pairs
        columns, classes = torch.unique_consecutive(pairs.labels, return_inverse=True)
        rows = queries.new_zeros(pairs.num_rows)
        if not len(columns):
            return rows
        shares = class_shares(pairs, classes, len(columns), dtype)
        ids = columns if inputs.label_ids is None else inputs.label_ids.to(columns.device)[columns]

        # Pairs ascend by label: those of this rank's labels are a slice, and so are its classes.
        own_rows, own_columns, part = inputs.own_pairs()
        first = int(classes[part.start]) if part.stop > part.start else 0
        places = classes[part] - first
        own_labels = torch.unique_consecutive(own_columns)
        samples = queries[own_rows]
        weighted = shares[part, None] * samples
        current = deterministic_index_add(
            queries.new_zeros(len(own_labels), queries.shape[1]), places, weighted
        )
        extended = _with_offsets(labels, inputs)
        # A comparison passes over what is not a number: 0 times their sum is none either.
        rows = rows + sum_over_ranks(0 * extended.detach().sum(), world)
        # One sum over ranks for both: each class is on the rank of its label, and zero elsewhere.
        around = (0, 0, first, len(columns) - first - len(own_labels))
        joined = F.pad(torch.cat([current, extended[own_labels]], 1), around)
        means, own = sum_over_ranks(joined, world).tensor_split([queries.shape[1]], 1)

        before, kept = self.means.before(ids, means)
        own_classes = slice(first, first + len(own_labels))
        # Of this rank's classes the momentum mean is made of its own part alone, as the sum comes below.
        held = blended(current, before[own_classes], kept[own_classes])
        far = _lengths(samples - held[places]) - self.delta_v
        costs = self.alpha * far.clamp(min=0).square() + self.gamma * _lengths(held)[places]
        rows = sum_over_ranks(deterministic_index_add(rows, own_rows, shares[part] * costs), world)

        beyond = self._margins(inputs, means, own, extended, classes)
        rows = deterministic_index_add(rows.clone(), pairs.rows, self.beta * shares * beyond[classes])
        self.means.stage(ids, blended(means, before, kept))
        return rows * (len(rows) / len(columns))

    def _margins(
        self, inputs: ScoreInputs, means: Tensor, own: Tensor, labels: Tensor, classes: Tensor
    ) -> Tensor:
        """``[delta_d + distance]_+`` of each mean to the boundary it is nearest to, or most beyond: [C]."""
        shard, listed = inputs.own_shard, inputs.own_pairs(inputs.listed_pairs[0])[:2]
        excluded = excluded_pairs(*listed, inputs.pairs, classes, len(means))
        rivals = nearest_boundaries(
            means.detach(), own.detach(), labels.detach(), excluded, shard, inputs.tile_bytes
        )
        found = torch.nonzero(rivals >= 0)[:, 0]
        here = rivals[found] - shard.start
        held = torch.nonzero((here >= 0) & (here < len(labels)))[:, 0]
        others = labels.new_zeros(len(found), labels.shape[1]).index_copy(0, held, labels[here[held]])
        others = sum_over_ranks(others, shard.world)
        distances = signed_distances(means[found], own[found], others)
        return means.new_zeros(len(means)).index_copy(0, found, (self.delta_d + distances).clamp(min=0))


def _with_offsets(labels: Tensor, inputs: ScoreInputs) -> Tensor:
    """``(w_j, b_j)`` of this rank's labels, [l, D + 1]: a score is ``scale * (w.x + b)``."""
    if inputs.offsets is None:
        return F.pad(labels, (0, 1))
    return torch.cat([labels, (inputs.offsets / inputs.scale).to(labels.dtype)[:, None]], 1)


def _lengths(vectors: Tensor) -> Tensor:
    """[n] of [n, D]; the gradient at 0, where there is none, is 0."""
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=1)
    return lengths


def _of_one_kind(inputs: ScoreInputs) -> ScoreInputs:
    """What is checked: log weights, also those of rows apart, weigh a partition function; here is none."""
    return replace(inputs, apart=None, log_weights=None)


def objective(
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 0.001,
    delta_v: float = 0.5,
    delta_d: float = 0.3,
    momentum: float = 0.99,
    ramp: bool = True,
) -> DiscriminativeLoss:
    """The loss with momentum means of its own, empty as yet; see :func:`discriminative`.

    Raises:
        ConfigError: When an option is out of range.
    """
    means = ClassMeans(momentum, ramp)
    return DiscriminativeLoss(facts_of("discriminative"), alpha, beta, gamma, delta_v, delta_d, means)


@with_scoring_options
def discriminative(
    queries: Tensor,
    labels: Tensor,
    positives: PositivesLike,
    *,
    scale: float | Tensor = 20.0,
    reduction: Reduction = "mean",
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 0.001,
    delta_v: float = 0.5,
    delta_d: float = 0.3,
    momentum: float = 0.99,
    ramp: bool = True,
    **scoring: Unpack[ScoringOptions],
) -> Tensor:
    """Large margin discriminative loss of queries [B, D] against labels [L, D], of one batch by itself.

    The mean over the batch's classes c, the labels that are positives, of

    ``alpha * sum_i a_ic [||q_i - M_c|| - delta_v]_+^2 + beta * [delta_d + max_j (s_j(mu_c) - s_c(mu_c)) /
    (scale ||e_c - e_j||)]_+ + gamma * ||M_c||``

    with ``mu_c = sum_i a_ic q_i`` over the queries i that have c, where ``a_ic`` is in proportion to the part
    of c in i's relevance and adds up to 1, and j over the labels that come with c in no query of the batch.
    M_c is the momentum mean of :func:`objective`, which keeps it from batch to batch; here it is ``mu_c``.
    Arguments as for :func:`xmc.objectives.decoupled_softmax`, of which log weights and extra negatives have
    no effect, and:

    Args:
        alpha: Weight of compactness.
        beta: Weight of the margin.
        gamma: Weight of the lengths of the means.
        delta_v: Distance to its class mean up to which a query costs nothing.
        delta_d: Distance to the nearest boundary from which on a mean costs nothing. Where it is above
            ``delta_v``, a loss of 0 keeps each query ``delta_d - delta_v`` off every boundary of its class.
        momentum: Of the means from batch to batch; a batch by itself has none before it.
        ramp: Likewise; see :class:`xmc.objectives.classes.means.ClassMeans`.

    Returns:
        A scalar, or [B] for ``reduction="none"``, whose mean is that over classes; equal on every rank.

    Raises:
        ConfigError: When shapes, ids or options do not fit.
    """
    loss = objective(alpha, beta, gamma, delta_v, delta_d, momentum, ramp)
    return loss(ScoreInputs(queries, labels, positives, scale, **scoring), reduction)


Discriminative = loss_module(objective)
