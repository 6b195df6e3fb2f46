"""Which column of a table of clicks or of labels is what: by its name, or as told."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from xmc.errors import DataError

__all__ = ["CLICK_NAMES", "LABEL_NAMES", "Columns", "content_aside", "find_columns", "has_names"]

_LABEL_IDS = ("label_uid", "label_id", "product_id", "item_id", "sku", "asin", "doc_id", "document_id")
"""Before the bare words: beside a product's id, "product" is its name."""

CLICK_NAMES: dict[str, tuple[str, ...]] = {
    "query": (
        *("query", "query_text", "text", "search", "search_term", "search_query", "searchterm", "term"),
        *("keyword", "keywords", "question", "utterance", "input", "title"),
    ),
    "label": (
        *(*_LABEL_IDS, "clicked_id", "label", "product", "item", "doc", "document", "clicked", "target"),
        *("category", "class", "intent", "tag", "page", "url"),
    ),
    "labels": ("labels", "products", "items", "documents", "targets", "categories", "classes", "tags"),
    "weight": (
        *("weight", "count", "clicks", "click_count", "num_clicks", "number_of_clicks", "n"),
        *("freq", "frequency", "relevance"),
    ),
    # All but the first beside a title alone: of a search, a description is that of what was clicked.
    "query_content": ("query_content", "content", "body", "abstract", "description"),
    # Not "id": in a log it is often the name of a click, and clicks of one query are to be one row.
    "query_uid": ("query_uid", "qid"),
}
"""What a column of a file of clicks may be called, the likeliest name first."""

LABEL_NAMES: dict[str, tuple[str, ...]] = {
    "uid": ("uid", "id", *_LABEL_IDS, "product", "item", "doc"),
    "title": (
        *("title", "name", "product_name", "product_title", "item_name", "label", "text", "product", "item"),
        *("category", "class", "tag", "intent"),
    ),
    "content": ("content", "description", "body", "abstract", "summary", "text"),
}
"""What a column of a file of labels may be called."""

_LABEL_ROLES = ("label", "labels")
"""A row has one of them, a label or a list."""

_MINOR = ("weight", "query_content", "query_uid")
"""Columns whose names alone make no header: "n" or "description" may be a query as well."""


@dataclass(frozen=True)
class Columns:
    """Columns as told: a name in the header, or a number from 1. None is found by its name.

    ``query``, ``query_content`` (more text of it), ``label`` or ``labels`` (a list), ``weight`` and
    ``query_uid`` are of the clicks; ``uid``, ``title`` and ``content`` of the labels.
    """

    query: str | None = None
    query_content: str | None = None
    label: str | None = None
    labels: str | None = None
    weight: str | None = None
    query_uid: str | None = None
    uid: str | None = None
    title: str | None = None
    content: str | None = None

    def told(self, names: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """What is told of the columns that ``names`` has: click or label columns."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {role: str(given[role]) for role in names if given[role] is not None}


def has_names(record: Sequence[str], names: Mapping[str, Sequence[str]], told: Mapping[str, str]) -> bool:
    """Whether a file's first record is a header: a column is told by name, or named as a text or label is."""
    known = {_key(name) for role, several in names.items() if role not in _MINOR for name in several}
    # A number that is told counts columns, and a field may be that number by chance.
    numbers = all(cell.isdecimal() for cell in record)
    told_names = [value for value in told.values() if not value.isdecimal() or (numbers and value in record)]
    return bool(told_names) or any(_key(cell) in known for cell in record)


def find_columns(
    where: str, header: Sequence[str], names: Mapping[str, Sequence[str]], told: Mapping[str, str]
) -> dict[str, int]:
    """The place of each column, from 0, by what it is; those that the file has not are left out.

    Where no column is named as labels' uids are, it is the first one if that is some thing's id.

    Raises:
        DataError: When a column that was told is not there, or one has two meanings.
    """
    found = {role: _told_place(where, role, value, header) for role, value in told.items()}
    keys = [_key(name) for name in header]
    for role, choices in names.items():
        # A list and single labels exclude each other, so a told one settles it.
        if role in found or (role in _LABEL_ROLES and set(_LABEL_ROLES) & found.keys()):
            continue
        if role == "query_content" and "query" in found and keys[found["query"]] != "title":
            choices = choices[:1]
        place = _named(choices, keys, found)
        if role == "label" and place is not None and "labels" in names:
            listed = _named(names["labels"], keys, found)
            if listed is not None and not _is_the_label(where, header, place, listed):
                continue
        if place is not None and keys.count(keys[place]) > 1:
            raise DataError(
                f"{where}: expected one column {header[place]!r}, got {keys.count(keys[place])}: say by "
                f"number which is the {role.replace('_', ' ')} (--columns {role}={place + 1})"
            )
        if place is not None:
            found[role] = place
    if "uid" in names and "uid" not in found and 0 not in found.values():
        if any(map(_ends_in_id, header[:1])):
            found["uid"] = 0
    for role, place in found.items():
        twice = [other for other, same in found.items() if same == place and other != role]
        if twice:
            raise DataError(
                f"{where}: expected a column each for {role} and {twice[0]}, got {header[place]!r} for both"
            )
    return found


def content_aside(header: Sequence[str], places: Mapping[str, int]) -> str | None:
    """A column named as a text's content is that :func:`find_columns` took for nothing, or None."""
    contents = CLICK_NAMES["query_content"]
    return next(
        (
            name
            for place, name in enumerate(header)
            if _key(name) in contents and place not in places.values()
        ),
        None,
    )


def _named(choices: Sequence[str], keys: Sequence[str], found: Mapping[str, int]) -> int | None:
    """The place of the likeliest of some names that is not found to be something else, or None."""
    places = (keys.index(key) for name in choices if (key := _key(name)) in keys)
    return next((place for place in places if place not in found.values()), None)


def _is_the_label(where: str, header: Sequence[str], single: int, listed: int) -> bool:
    """Whether, of a column of single labels and one of lists, the first is to be read.

    Raises:
        DataError: When neither, or both, have the name of what they are: "label", "labels".
    """
    own = [_key(header[place]) == role for role, place in zip(_LABEL_ROLES, (single, listed), strict=True)]
    if own[0] == own[1]:
        ways = [
            f"--columns {shlex.quote(f'{role}={header[place]}')}"
            for role, place in zip(_LABEL_ROLES, (single, listed), strict=True)
        ]
        raise DataError(
            f"{where}: expected one column of labels, got {header[single]!r}, named as a label a row, and "
            f"{header[listed]!r}, named as a list: say which it is ({ways[0]} or {ways[1]})"
        )
    return own[0]


def _ends_in_id(name: str) -> bool:
    """Whether a column is some thing's id: ``article_id``, ``Artikel-UID``."""
    words = name.casefold().replace("-", " ").replace("_", " ").split()
    return len(words) > 1 and words[-1] in ("id", "uid")


def _key(name: str) -> str:
    return "".join(name.casefold().replace("-", " ").replace("_", " ").split())


def _told_place(where: str, role: str, value: str, header: Sequence[str]) -> int:
    if value in header:
        return list(header).index(value)
    same = [place for place, name in enumerate(header) if _key(name) == _key(value)]
    if len(same) == 1:
        return same[0]
    if value.isascii() and value.isdigit() and 1 <= int(value) <= len(header):
        return int(value) - 1
    raise DataError(
        f"{where}, column {value!r}: expected it to be the {role.replace('_', ' ')}, but there is no such "
        f"column: the file has {', '.join(map(repr, header))}; name one of them, or give its number from 1"
    )
