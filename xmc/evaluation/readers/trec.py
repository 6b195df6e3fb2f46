"""Reads TREC run files: one prediction per line, ``qid Q0 docid rank score tag``, by spaces or tabs.

qid and docid are uids of the data set. Scores decide: the rank column is not used, as in trec_eval; but equal
scores go by label id ascending here (in trec_eval by docid descending).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xmc.data.lines import LineReader
from xmc.errors import DataError
from xmc.evaluation.readers.blocks import ListBlock
from xmc.evaluation.readers.by_uid import Query, blocks_by_uid
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
    lines = LineReader(path)
    with lines.located():
        for line in lines:
            words = line.split()
            if not words:
                continue
            if len(words) != 6:
                raise DataError(
                    f"expected 'qid Q0 docid rank score tag' (6 words), got {len(words)} words: "
                    f"{line.strip()[:80]!r}"
                )
            if query is None or words[0] != query[0]:
                if query is not None:
                    yield query
                query = (words[0], lines.number, [], [])
            query[2].append(words[2])
            query[3].append(_score(words[4]))
    if query is not None:
        yield query


def _score(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise DataError(f"expected a number as score (the fifth word), got {word!r:.80}") from None
