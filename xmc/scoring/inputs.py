"""What scoring is given: queries, labels, positives, and how the scores between them are made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from typing_extensions import TypedDict

from xmc.distributed import World, all_reduce_sum, sum_over_ranks
from xmc.errors import ConfigError
from xmc.scoring.moments import LabelMoments
from xmc.scoring.positives import Positives, PositivesLike, as_positives, join_pairs
from xmc.scoring.scaled_gradient import scaled_gradient

__all__ = [
    "DEFAULT_MEMORY_BYTES",
    "ExtraNegatives",
    "FrozenLabels",
    "LabelShard",
    "RowsApart",
    "ScoreInputs",
    "ScoringOptions",
    "check_inputs",
    "default_memory_bytes",
]

DEFAULT_MEMORY_BYTES = 256 << 20
"""On a CPU, and the least on a GPU."""

MOST_MEMORY_BYTES = 1 << 30
"""On a GPU of 64 GB and more."""

SHARE_OF_DEVICE = 64


def default_memory_bytes(device: torch.device) -> int:
    """Bytes for tiles of scores or of slopes on a device: a 64th of a GPU's memory, 256 MB to 1 GB.

    Larger slabs fill a large GPU's matrix units better; results are the same with any.
    """
    if device.type != "cuda":
        return DEFAULT_MEMORY_BYTES
    share = torch.cuda.get_device_properties(device).total_memory // SHARE_OF_DEVICE
    return min(MOST_MEMORY_BYTES, max(DEFAULT_MEMORY_BYTES, share))


@dataclass(frozen=True)
class LabelShard:
    """Where a rank's labels begin among all: from ``start`` on, of ``total``, shared with ``world``.

    A shard may be of any size, so bounds can be uneven; the shards of all ranks must cover ``range(total)``.
    """

    start: int
    total: int
    world: World

    @classmethod
    def whole(cls, num_labels: int) -> LabelShard:
        """All labels on one rank."""
        return cls(0, num_labels, World())


@dataclass(frozen=True, eq=False)
class FrozenLabels:
    """This rank's frozen labels: negatives of every row, scored without a gradient by two products.

    Attributes:
        embeddings: [f, D] without a gradient, of any floating type; a tile at a time is converted to the
            queries' type.
        log_weights: [f] float32, minus the log of each label's inclusion probability, -inf for labels that
            are left out; None when all are in.
        offsets: [f] without a gradient, added to the scores, or None.
        shard: Which of the frozen labels of all ranks these are.
        masked: Pairs [B, F] of rows and frozen labels, this rank's or all, that are no negatives of the row:
            positives of it that are scored nowhere. None for none.
    """

    embeddings: Tensor
    log_weights: Tensor | None
    offsets: Tensor | None
    shard: LabelShard
    masked: PositivesLike | None = None


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class RowsApart:
    """Rows of a batch for which labels were sampled with other chances than for the rest.

    Attributes:
        rows: bool [B], on the queries' device.
        log_weights: [l], what ``ScoreInputs.log_weights`` is to the rest.
    """

    rows: Tensor
    log_weights: Tensor


class ScoringOptions(TypedDict, total=False):
    """Keywords that every public objective passes on to :class:`ScoreInputs`, which says what they are."""

    offsets: Tensor | None
    log_weights: Tensor | None
    shard: LabelShard | None
    implementation: str
    memory_bytes: int | None
    extra: ExtraNegatives | None
    masked: PositivesLike | None
    apart: RowsApart | None


@dataclass(frozen=True, eq=False)
class ScoreInputs:
    """Everything an objective computes a loss from. A score is ``scale * q.e + offset``.

    Attributes:
        queries: [B, D], normalised or raw, the same on every rank.
        labels: [l, D], all labels or this rank's shard of them.
        positives: Of all L labels: SciPy sparse [B, L], torch sparse [B, L], boolean mask [B, L], B lists of
            label ids, or :class:`Positives`; floating values are relevance weights.
        scale: One over the temperature; a scalar tensor may carry a gradient. 1 for raw inner products.
        offsets: [l], added to every score of a label; may carry a gradient.
        log_weights: [l], minus the log of each label's inclusion probability where ``labels`` are a sample;
            they weigh labels in the row statistic and leave positives' scores alone.
        shard: Which labels these are when they are split over ranks; None for all of them on one rank.
        implementation: "auto", "tiled", "triton" or "dense"; see :func:`xmc.scoring.reduce_scores`.
        memory_bytes: What score tiles may take; None for what suits the device, see
            :func:`xmc.scoring.default_memory_bytes`.
        products: What embeddings are rounded to before they are multiplied, such as bfloat16 for a GPU's
            matrix units, which add up in float32; gradients keep their type. None for as they are.
        extra: Negatives beside the weighted labels.
        masked: Pairs in any form of ``positives``, none of them positive, that are left out: the label is
            neither a positive nor a negative of the row, such as an item of itself. They have no term, and no
            part in a row's statistic.
        apart: Rows with log weights of their own, such as labels that are queries of themselves.
        batch_index: Which batch of a run this is: what a margin draws or anneals by.
        label_ids: [L] int64, what the labels of all ranks are called from batch to batch where they are a
            sample, for losses that keep something of each; None for their columns.
        row_weights: [B], above 0 and without a gradient, what each row counts for in the mean or the sum of
            the rows' losses; None for 1 each. See :func:`xmc.objectives.objective.reduce_rows`.
        targets: Pairs in any form of ``positives`` whose values are probabilities that teachers give, those
            of a row adding up to at most 1; for losses that are told more than the positives. None for none.
    """

    queries: Tensor
    labels: Tensor
    positives: PositivesLike
    scale: float | Tensor = 20.0
    offsets: Tensor | None = None
    log_weights: Tensor | None = None
    shard: LabelShard | None = None
    implementation: str = "auto"
    memory_bytes: int | None = None
    products: torch.dtype | None = None
    extra: ExtraNegatives | None = None
    masked: PositivesLike | None = None
    apart: RowsApart | None = None
    batch_index: int = 0
    targets: PositivesLike | None = None
    label_ids: Tensor | None = None
    row_weights: Tensor | None = None

    @cached_property
    def own_shard(self) -> LabelShard:
        """The shard, also where all labels are on one rank."""
        return self.shard or LabelShard.whole(len(self.labels))

    @property
    def tile_bytes(self) -> int:
        """What score tiles may take."""
        return default_memory_bytes(self.queries.device) if self.memory_bytes is None else self.memory_bytes

    @cached_property
    def pairs(self) -> Positives:
        """The positives as P pairs over the labels of all ranks, on the queries' device; read once.

        Raises:
            ConfigError: When their shape, ids or weights do not fit.
        """
        return as_positives(self.positives, len(self.queries), self.own_shard.total, self.queries.device)

    @cached_property
    def masked_pairs(self) -> Positives | None:
        """The masked pairs over the labels of all ranks, or None when there is none; read once.

        Raises:
            ConfigError: When their shape or ids do not fit.
        """
        if self.masked is None:
            return None
        shape = len(self.queries), self.own_shard.total
        masked = as_positives(self.masked, *shape, self.queries.device)
        return masked if len(masked) else None

    @cached_property
    def listed_pairs(self) -> tuple[Positives, Tensor]:
        """The positives and the masked pairs in one list, and which of them are positives: [P] bool.

        Raises:
            ConfigError: When their shape or ids do not fit, or a pair is both.
        """
        if self.masked_pairs is None:
            return self.pairs, torch.ones(len(self.pairs), dtype=torch.bool, device=self.queries.device)
        return join_pairs(self.pairs, self.masked_pairs, "masked pairs apart from the positives")

    def left_out(self, positives_too: bool) -> Positives | None:
        """The pairs that a row statistic is not to see: the masked ones, and the positives where it masks."""
        return self.listed_pairs[0] if positives_too else self.masked_pairs

    def own_pairs(self, pairs: Positives | None = None) -> tuple[Tensor, Tensor, slice]:
        """The rows and the columns of pairs within this rank's labels, and where they are in P.

        Of the positives when ``pairs`` is None.
        """
        pairs = self.pairs if pairs is None else pairs
        # Pairs ascend by label, so that the shard's are a slice of P: rows, columns within the shard, slice.
        start = self.own_shard.start
        if len(self.labels) == pairs.num_labels:
            part = slice(0, len(pairs))  # on one rank there is nothing to look for, nor a GPU to wait for
        else:
            part = pairs.label_slices([start, start + len(self.labels)])[0]
        return pairs.rows[part], pairs.labels[part] - start, part

    def num_labels_stood_for(self) -> float:
        """How many labels the scored ones stand for over all ranks: L, or ``sum_j exp(log_weight_j)``.

        Over W ranks: one all-reduce of a number where ``log_weights`` are given.
        """
        if self.log_weights is None:
            return float(self.own_shard.total)
        # Horvitz-Thompson: the sum of the inverse inclusion probabilities of a sample estimates L.
        own = self.log_weights.detach().double().exp().sum()
        return all_reduce_sum(own, self.own_shard.world).item()

    def on_one_rank(self) -> ScoreInputs:
        """The same with the labels of all ranks, for a loss that wants them all at once.

        Every rank then computes the whole loss. Gradients stay what scoring promises: whole for this rank's
        labels and offsets, this rank's part (one of W equal ones) for queries and scale, which are summed
        over ranks elsewhere. Over W ranks: an all-reduce of L x D numbers, and one of L for offsets and for
        each kind of log weights.
        """
        shard = self.own_shard
        if shard.world.size == 1:
            return self
        # Each rank's copy of the loss gives the whole gradient of queries and scale; those are summed over
        # ranks later, so each passes on one part of W.
        share = 1.0 / shard.world.size
        return replace(
            self,
            queries=scaled_gradient(self.queries, share),
            labels=_of_all_ranks(self.labels, shard),
            positives=self.pairs,
            masked=self.masked_pairs,
            scale=scaled_gradient(self.scale, share) if isinstance(self.scale, Tensor) else self.scale,
            offsets=None if self.offsets is None else _of_all_ranks(self.offsets, shard),
            log_weights=None if self.log_weights is None else _of_all_ranks(self.log_weights, shard),
            apart=None
            if self.apart is None
            else replace(self.apart, log_weights=_of_all_ranks(self.apart.log_weights, shard)),
            shard=None,
        )

    def positive_mask(self) -> Tensor:
        """The positives as a boolean mask [B, L] on the queries' device; relevance weights are not in it."""
        return self.mask_of(self.pairs)

    def mask_of(self, pairs: Positives | None) -> Tensor:
        """Some pairs as a boolean mask [B, L] on the queries' device, all false for None."""
        shape, device = (len(self.queries), self.own_shard.total), self.queries.device
        mask = torch.zeros(shape, dtype=torch.bool, device=device)
        # [B, L]: for the oracle and for plain losses, which hold the scores anyway.
        if pairs is not None:
            mask[pairs.rows, pairs.labels] = True
        return mask


