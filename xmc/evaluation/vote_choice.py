"""Weight and temperature of the vote of training queries, by what it comes to on rows none has learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data.sparse_rows import SparseRows
from xmc.evaluation.mildest import Tried, mildest
from xmc.evaluation.weights import Measure
from xmc.retrieval.ensemble_options import VoteOptions
from xmc.retrieval.fusion import Lists
from xmc.retrieval.vote import label_votes, with_votes

__all__ = ["FIRST", "TEMPERATURES", "WEIGHTS", "ChosenVote", "choose_vote"]

WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
TEMPERATURES = (0.02, 0.05, 0.1, 0.2)

FIRST = 10
"""Labels of a list by which it is told how much a vote changes."""


@dataclass(frozen=True)
class ChosenVote:
    """The vote that was chosen, and what it comes to on the rows it was chosen on."""

    options: VoteOptions | None
    """None where no vote helps."""
    metrics: Mapping[str, float]
    """With it, in percent."""
    alone: Mapping[str, float]
    """Of the labels' own scores."""


def choose_vote(
    labels: Lists,
    queries: Lists,
    relevance: sp.csr_matrix,
    measure: Measure,
    metric: str,
    *,
    keep: Sequence[str] = ("P@1",),
    exclude: sp.csr_matrix | None = None,
    k: int = 100,
) -> ChosenVote:
    """The pair of `WEIGHTS` and `TEMPERATURES` that raises ``metric`` and is the mildest as good as the best.

    See `mildest`; no vote is the mildest of all, and a vote changes as much as it takes from the first
    `FIRST` labels of a list.

    Args:
        labels: Label ids [N, K] of the rows, and their scores.
        queries: Their nearest training queries [N, K], themselves not among them.
        relevance: Labels of the training queries, [M, L].
        measure: Of rankings of the rows; ``metric`` and ``keep`` among its metrics.
        metric: More is better.
        keep: Metrics that must not fall.
        exclude: [N, L], pairs that get no votes.
        k: Labels of a list.
    """
    alone = measure(labels[0][:, :k])
    tried: list[Tried[VoteOptions | None]] = [Tried(None, alone, measure.rows(labels[0][:, :k], metric), 0.0)]
    for temperature in TEMPERATURES:
        votes = label_votes(queries, relevance, temperature)
        if exclude is not None:
            votes = votes.without(SparseRows.of(exclude))
        for weight in WEIGHTS:
            options = VoteOptions(weight, temperature)
            ids = with_votes(labels, votes, options, k)[0]
            found = measure(ids)
            if found[metric] > alone[metric] and all(found[name] >= alone[name] for name in keep):
                change = 1 - _shared(ids[:, :FIRST], labels[0][:, :FIRST])
                tried.append(Tried(options, found, measure.rows(ids, metric), change))
    chosen = mildest(tried, measure.same)
    return ChosenVote(chosen.options, chosen.metrics, alone)


def _shared(ids: NDArray[np.integer], own: NDArray[np.integer]) -> float:
    """The mean share of the ids [N, m] of a row that are in its row of ``own`` [N, n]."""
    return float((ids[:, :, None] == own[:, None, :]).any(axis=2).mean())
