"""Clicks folded: each query once, each of its labels once, with a weight: how much it was clicked."""

from __future__ import annotations

import logging
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from xmc.counted import counted
from xmc.data.tables.columns import CLICK_NAMES, Columns, content_aside
from xmc.data.tables.labels import LabelTexts
from xmc.data.tables.source import TextOptions
from xmc.data.tables.table import Table, missing, open_table
from xmc.data.tables.values import as_label, as_list, as_text, as_weight, json_list
from xmc.errors import DataError

__all__ = ["Clicks", "UnknownLabels", "read_clicks"]

UnknownLabels = Literal["refuse", "skip", "add"]
"""What becomes of clicks on labels that the labels' own table has not."""

SEPARATOR = "|"
_FIELDS = {"query": "title", "query_content": "content"}
"""What a column of texts becomes in a data set."""

_log = logging.getLogger(__name__)


@dataclass
class Clicks:
    """Queries in the order of their first click, and the clicks of each.

    A query is its text, title and content, without the white space around; where there is a column of uids it
    is its uid. Memory: the texts of different queries, and 16 bytes a click.
    """

    queries: dict[tuple[str, ...], int] = field(default_factory=dict)
    """(title, content) or (uid,) to a query's number."""
    texts: list[tuple[str | None, str, str]] = field(default_factory=list)
    """uid or None, title, content of each query."""
    left_out: dict[str, int] = field(default_factory=dict)
    """How many clicks were left out, by why."""
    first_left_out: dict[str, str] = field(default_factory=dict)
    """Where the first of each kind is."""
    query_columns: dict[str, str] = field(default_factory=dict)
    """"title" and "content" to the names of their columns in the first table whose columns have names."""
    num_clicks: int = 0
    """That were kept."""
    _rows: array[int] = field(default_factory=lambda: array("i"))
    _labels: array[int] = field(default_factory=lambda: array("i"))
    _weights: array[float] = field(default_factory=lambda: array("d"))

    def add(self, query: int, label: int, weight: float) -> None:
        """A click on ``label`` after ``query``."""
        self._rows.append(query)
        self._labels.append(label)
        self._weights.append(weight)
        self.num_clicks += 1

    def leave_out(self, why: str, place: Callable[[], str], count: int = 1) -> None:
        """Count clicks that are not kept; ``place`` says where the first is, which takes a while."""
        if why not in self.left_out:
            self.first_left_out[why] = place()
        self.left_out[why] = self.left_out.get(why, 0) + count

    def query(self, uid: str | None, title: str, content: str) -> int:
        """The number of a query, which is a new one where it was not met before.

        Raises:
            DataError: When a uid was met with another text.
        """
        key = (title, content) if uid is None else (uid,)
        number = self.queries.setdefault(key, len(self.texts))
        if number == len(self.texts):
            self.texts.append((uid, title, content))
        elif uid is not None and self.texts[number] != (uid, title, content):
            before = " ".join(self.texts[number][1:]).strip()
            raise DataError(
                f"expected one text for each query uid, but {uid!r:.40} had {before!r:.60} before"
            )
        return number

    def relevance(self, num_labels: int) -> sp.csr_matrix:
        """[N, L] float64: the weights of each pair, summed."""
        rows, labels = (np.asarray(ids, dtype=np.int32) for ids in (self._rows, self._labels))
        matrix = sp.coo_matrix(
            (np.asarray(self._weights), (rows, labels)), shape=(len(self.texts), num_labels)
        )
        return sp.csr_matrix(matrix)

    def num_pairs(self) -> int:
        """Different pairs of a query and a label."""
        return int(self.relevance(max(self._labels, default=-1) + 1).nnz)


