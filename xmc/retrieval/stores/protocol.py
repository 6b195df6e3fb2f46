"""What a store of label vectors can do; the index is built on this and knows no kind."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["SearchedStore", "VectorStore"]

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class SearchedStore(Protocol):
    """What a search asks of a store of vectors [*, W] by *slot*; see `VectorStore`."""

    width: int
    """W: the embeddings' dimension, and one more where labels have offsets."""
    comparable: bool
    """Whether the scores of `nearest` are those of `vectors` up to rounding, so that a cut among them can be
    told to be no tie."""

    @property
    def reachable(self) -> int:
        """Vectors that `nearest` may return, those of dead slots that were not forgotten among them."""

    def nearest(self, queries: Floats, fetch: int, k: int) -> tuple[Floats, Ints]:
        """Scores and slots, both [N, f], of the best vectors for finite queries [N, W], best first.

        ``fetch`` is a wish for f, from a search for the ``k`` best; -1 and -inf pad.
        """

    def vectors(self, slots: Ints) -> Floats | None:
        """The vectors [n, W] of slots [n], as they are scored; None where only the store itself can score."""


class VectorStore(SearchedStore, Protocol):
    """Vectors [*, W] by *slot*: the number of vectors that were added before one. W is the width.

    A slot is never used again, and a label's vector is in one slot at a time: what a label's slot is, and
    which slots are nobody's any more, the index knows.
    """

    keeps_dead: bool
    """Whether vectors that were to be forgotten stay."""

    @property
    def lists(self) -> int:
        """Of an IVF index; 0 of any other."""

    @property
    def next_slot(self) -> int:
        """The slot of the next vector."""

    @property
    def is_trained(self) -> bool:
        """Whether vectors can be added."""

    def train(self, vectors: Floats) -> None:
        """Learn lists, codes or means from a sample [n, W]."""

    def add(self, vectors: Floats) -> None:
        """Append finite vectors [n, W]."""

    def forget(self, slots: Ints) -> None:
        """Let go of vectors where that is possible; elsewhere they stay, and the index passes over them."""

    def exact_vectors(self) -> bool:
        """Whether `vectors` gives what was added, to the bit."""

    def tune(self, parameters: dict[str, int]) -> None:
        """Set how much is looked at in a search: those of `knobs`, others are left alone."""

    def knobs(self) -> dict[str, int]:
        """What `tune` can set, as it is set."""

    def write(self, folder: Path) -> list[str]:
        """Write files into a folder and name them."""
