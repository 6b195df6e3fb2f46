"""Reads TREC run files: one prediction per line, ``qid Q0 docid rank score tag``, by spaces or tabs.

qid and docid are uids of the data set. Scores decide: the rank column is not used, as in trec_eval; but equal
scores go by label id ascending here (in trec_eval by docid descending).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xmc.errors import DataError
from xmc.evaluation.readers.blocks import ListBlock
from xmc.evaluation.readers.by_uid import Query, blocks_by_uid, open_text
from xmc.evaluation.readers.target import Target

__all__ = ["read_trec"]


def read_trec(path: Path, target: Target) -> Iterator[ListBlock]:
    """Blocks of queries in the order of the file; the lines of a query must be together.

    Raises:
        DataError: For a line that is not as above; the text names file and line.
    """
    return blocks_by_uid(path, _queries(path), target)


def _queries(path: Path) -> Iterator[Query]:
    query: Query | None = None
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if not words:
                continue
            if len(words) != 6:
                raise DataError(
                    f"{path}, line {number}: expected 'qid Q0 docid rank score tag' (6 words), got "
                    f"{len(words)} words: {line.strip()[:80]!r}"
                )
            if query is None or words[0] != query[0]:
                if query is not None:
                    yield query
                query = (words[0], number, [], [])
            query[2].append(words[2])
            query[3].append(_score(path, number, words[4]))
    if query is not None:
        yield query


def _score(path: Path, number: int, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise DataError(
            f"{path}, line {number}: expected a number as score (the fifth word), got {word!r}"
        ) from None