def read_clicks(
    paths: Sequence[Path],
    labels: LabelTexts,
    columns: Columns,
    options: TextOptions,
    *,
    header: bool | None = None,
    separator: str | None = None,
    unknown: UnknownLabels = "add",
    progress: bool = True,
) -> Clicks:
    """The clicks of some tables together.

    A row is a click, with a ``query`` and a ``label``, or has a list of ``labels``. It may have a ``weight``
    (such as a count of clicks), a ``query_content`` and a ``query_uid``. Rows without a query, without labels
    or of weight 0, and labels of weight 0 in a list, are left out and counted.

    Args:
        paths: CSV, TSV, JSON Lines or Parquet.
        labels: Where clicks lead; new names are added to it where ``unknown`` is "add".
        columns: Which columns are what, where their names do not tell.
        options: How a CSV file is written.
        header: Whether a CSV file has one; None to see.
        separator: Between labels of a list in one field; "|" when None.
        unknown: What becomes of a name that is no label's.
        progress: Show bars.

    Raises:
        DataError: Naming file, line and column.
    """
    clicks = Clicks()
    for path in paths:
        told = columns.told(CLICK_NAMES)
        if separator is not None and "label" in told:
            told["labels"] = told.pop("label")
        settled = "query" in told and bool({"label", "labels"} & told.keys())
        by_place = partial(_by_place, str(path), header is None and not settled)
        table = open_table(path, CLICK_NAMES, told, options, header=header, by_place=by_place)
        places = table.places
        if "query" not in places:
            raise missing(table, "the queries' text", "query")
        if not {"label", "labels"} & places.keys():
            raise missing(table, "the label of each click, or a list of labels", "label")
        if "query_content" not in places and (aside := content_aside(table.names, places)):
            _log.warning(
                "%s: column %r is not read, as it may be of what was clicked: is it more text of the query "
                "(--columns query_content=%s)?",
                *(path, aside, aside),
            )
        table.tell_columns()
        clicks.query_columns = clicks.query_columns or _query_columns(table)
        _add(table, clicks, labels, separator, unknown, progress)
    return clicks


def _query_columns(table: Table) -> dict[str, str]:
    if not table.is_named:
        return {}
    return {_FIELDS[role]: table.names[place] for role, place in table.places.items() if role in _FIELDS}


def _add(
    table: Table,
    clicks: Clicks,
    labels: LabelTexts,
    separator: str | None,
    unknown: UnknownLabels,
    progress: bool,
) -> None:
    strangers: Counter[str] = Counter()
    first_stranger = 0
    row = _Row(table, separator)
    if separator is None and row.named_by == "labels":
        _warn_of_separator(table)
    for number, fields in table.rows(progress=progress):
        try:
            row.read(fields)
            if why := row.lacks():
                clicks.leave_out(why, partial(table.source.place, number))
                continue
            row.part = row.named_by
            ids = [labels.find(name) for name in row.names]
            if None in ids and unknown == "add":
                ids = [labels.find_or_add(name) for name in row.names]
            row.part = "query_uid"
            for name, label, weight in zip(row.names, ids, row.weights, strict=True):
                if label is None:
                    first_stranger = first_stranger or number
                    strangers[name] += 1
                elif not weight:
                    clicks.leave_out("clicks of weight 0", partial(table.source.place, number))
                else:
                    clicks.add(clicks.query(row.uid, row.title, row.content), label, weight)
        except DataError as error:
            raise DataError(f"{table.at(number, row.part)}: {error}") from error
    if strangers and unknown == "refuse":
        name = next(iter(strangers))
        raise DataError(
            f"{table.at(first_stranger, row.named_by)}: expected a uid or title of {labels.where}, got "
            f"{name!r:.80}; {counted(strangers.total(), 'click names', 'clicks name')} "
            f"{counted(len(strangers), 'label')} that it has not: add them there, leave such clicks out "
            "(--unknown skip), or make labels of them (--unknown add)"
            f"{_name_hint(name, labels)}"
        )
    if strangers:
        clicks.leave_out(
            "clicks on unknown labels", partial(table.source.place, first_stranger), strangers.total()
        )


def _name_hint(name: str, labels: LabelTexts) -> str:
    """What to say of a name that is a list of known labels, or one with a point; "" of any other."""
    whole = name.removesuffix(".0")
    with suppress(DataError):
        if whole != name and labels.find(whole) is not None:
            return (
                f"; {whole!r:.40} is there: ids get a point where a program takes them for decimals, as "
                "pandas does in a column with empty fields: write them without it"
            )
    for other in (SEPARATOR, ",", ";", "/"):
        parts = [part.strip() for part in name.split(other)]
        with suppress(DataError):  # a title of several labels
            if len(parts) > 1 and all(labels.find(part) is not None for part in parts):
                return (
                    f"; this is a list of labels that are there: cut it at {other!r} (--separator {other!r})"
                )
    return ""


