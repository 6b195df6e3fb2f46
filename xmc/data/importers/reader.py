"""Finds source files, and reads those that hold JSON line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from xmc.data.lines import LineReader, Located
from xmc.errors import DataError
from xmc.received import check_inside, reading

__all__ = [
    "FROM_ARRAY",
    "JsonReader",
    "LineReader",
    "Located",
    "find_file",
    "require_file",
    "whole_number",
]

FROM_ARRAY = "make lines of its objects (jq -c '.[]' file.json > file.jsonl)"
"""What to do with a file that is one list of objects."""

_DIGITS = 18


class JsonReader(LineReader):
    """The JSON value of every line; blank ones at the end are no lines.

    Iterating raises:
        DataError: As :class:`LineReader`, and for malformed JSON.
    """

    def __iter__(self) -> Iterator[object]:  # type: ignore[override]
        """The records, one from each line; a DataError names file and line of one that is no JSON."""
        some = blank = False
        for line in super().__iter__():
            if not line.strip() and some:
                blank = True
                continue
            if blank:
                raise DataError(f"expected one JSON object per line, got a blank line before {line!r:.80}")
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                hint = "" if some or not line.lstrip().startswith("[") else f": {FROM_ARRAY}"
                raise DataError(
                    f"expected one JSON object per line ({error}), got {line!r:.80}{hint}"
                ) from error
            some = True


def find_file(folder: Path, *names: str) -> Path | None:
    """The first of ``names``, plain or with ``.gz``, that is a file in ``folder``.

    Raises:
        DataError: When it is a symbolic link that leads out of ``folder``.
    """
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                with reading(path, "a file of the folder"):
                    check_inside(path, folder)
                return path
    return None


def require_file(folder: Path, *names: str) -> Path:
    """As :func:`find_file`.

    Raises:
        DataError: When there is none.
    """
    path = find_file(folder, *names)
    if path is None:
        raise DataError(f"{folder}: expected a file {' or '.join(names)} (or with .gz), found none")
    return path


def whole_number(digits: str) -> int:
    """The number that ASCII digits stand for.

    Raises:
        DataError: For more digits than any count has.
    """
    if len(digits) > _DIGITS:
        raise DataError(f"expected a number of at most {_DIGITS} digits, got {digits!r:.40}")
    return int(digits)
