"""One found label."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Hit"]


@dataclass(frozen=True)
class Hit:
    """One found label."""

    label: int
    """Its id: for a data set's labels their row there."""
    uid: str
    text: str
    score: float
    """``q.e + offset / scale``: a cosine for normalised embeddings without offsets."""
    approximate: bool = False
    """True where the index compresses vectors (PQ, SQ, PCA to fewer dimensions): so does the score."""
