"""The terms' synonyms: some to search by, the others to be found by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from xmc.corpora.hpo.ontology import Term
from xmc.errors import DataError

__all__ = ["Synonyms", "share_synonyms", "side_of"]


@dataclass(frozen=True)
class Synonyms:
    """Synonyms of T terms, each on one side."""

    queries: dict[str, list[int]]
    """The positions of its terms, ascending, by each synonym that is a query."""
    is_test: list[bool]
    """For each query whether it is a test query."""
    texts: list[list[str]]
    """For each term the synonyms that are texts of it."""


def share_synonyms(terms: Sequence[Term]) -> Synonyms:
    """Give each synonym a side, by its hash: two fifths train, a fifth tests, two fifths are labels' texts.

    Raises:
        DataError: When no term has a synonym to train on.
    """
    queries: dict[str, list[int]] = {}
    spelled: dict[str, str] = {}
    texts: list[list[str]] = [[] for _ in terms]
    for place, term in enumerate(terms):
        for synonym in term.synonyms:
            if side_of(synonym) == "text":
                texts[place].append(synonym)
            else:
                queries.setdefault(spelled.setdefault(synonym.lower(), synonym), []).append(place)
    is_test = [side_of(synonym) == "test" for synonym in queries]
    if all(is_test):
        raise DataError(f"expected terms with exact synonyms to train on, found none among {len(terms):,}")
    return Synonyms(queries, is_test, texts)


def side_of(synonym: str) -> str:
    """Whether it is a "test" or "train" query or a "text", for all terms that have it, in whatever case."""
    share = hashlib.sha256(synonym.lower().encode()).digest()[0] % 5
    return ("test", "text", "text", "train", "train")[share]
