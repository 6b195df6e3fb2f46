"""Options of batches of neighbouring queries. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xmc.errors import ConfigError
from xmc.training.options import at_least

__all__ = ["ClustersConfig"]


@dataclass(frozen=True)
class ClustersConfig:
    """Batches of neighbouring queries, so that one's positives are hard negatives of the next."""

    largest: int = 1
    """Neighbouring queries that share a batch in the end; it divides training.batch_size. 1: at random."""

    first: int = 2
    """Neighbours that share a batch at first; doubled up to the largest."""

    start_epoch: int = 1
    """Whole epochs of batches at random before the first clustering."""

    double_every: int = 1
    """Epochs between doublings."""

    refresh_every: int = 1
    """Epochs between clusterings of the current embeddings."""

    vectors: Literal["fresh", "kept"] = "fresh"
    """What is clustered: fresh encodes every query anew; kept takes what the steps of the last epoch encoded,
    up to an epoch old and with their dropout, and encodes only queries that no step has seen."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, counts out of range and blocks that cannot grow."""
        for name, lowest in (("largest", 1), ("double_every", 1), ("refresh_every", 1), ("start_epoch", 0)):
            at_least(f"negatives.clusters.{name}", getattr(self, name), lowest)
        if self.vectors not in ("fresh", "kept"):
            raise ConfigError(f"negatives.clusters.vectors: expected fresh or kept, got {self.vectors!r}")
        if self.largest > 1:
            at_least("negatives.clusters.first", self.first, 2)
            ratio = self.largest / self.first
            if ratio < 1 or ratio != 2 ** (int(ratio).bit_length() - 1):
                raise ConfigError(
                    "negatives.clusters.largest: expected first doubled some times over "
                    f"({self.first}, {2 * self.first}, {4 * self.first}, ...), got {self.largest}"
                )

    def size(self, epoch: int) -> int:
        """Queries of a cluster in an epoch, from 0.

        1 before ``start_epoch``, then ``first``, doubled up to the largest.
        """
        if epoch < self.start_epoch:
            return 1
        doublings = min((epoch - self.start_epoch) // self.double_every, 62)
        return min(self.largest, self.first << doublings)
