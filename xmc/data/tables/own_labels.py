"""Queries that are labels themselves, as related items are: pairs that no ranking should begin with."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from xmc.counted import agreeing, counted
from xmc.data.tables.clicks import Clicks
from xmc.data.tables.labels import LabelTexts
from xmc.data.text_keys import folded

__all__ = ["OwnLabels", "own_labels", "pairs_to_filter", "remembered"]

OwnLabels = Literal["auto", "filter", "keep"]
"""What becomes of a label that is the query itself: left out of training and rankings, or not."""

LEAST = 20
"""So many queries that are labels say something of the others."""
ITEMS = 0.5
"""From this share of queries that are labels on, queries are the labels' own kind, if they never choose
themselves."""
CHOSEN = 0.01
"""Up to this share of such queries with a click on themselves, they never do: a slip of who clicked."""
WORTH_SAYING = 0.1
"""From this share of queries that are labels on, where they are left as they are."""

_Texts = Sequence[tuple[str | None, str, str]]
"""uid or None, title and content of each query."""

_log = logging.getLogger(__name__)


def remembered(sources: Sequence[Mapping[str, Any]]) -> OwnLabels | None:
    """What the sources of a data set say of its queries' own labels; None where they say nothing."""
    found = next((source["own_label"] for source in sources if "own_label" in source), None)
    return found if found in ("filter", "keep") else None


def own_labels(texts: _Texts, labels: LabelTexts) -> np.ndarray:
    """The label that each query is, or -1: int64 [N].

    Where the uids of queries are those of labels, the uid tells and nothing else: where half of the queries
    or more have a label's uid, and, if these are all plain numbers, which may number other things, most of
    those that can be compared have that label's text too. Elsewhere the title tells: as it is, or in any case
    where that is one label's.

    Args:
        texts: Of all queries together, which decide together.
        labels: Those there are.
    """
    by_uid = [None if uid is None else labels.of_uid(uid) for uid, _, _ in texts]
    known = list(labels)
    pairs = [(text, known[label]) for text, label in zip(texts, by_uid, strict=True) if label is not None]
    if pairs and 2 * len(pairs) >= len(texts):
        same = [_same(text, label) for text, label in pairs]
        named = not all(uid.isdecimal() for _, (uid, _, _) in pairs)
        if named or same.count(True) > same.count(False):
            return _numbers(by_uid)
    of_folded: dict[str, int] = {}
    for number, (_, title, _) in enumerate(known):
        key = folded(title)
        of_folded[key] = -1 if key in of_folded else number
    found = [labels.of_title(title) if title else None for _, title, _ in texts]
    return _numbers(
        [
            of_folded.get(folded(title)) if label is None and title else label
            for (_, title, _), label in zip(texts, found, strict=True)
        ]
    )


def _same(query: tuple[str | None, str, str], label: tuple[str, str, str]) -> bool | None:
    """Whether a query and a label have one text, case and white space aside; None where one has none."""
    (_, title, content), (uid, name, more) = query, label
    asked = {folded(title), folded(f"{title} {content}")} - {""}
    found = {folded(name), folded(f"{name} {more}")} - {"", folded(uid)}
    return not asked.isdisjoint(found) if asked and found else None


def _numbers(found: Sequence[int | None]) -> np.ndarray:
    return np.array([-1 if label is None else label for label in found], dtype=np.int64)


def pairs_to_filter(
    names: str,
    clicks: Mapping[str, Clicks],
    relevance: Mapping[str, sp.csr_matrix],
    labels: LabelTexts,
    choice: OwnLabels,
) -> dict[str, np.ndarray] | None:
    """The label of each query that no ranking of it should have, or -1: int64 [N] of each part.

    None where all are to be ranked. A click of a query on itself stands, whatever ``choice`` is. "auto"
    filters where 20 queries and half of all of them or more are labels, and at most one in a hundred of those
    has a click on itself. What is done is logged.

    Args:
        names: Of the files, for the log.
        clicks: N queries of each part.
        relevance: [N, L] of the clicks of each part.
        labels: L labels.
        choice: What the user wants.
    """
    if choice == "keep":
        return None
    together = own_labels([text for part in clicks.values() for text in part.texts], labels)
    ends = np.cumsum([len(part.texts) for part in clicks.values()])
    own = dict(zip(clicks, np.split(together, ends[:-1]), strict=True))
    num_queries, num_own, num_chosen = len(together), 0, 0
    for part, found in own.items():
        pairs = relevance[part].tocoo()
        chosen = pairs.row[found[pairs.row] == pairs.col]
        num_own, num_chosen = num_own + int((found >= 0).sum()), num_chosen + len(chosen)
        found[chosen] = -1
    said = (
        f"{names}: {num_own:,} of {counted(num_queries, 'query', 'queries')} "
        f"{agreeing(num_own, 'is a label itself', 'are labels themselves')}, {num_chosen:,} with a click on "
        f"{agreeing(num_chosen, 'itself', 'themselves')}"
    )
    items = num_own >= max(LEAST, ITEMS * num_queries) and num_chosen <= CHOSEN * num_own
    if choice == "filter" or items:
        _log.info(
            "%s: %s left out of training and ranking for itself%s",
            *(
                said,
                agreeing(
                    num_own - num_chosen,
                    "the 1 without is",
                    f"each of the {num_own - num_chosen:,} without is",
                ),
            ),
            "" if choice == "filter" else ", as of related items (--own-label keep ranks them)",
        )
        return own
    if num_own - num_chosen >= max(LEAST, WORTH_SAYING * num_queries):
        _log.info("%s: --own-label filter leaves each one without out of its own training and ranking", said)
    return None
