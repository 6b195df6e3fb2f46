"""What an objective must say of its row statistic for scoring to compute it in tiles and on shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from xmc.distributed import World

__all__ = ["DirectStatistic", "RowStatistic", "Tile", "Walk", "tile_weights"]


@dataclass(frozen=True)
class Tile:
    """The scores of all B rows against t consecutive labels.

    Attributes:
        scores: [B, t] in float32 (float64 for float64 inputs); -inf at positives where the statistic masks
            them. Read-only: a later pass may see the same memory again.
        log_weights: [t], minus the log of each label's inclusion probability, or None when every label is in.
        scratch: [B, t], of the same type as ``scores``; the statistic may overwrite it.
        labels: [t, D], the labels' embeddings in the type they came in.
        positives: The row and the column of each positive in this tile; in its own row a positive is in the
            pool for certain, so a statistic that counts positives gives them the weight 1.
    """

    scores: Tensor
    log_weights: Tensor | None
    scratch: Tensor
    labels: Tensor | None = None
    positives: tuple[Tensor, Tensor] | None = None


def tile_weights(tile: Tile) -> Tensor | None:
    """``exp(log_weight)`` of each of a tile's scores, 1 at positives: [B, t], or None for 1 all over.

    For statistics that count positives; it takes memory of its own.
    """
    if tile.log_weights is None:
        return None
    weights = tile.log_weights.exp().expand(tile.scores.shape).clone()
    if tile.positives is not None:
        weights[tile.positives] = 1.0
    return weights


Walk = Callable[[], Iterator[Tile]]
"""Each call passes once over the tiles of this rank's labels."""


class RowStatistic(Protocol):
    """A function of each row's scores, with its derivative, computed without holding all scores.

    ``masks_positives`` says whether a row's positives are left out of its statistic.
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

        ``log_weights`` are [B, L] here, 0 at positives.
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
