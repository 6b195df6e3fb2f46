"""What speaks for each label that an ensemble ranks, in numbers that compare from query to query.

What ranks beside a model is moved to 0 to 1 in each list before it is added, so that the sums order a query's
labels and say little whether any of them fits. The model's own scores and those of classifiers of words do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xmc.retrieval.fusion import Lists

__all__ = ["EVIDENCE", "Ranked", "gather_evidence"]

EVIDENCE = ("score", "model", "best", "said", "unsaid")
"""Of a label: the ensemble's score; the model's, or its list's last; the model's best score of the query;
what the label's classifier says, or 0; 1 where it says nothing, else 0."""

_BLOCK = 512


class Ranked(NamedTuple):
    """Labels ranked for N texts, best first."""

    ids: NDArray[np.int64]
    """[N, k], -1 pads."""
    scores: NDArray[np.float32]
    """[N, k], -inf pads."""
    evidence: NDArray[np.float64] | None = None
    """[N, k, 5], where it was asked for and the model does not rank alone: its scores then say all."""


def gather_evidence(labels: Lists, said: NDArray[np.floating] | None, found: Lists) -> NDArray[np.float64]:
    """The evidence [N, k, 5] of what was found, by `EVIDENCE`; zeros for pads.

    Args:
        labels: The model's lists [N, K], best first, -1 pads.
        said: [N, K], what classifiers say of those, NaN where they say nothing; None without any.
        found: Label ids and scores of the ensemble, [N, k].
    """
    ids, scores = found
    evidence = np.zeros((*ids.shape, len(EVIDENCE)))
    for start in range(0, len(ids), _BLOCK):
        rows = slice(start, start + _BLOCK)
        own, given = labels[0][rows], labels[1][rows].astype(np.float64)
        same = (ids[rows, :, None] == own[:, None, :]) & (own >= 0)[:, None, :]
        place, listed = same.argmax(axis=2), same.any(axis=2)
        last = np.where(own >= 0, given, np.inf).min(axis=1, initial=np.inf)[:, None]
        model = np.where(listed, np.take_along_axis(given, place, axis=1), last)
        heard = np.full(own.shape, np.nan) if said is None else said[rows].astype(np.float64)
        judged = np.where(listed, np.take_along_axis(heard, place, axis=1), np.nan)
        silent = np.isnan(judged)
        best = np.broadcast_to(given[:, :1], model.shape)
        parts = (scores[rows], model, best, np.where(silent, 0.0, judged), silent)
        block = np.stack([np.asarray(part, dtype=np.float64) for part in parts], axis=2)
        evidence[rows] = np.where(((ids[rows] >= 0) & np.isfinite(last))[:, :, None], block, 0.0)
    return evidence
