"""What an objective must say of its row statistic for scoring to compute it in tiles and on shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from xmc.distributed import World

__all__ = [
    "DirectStatistic",
    "Fold",
    "FusedStatistic",
    "InPlaceStatistic",
    "RowNumbers",
    "RowStatistic",
    "Scan",
    "Tile",
    "Walk",
    "tile_weights",
]


@dataclass(frozen=True)
class Tile:
    """The scores of all B rows against t consecutive labels.

    Attributes:
        scores: [B, t] in float32 (float64 for float64 inputs); -inf at masked pairs, and at positives where
            the statistic masks them. Read-only, as a later pass may see the same memory again, but where an
            :class:`InPlaceStatistic` is asked to write there.
        log_weights: [t], minus the log of each label's inclusion probability, or None when every label is in.
        scratch: [B, t], of the same type as ``scores``; the statistic may overwrite it.
        labels: [t, D], the labels' embeddings in the type they came in.
        positives: The row and the column of each positive in this tile; in its own row a positive is in the
            pool for certain, so a statistic that counts positives gives them the weight 1.
        masked: The row and the column of each masked pair in this tile, None for none; a statistic gives them
            the weight 0.
    """

    scores: Tensor
    log_weights: Tensor | None
    scratch: Tensor
    labels: Tensor | None = None
    positives: tuple[Tensor, Tensor] | None = None
    masked: tuple[Tensor, Tensor] | None = None


def tile_weights(tile: Tile) -> Tensor | None:
    """``exp(log_weight)`` of each score of a tile, 1 at positives, 0 at masked pairs: [B, t]; None for all 1.

    For statistics that count positives; it takes memory of its own.
    """
    if tile.log_weights is None and tile.masked is None:
        return None
    # [t] weights would do but for the few pairs whose row brought the label itself, or is not to see it.
    one = tile.scores.new_ones(())
    weights = (one if tile.log_weights is None else tile.log_weights.exp()).expand(tile.scores.shape).clone()
    if tile.positives is not None:
        weights[tile.positives] = 1.0
    if tile.masked is not None:
        weights[tile.masked] = 0.0
    return weights


Walk = Callable[[], Iterator[Tile]]
"""Each call passes once over the tiles of this rank's labels."""


class RowStatistic(Protocol):
    """A function of each row's scores, with its derivative, computed without holding all scores.

    ``masks_positives`` says whether a row's positives are left out of its statistic; masked pairs are always.
    One that masks them, and knows a label's score and log weight by their sum alone, may say so by
    ``adds_log_weights = True``: scoring may then give it the sum as the score, without a pass over a tile.
    """

    masks_positives: bool

    def reduce(self, walk: Walk, num_rows: int, like: Tensor, world: World) -> Tensor:
        """The statistic [B] over the labels of all ranks, from as many passes over the tiles as it takes.

        Args:
            walk: Passes over this rank's tiles.
            num_rows: B.
            like: A tensor whose type and device the statistic takes.
            world: The ranks to merge over.
        """
        ...

    def tile_gradient(self, tile: Tile, statistic: Tensor, gradient: Tensor) -> Tensor:
        """``gradient[i] * d statistic[i] / d scores[i, j]``: [B, t], written to ``tile.scratch``.

        Masked scores get zero.
        """
        ...

    def dense(self, scores: Tensor, log_weights: Tensor | None) -> Tensor:
        """The statistic of scores [B, L] by plain differentiable operations: the oracle.

        ``log_weights`` are [B, L] here, 0 at positives; what is left out has a score or a weight of -inf.
        """
        ...


@runtime_checkable
class DirectStatistic(RowStatistic, Protocol):
    """A statistic whose derivative by the queries can be had in its one forward pass.

    Scoring asks for it where labels and offsets carry no gradient: two matrix products instead of four.
    """

    def reduce_with_direction(self, walk: Walk, direction: Tensor, like: Tensor, world: World) -> Tensor:
        """The statistic [B], as from :meth:`reduce`, and what the queries' gradient needs of the labels.

        Args:
            walk: Passes over this rank's tiles.
            direction: [B, D] zeros, to be filled with ``sum_j d statistic[i] / d scores[i, j] * labels[j]``
                over this rank's labels.
            like: A tensor whose type and device the statistic takes.
            world: The ranks to merge over.
        """
        ...


@runtime_checkable
class InPlaceStatistic(RowStatistic, Protocol):
    """A statistic whose one pass can leave in the place of the scores what its gradient is made of.

    Scoring asks for it where it keeps all scores: what is dear, such as exponentials, is then done once. A
    subclass with a ``reduce`` or a ``tile_gradient`` of its own, and these inherited, goes the usual way.
    """

    def reduce_in_place(
        self, walk: Walk, num_rows: int, like: Tensor, world: World
    ) -> tuple[Tensor, list[Tensor]]:
        """The statistic [B], as from :meth:`reduce`, from one pass that overwrites ``tile.scores``.

        Returns:
            The statistic, and for each tile the numbers [B] of its rows that :meth:`gradient_in_place` needs.
        """
        ...

    def gradient_in_place(self, tile: Tile, numbers: Tensor, statistic: Tensor, gradient: Tensor) -> Tensor:
        """As :meth:`tile_gradient`, in the place of what :meth:`reduce_in_place` left: ``tile.scores``."""
        ...


@dataclass(frozen=True)
class Fold:
    """Triton functions that fold tiles of scores into a state of every row, on the GPU.

    A tile is scores [m, n] float32 of m rows and n labels, -inf beyond the last label, at masked pairs, which
    count as nothing, and at positives where the statistic masks them; log_weights [n], 0 when every label is
    in and -inf beyond the last; own [m, n], true at the row's own positives where the statistic counts them
    and labels are weighted, so that they get the weight 1; and the row numbers first [m], second [m] and
    constant.

    Attributes:
        start: ``start(m)``: the state before any tile, a tuple of blocks.
        add: ``add(state, scores, log_weights, own, first, second, constant)``: the state after one more.
        store: ``store(out, rows, inside, num_rows, state)``: write the state of ``rows`` [m], where
            ``inside``; number c of row i goes to ``out + c * num_rows + i``.
        columns: How many numbers a row has.
        narrow: Whether ``add`` holds several numbers of each score at once, so that a tile is to have fewer
            labels.
    """

    start: Any
    add: Any
    store: Any
    columns: int
    narrow: bool = False


@dataclass(frozen=True)
class RowNumbers:
    """What elementwise formulas of a statistic need of a row besides its scores.

    Attributes:
        first: [B] float32, or None when not needed.
        second: [B] float32, or None when not needed.
        constant: The same for all rows.
    """

    first: Tensor | None = None
    second: Tensor | None = None
    constant: float = 0.0


Scan = Callable[[Fold, RowNumbers], Tensor]
"""One pass over this rank's labels: the states [parts, columns, B] float32 of disjoint parts of them."""


@runtime_checkable
class FusedStatistic(RowStatistic, Protocol):
    """A statistic whose formulas exist as Triton functions too, so that no score leaves a GPU's registers.

    Imports Triton when it is asked to, and not before.
    """

    def reduce_fused(self, scan: Scan, like: Tensor, world: World) -> Tensor:
        """The statistic [B], as from :meth:`reduce`, from as many scans as it takes."""
        ...

    def fused_slope(self, statistic: Tensor, gradient: Tensor) -> tuple[Any, RowNumbers]:
        """What :meth:`tile_gradient` computes, as a Triton function of a tile and its row numbers.

        The function is ``slope(scores, log_weights, own, first, second, constant)``, see :class:`Fold`.
        """
        ...
