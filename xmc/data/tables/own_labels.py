"""Queries that are labels themselves, as related items are: pairs that no ranking should begin with."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import scipy.sparse as sp

from xmc.counted import counted
from xmc.data.tables.clicks import Clicks
from xmc.data.tables.labels import LabelTexts

__all__ = ["OwnLabels", "own_labels", "pairs_to_filter"]

OwnLabels = Literal["auto", "filter", "keep"]
"""What becomes of a label that is the query itself: left out of training and rankings, or not."""

ITEMS = 0.5
"""From this share of queries that are labels on, the queries are the labels' own kind, if they never choose
themselves."""
CHOSEN = 0.01
"""Up to this share of such queries with a click on themselves, they never do: a slip of who clicked."""
WORTH_SAYING = 0.1
"""From this share of queries that are labels on, where they are left as they are."""

_log = logging.getLogger(__name__)


def own_labels(texts: Sequence[tuple[str | None, str, str]], labels: LabelTexts) -> np.ndarray:
    """The label that each query is, by its title, or -1: int64 [N].

    Of several labels of that title it is the one of the query's uid, and none where that tells nothing.

    Args:
        texts: uid or None, title and content of each query.
        labels: Those there are.
    """
    found = (labels.of_title(title, uid) if title else None for uid, title, _ in texts)
    return np.fromiter((-1 if label is None else label for label in found), dtype=np.int64, count=len(texts))


def pairs_to_filter(
    names: str,
    clicks: Mapping[str, Clicks],
    relevance: Mapping[str, sp.csr_matrix],
    labels: LabelTexts,
    choice: OwnLabels,
) -> dict[str, np.ndarray]:
    """The label of each query that no ranking of it should have, or -1: int64 [N] of each part.

    A click of a query on itself stands, whatever ``choice`` is. "auto" filters where half of the queries or
    more are labels, and at most one in a hundred of those was clicked for itself. What is done is logged.

    Args:
        names: Of the files, for the log.
        clicks: N queries of each part.
        relevance: [N, L] of the clicks of each part.
        labels: L labels.
        choice: What the user wants.
    """
    own = {part: own_labels(folded.texts, labels) for part, folded in clicks.items()}
    num_queries, num_own, num_chosen = sum(map(len, own.values())), 0, 0
    for part, found in own.items():
        pairs = relevance[part].tocoo()
        chosen = pairs.row[found[pairs.row] == pairs.col]
        num_own, num_chosen = num_own + int((found >= 0).sum()), num_chosen + len(chosen)
        found[chosen] = -1
    said = (
        f"{names}: {num_own:,} of {counted(num_queries, 'query', 'queries')} are labels themselves, of which "
        f"{num_chosen:,} were clicked for themselves"
    )
    items = num_own >= ITEMS * num_queries and num_chosen <= CHOSEN * num_own
    if num_own > num_chosen and (choice == "filter" or (choice == "auto" and items)):
        _log.info(
            "%s: the others are left out of their own training and rankings%s",
            *(said, "" if choice == "filter" else ", as of related items (--own-label keep ranks them)"),
        )
        return own
    if choice == "auto" and num_own - num_chosen >= WORTH_SAYING * num_queries:
        _log.info("%s: --own-label filter leaves the others out of their own training and rankings", said)
    return {part: np.full_like(found, -1) for part, found in own.items()}
