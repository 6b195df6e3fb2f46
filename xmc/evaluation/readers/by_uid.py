"""Gathers predictions that name queries and labels by uid into blocks; what TREC and JSON Lines share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from xmc.errors import DataError
from xmc.evaluation.readers.blocks import ListBlock, lists_from_pairs
from xmc.evaluation.readers.target import Target

__all__ = ["Query", "blocks_by_uid"]

_log = logging.getLogger(__name__)

_BLOCK_PAIRS = 1 << 18
_FROM_1 = (
    "a data set names queries without a uid from 0, and xmc predict from 1, so that each list is taken for "
    "that of the next row: give the file of queries a column uid, or write predictions by row (.npz)"
)

Query = tuple[str, int, list[str], list[float]]
"""A query's uid, the line its predictions start at, and their labels' uids and scores."""


def blocks_by_uid(path: Path, queries: Iterator[Query], target: Target) -> Iterator[ListBlock]:
    """Blocks of about 260,000 pairs, rows in the order of the file.

    Raises:
        DataError: For an unknown uid, a query or a label that comes twice, or a score that is NaN; the text
            names file and line.
    """
    first_line: dict[int, int] = {}
    batch: list[tuple[int, Query]] = []
    pairs = 0
    for query in queries:
        uid, line, labels, _ = query
        row = target.row_ids.get(uid)
        if row is None:
            hint = f": {_FROM_1}" if uid == str(target.num_rows) and target.has_numbered_rows else ""
            raise DataError(
                f"{path}, line {line}: expected the uid of a {target.split} query of "
                f"{target.dataset.name}, got {uid!r}{hint}"
            )
        if row in first_line:
            raise DataError(
                f"{path}, line {line}: expected all predictions of query {uid!r} together, but it came "
                f"on line {first_line[row]} already: sort the file by query"
            )
        first_line[row] = line
        batch.append((row, query))
        pairs += len(labels)
        if pairs >= _BLOCK_PAIRS:
            yield _block(path, batch, target)
            batch, pairs = [], 0
    if batch:
        yield _block(path, batch, target)
    if 0 not in first_line and 1 in first_line and target.has_numbered_rows:
        _log.warning(
            "%s: no predictions of query '0', the first row of %s, and some of '1': %s",
            *(path, target.dataset.name, _FROM_1),
        )


def _block(path: Path, batch: Sequence[tuple[int, Query]], target: Target) -> ListBlock:
    rows = np.array([row for row, _ in batch], dtype=np.int64)
    counts = np.array([len(query[2]) for _, query in batch])
    labels = np.fromiter(
        (_label(path, query, uid, target) for _, query in batch for uid in query[2]), np.int64, counts.sum()
    )
    scores = np.fromiter((score for _, query in batch for score in query[3]), np.float64, counts.sum())
    owners = np.repeat(np.arange(len(batch), dtype=np.int64), counts)
    place = _place(path, [query for _, query in batch])
    room = target.depth + target.num_excluded[rows]
    ids, ordered = lists_from_pairs(owners, labels, scores, room, target.num_labels, place)
    return ListBlock(rows, ids, ordered, place)


def _label(path: Path, query: Query, uid: str, target: Target) -> int:
    label = target.label_ids.get(uid)
    if label is None:
        raise DataError(
            f"{path}, query {query[0]!r} from line {query[1]}: expected the uid of a label of "
            f"{target.dataset.name}, got {uid!r}"
        )
    return label


def _place(path: Path, queries: Sequence[Query]) -> Callable[[int], str]:
    return lambda i: f"{path}, query {queries[i][0]!r} from line {queries[i][1]}"