def _of_all_ranks(own: Tensor, shard: LabelShard) -> Tensor:
    """[L, ...] from this rank's [l, ...]; a sum, as shards may have any bounds."""
    padded = own.new_zeros(shard.total, *own.shape[1:])
    # Not written in place: the gradient has to come back through it.
    padded = torch.cat([padded[: shard.start], own, padded[shard.start + len(own) :]])
    return sum_over_ranks(padded, shard.world)


def check_inputs(inputs: ScoreInputs) -> None:
    """Check that what scoring is given fits together.

    Raises:
        ConfigError: When it does not; the text names what.
    """
    queries, labels, shard = inputs.queries, inputs.labels, inputs.own_shard
    if queries.ndim != 2 or labels.ndim != 2 or queries.shape[1] != labels.shape[1]:
        raise ConfigError(
            f"expected queries [B, D] and labels [l, D] of one dimension D, got {list(queries.shape)} and "
            f"{list(labels.shape)}"
        )
    _ = inputs.listed_pairs  # refuses pairs of another shape, and pairs that are both
    if not 0 <= shard.start <= shard.start + len(labels) <= shard.total or (
        shard.world.size == 1 and len(labels) != shard.total
    ):
        raise ConfigError(
            f"expected a shard within the {shard.total} labels, and all of them on one rank, got "
            f"{len(labels)} labels from {shard.start} on in a world of {shard.world.size}"
        )
    # Weights are a fact of the sampling; a gradient to them would move probabilities that nobody draws by.
    if inputs.log_weights is not None and inputs.log_weights.requires_grad:
        raise ConfigError(
            "expected log_weights without a gradient, got one that requires it; learn offsets instead"
        )
    if inputs.apart is not None:
        raise ConfigError(
            "expected rows of one kind, got some apart: score each of row_parts by itself, as "
            "xmc.objectives.objective.StatisticOfScores does"
        )
    for name, vector in (("offsets", inputs.offsets), ("log_weights", inputs.log_weights)):
        if vector is not None and vector.shape != (len(labels),):
            raise ConfigError(
                f"expected {name} of shape [{len(labels)}], one per label, got {list(vector.shape)}"
            )