def _warn_of_separator(table: Table) -> None:
    """Point out a list that looks as if it were separated by something else than ``SEPARATOR``."""
    place = table.places["labels"]
    cells = [record[place] for record in table.source.sample if place < len(record)]
    try:
        if cells and json_list(cells[-1]) is not None:
            return
    except DataError:  # has its error where it is read, with its line
        return
    for other in (",", ";", " / "):
        if sum(other in cell for cell in cells) > len(cells) / 2 and not any(
            SEPARATOR in cell for cell in cells
        ):
            _log.warning(
                "%s: the lists of labels, such as %.60r, have no %s to be cut at: is it --separator %r?",
                *(table.source.path, cells[-1], SEPARATOR, other),
            )
            return


class _Row:
    """The fields of one record after another; ``part`` is the one being read, for errors."""

    uid: str | None
    title: str
    content: str
    names: list[str]
    weights: list[float]

    def __init__(self, table: Table, separator: str | None) -> None:
        self._roles = list(table.places)
        self.named_by = "labels" if "labels" in self._roles else "label"
        self._separator = separator or (SEPARATOR if self.named_by == "labels" else None)
        self._is_json = None if self.named_by == "labels" and separator is None else False
        self.part = "query"

    def read(self, fields: Sequence[Any]) -> None:
        """Take a record.

        Raises:
            DataError: For a field that is not what its column is for.
        """
        given = dict(zip(self._roles, fields, strict=True))
        self.title, self.content = self._text(given, "query"), self._text(given, "query_content")
        self.uid = self._text(given, "query_uid") if "query_uid" in given else None
        if self.uid == "":
            raise DataError("expected a uid for every query, got an empty field: fill it")
        self.part = self.named_by
        value = self._unpacked(given[self.part])
        listed = self._separator is not None or isinstance(value, list)
        self.names = (
            as_list(value, self._separator or "") if listed else list(filter(None, [as_label(value)]))
        )
        self.part = "weight"
        weight = given.get(self.part)
        self.weights = [as_weight(one) for one in weight] if isinstance(weight, list) else []
        self.weights = self.weights or [as_weight(weight)] * len(self.names)
        if len(self.weights) != len(self.names):
            raise DataError(
                f"expected one weight, or one for each of {len(self.names)} labels, got {len(self.weights)}"
            )

    def _unpacked(self, value: Any) -> Any:
        """A field of labels; the list itself where text is JSON, which the first field with text decides."""
        if self._is_json is False or not isinstance(value, str) or not value.strip():
            return value
        found = json_list(value)
        if self._is_json is None:
            self._is_json = found is not None
        if self._is_json and found is None:
            raise DataError(f"expected a JSON list of labels, as in the rows before, got {value!r:.80}")
        return value if found is None else found

    def lacks(self) -> str | None:
        """Why the record is no click, or None."""
        if not self.title and not self.content:
            return "rows without a query"
        if not self.names:
            return "rows without a label"
        return None if any(self.weights) else "rows of weight 0"

    def _text(self, given: Mapping[str, Any], role: str) -> str:
        self.part = role
        return as_text(given.get(role))


def _by_place(where: str, guessed: bool, sample: Sequence[Sequence[str]]) -> Sequence[str]:
    """Query and label, and a weight where the third field of every record is a number or empty.

    Raises:
        DataError: Where the columns are ``guessed`` and there is a third that is no weight, so that it is
            likely that the first record is a header of unknown names.
    """
    roles = ["query", "label"]
    thirds = [record[2] for record in sample if len(record) > 2]
    numbers = [third.replace(".", "", 1).isdecimal() for third in thirds if third]
    if len(thirds) == len(sample) and numbers and all(numbers):
        roles.append("weight")
    elif guessed and len(sample[0]) > 2:
        shown = ", ".join(repr(cell)[:40] for cell in sample[0])
        raise DataError(
            f"{where}: expected a header with known names, such as query and label, or a query, a label and "
            f"a number in each line, got {shown}: say which column is which (--columns query=NAME "
            "label=NAME, or labels=NAME for a list), or that there is no header (--header no)"
        )
    return roles
