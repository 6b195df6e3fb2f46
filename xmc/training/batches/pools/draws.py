"""Random sets of labels that join a pool whatever the batch is, and each label's probability to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from xmc.distributed import shard_bounds
from xmc.errors import ConfigError
from xmc.random_streams import Stream, generator
from xmc.training.batches.pools.inclusion import stratified_inclusion, tempered_inclusion

__all__ = ["LabelDraw", "LabelRows", "TemperedDraw", "UniformDraw"]


class LabelDraw(Protocol):
    """A random set of labels, independent of the batch and of other draws.

    What brings labels of its own into every pool needs no more than this; give it to
    :func:`xmc.training.batches.build_batches`. A draw decided by a seed and the batch's index is the same on
    every rank, and needs no state in a checkpoint.
    """

    inclusion: np.ndarray
    """[L] float64, each label's probability to be drawn."""

    def add_to(self, included: np.ndarray, batch_index: int) -> None:
        """Mark the labels drawn for batch ``batch_index`` in ``included`` [L] bool, in place."""
        ...


class UniformDraw:
    """``count`` labels uniformly without replacement, or equal shares of them from equal label shards."""

    def __init__(
        self,
        num_labels: int,
        count: int,
        *,
        strata: int = 1,
        seed: int = 0,
        stream: Stream = Stream.UNIFORM_LABELS,
        option: str = "negatives.uniform",
    ) -> None:
        """Prepare the draw.

        Args:
            num_labels: L.
            count: How many to draw.
            strata: Label shards that are drawn from apart.
            seed: With the batch's index, decides the draw.
            stream: Decides it too, with the counters of UNIFORM_LABELS. A second uniform draw into the pools
                of one run needs another stream or seed.
            option: What an error names.

        Raises:
            ConfigError: When ``count`` is not in [1, L], or a stratum would have none drawn.
        """
        if not 1 <= count <= num_labels:
            raise ConfigError(
                f"{option}: expected between 1 and the {num_labels} labels, got {count}; "
                "use mode 'all' to score every label"
            )
        self.count, self.strata, self.seed, self.stream = count, strata, seed, stream
        self.inclusion = stratified_inclusion(num_labels, count, strata)

    def add_to(self, included: np.ndarray, batch_index: int) -> None:
        """See :class:`LabelDraw`."""
        for stratum in range(self.strata):
            included[self.stratum(stratum, batch_index)] = True

    def stratum(self, stratum: int, batch_index: int) -> np.ndarray:
        """The labels drawn from one shard, which needs nothing of the others."""
        start, stop = shard_bounds(len(self.inclusion), stratum, self.strata)
        first, last = shard_bounds(self.count, stratum, self.strata)
        draw = generator(self.seed, self.stream, batch_index, stratum)
        return start + draw.choice(stop - start, last - first, replace=False, shuffle=False)


class TemperedDraw:
    """Each label on its own with a chance that goes with its tempered frequency (Poisson sampling).

    The number drawn varies, with a standard deviation of at most the root of its mean; the probabilities are
    exact.
    """

    def __init__(self, label_counts: np.ndarray, expected: int, alpha: float, *, seed: int = 0) -> None:
        """Prepare the draw; see :func:`xmc.training.batches.pools.inclusion.tempered_inclusion`."""
        self.inclusion = tempered_inclusion(label_counts, expected, alpha)
        self.seed = seed

    def add_to(self, included: np.ndarray, batch_index: int) -> None:
        """See :class:`LabelDraw`."""
        # Poisson sampling: a coin for each label, with exactly the chance it should have. At a fixed size
        # unequal chances would have no such simple form. Coins are below 1, so a chance of 1 is certain.
        draw = generator(self.seed, Stream.TEMPERED_LABELS, batch_index)
        included |= draw.random(len(included)) < self.inclusion


@dataclass(frozen=True)
class LabelRows:
    """Labels that join a batch as queries of themselves.

    Attributes:
        first: Their row ids are ``first`` plus the label's; those of training rows are below.
        draw: Which do: in the pool as positives of their own rows.
    """

    first: int
    draw: UniformDraw

    def inclusion(self) -> float:
        """The probability that a label joins a batch which another one has joined."""
        others = len(self.draw.inclusion) - 1
        # Of count drawn without replacement one is the row's own: the rest are a draw of the other labels.
        return (self.draw.count - 1) / others if others else 0.0
