"""Draws that do not look at the batch: each says every label's inclusion probability and draws by it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from xmc.distributed import shard_bounds
from xmc.errors import ConfigError
from xmc.training.batches.pools.inclusion import stratified_inclusion, tempered_inclusion

__all__ = ["LabelDraw", "TemperedDraw", "UniformDraw"]


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
        option: str = "negatives.uniform",
    ) -> None:
        """Prepare the draw; with the batch's index, ``seed`` decides it. ``option`` is what an error names.

        Raises:
            ConfigError: When ``count`` is not in [1, L], or a stratum would have none drawn.
        """
        if not 1 <= count <= num_labels:
            raise ConfigError(
                f"{option}: expected between 1 and the {num_labels} labels, got {count}; "
                "use mode 'all' to score every label"
            )
        self.count, self.strata, self.seed = count, strata, seed
        self.inclusion = stratified_inclusion(num_labels, count, strata)

    def add_to(self, included: np.ndarray, batch_index: int) -> None:
        """See :class:`LabelDraw`."""
        if self.strata == 1:
            generator = np.random.default_rng((self.seed, batch_index))
            included[generator.choice(len(included), self.count, replace=False, shuffle=False)] = True
            return
        for stratum in range(self.strata):
            included[self.stratum(stratum, batch_index)] = True

    def stratum(self, stratum: int, batch_index: int) -> np.ndarray:
        """The labels drawn from one shard, which needs nothing of the others."""
        start, stop = shard_bounds(len(self.inclusion), stratum, self.strata)
        first, last = shard_bounds(self.count, stratum, self.strata)
        # 12 and 11 are streams of their own: draws of one batch must be independent for the union's formula.
        generator = np.random.default_rng((self.seed, batch_index, 12, stratum))
        return start + generator.choice(stop - start, last - first, replace=False, shuffle=False)


class TemperedDraw:
    """Each label on its own with a chance that goes with its tempered frequency (Poisson sampling).

    Probabilities are exact; the number drawn varies, by a standard deviation of at most the root of its mean.
    """

    def __init__(self, label_counts: np.ndarray, expected: int, alpha: float, *, seed: int = 0) -> None:
        """Prepare the draw; see :func:`xmc.training.batches.pools.inclusion.tempered_inclusion`."""
        self.inclusion = tempered_inclusion(label_counts, expected, alpha)
        self.seed = seed

    def add_to(self, included: np.ndarray, batch_index: int) -> None:
        """See :class:`LabelDraw`."""
        generator = np.random.default_rng((self.seed, batch_index, 11))
        # Poisson sampling: a coin for each label, with exactly the chance it should have. At a fixed size
        # unequal chances would have no such simple form. Coins are below 1, so a chance of 1 is certain.
        included |= generator.random(len(included)) < self.inclusion
