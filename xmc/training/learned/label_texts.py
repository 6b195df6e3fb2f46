"""Which text of a label a step encodes, where labels have several: one drawn anew, or the first.

With every text as likely as another, the gradient of a step is that of the mean loss over texts: each learns
to meet the label's queries by itself, which is what a score by the best text asks of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmc.data import TokenRows
from xmc.random_streams import Stream, generator

__all__ = ["FirstTexts", "LabelTextRows"]


@dataclass(frozen=True, eq=False)
class LabelTextRows:
    """Rows of texts that lie label by label.

    Attributes:
        bounds: int64 [L + 1]; label ``i`` has the rows ``bounds[i]`` up to ``bounds[i + 1]``.
        seed: Of the run.
        random: Whether a text is drawn; else the first is taken.
    """

    bounds: NDArray[np.int64]
    seed: int
    random: bool = True

    def of_batch(self, label_ids: NDArray[np.int64], batch_index: int) -> NDArray[np.int64]:
        """A row for each label [n] of a batch's pool, the same on every rank that asks for the whole pool."""
        first = self.bounds[label_ids]
        if not self.random:
            return first
        counts = self.bounds[label_ids + 1] - first
        places = generator(self.seed, Stream.LABEL_TEXTS, batch_index).random(len(label_ids))
        return first + (places * counts).astype(np.int64)

    def all_of(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All rows of the labels ``start:stop``, and the bounds of each label's among them."""
        low, high = self.bounds[start], self.bounds[stop]
        return np.arange(low, high), self.bounds[start : stop + 1] - low


@dataclass(frozen=True, eq=False)
class FirstTexts:
    """The tokens of each label's first text, by label, out of those of all texts."""

    tokens: TokenRows
    bounds: NDArray[np.int64]

    def __len__(self) -> int:
        """L."""
        return len(self.bounds) - 1

    def gather(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Flat ids int32 [t] and offsets int64 [n + 1] of labels [n]."""
        return self.tokens.gather(self.bounds[rows])
