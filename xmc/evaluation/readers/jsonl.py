"""Reads JSON Lines: one query per line, ``{"uid": "q1", "labels": ["l7", "l2"], "scores": [3.5, 1.0]}``.

uid and labels are uids of the data set. Without ``scores`` the labels come best first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xmc.data.lines import LineReader
from xmc.errors import DataError
from xmc.evaluation.readers.blocks import ListBlock
from xmc.evaluation.readers.by_uid import Query, blocks_by_uid
from xmc.evaluation.readers.target import Target
from xmc.received import reading

__all__ = ["read_jsonl"]

_WANTED = '{"uid": "...", "labels": ["...", ...], "scores": [number, ...]}'


def read_jsonl(path: Path, target: Target) -> Iterator[ListBlock]:
    """Blocks of queries in the order of the file.

    Raises:
        DataError: For a line that is not as above; the text names file and line.
    """
    return blocks_by_uid(path, _queries(path), target)


def _queries(path: Path) -> Iterator[Query]:
    lines = LineReader(path)
    with lines.located():
        for line in lines:
            if line.strip():
                yield _query(line, lines.number)


def _query(line: str, number: int) -> Query:
    with reading("", f"{_WANTED}, got no JSON"):
        content = json.loads(line)
    if not isinstance(content, dict) or not isinstance(content.get("uid"), str):
        raise DataError(f"expected {_WANTED} with a string as uid, got {line.strip()[:80]!r}")
    labels = content.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise DataError(f"expected labels to be a list of uids (strings), got {labels!r:.80}")
    return content["uid"], number, labels, _scores(content, len(labels))


def _scores(content: dict[str, Any], count: int) -> list[float]:
    if "scores" not in content:
        return [-float(rank) for rank in range(count)]
    scores = content["scores"]
    numbers = isinstance(scores, list) and all(type(score) in (int, float) for score in scores)
    if not numbers or len(scores) != count:
        raise DataError(f"expected scores to be {count} numbers like labels, got {scores!r:.80}")
    with reading("", "scores that fit a float"):
        return [float(score) for score in scores]
