"""Records with text and labels, as JSON Lines, Parquet and Hugging Face data sets hold them.

Columns of a query:

* ``text``, or ``title`` and/or ``content``;
* ``labels`` (also ``label`` or ``target_ind``): a list of label uids, or of label ids (0-based rows of the
  labels table). Integers are uids where those of the labels table are integers, but under ``target_ind``;
* ``relevance`` (also ``target_rel``), optional: a list of weights above 0;
* ``uid`` (also ``id``), optional: default its row.

Columns of a label: the same text columns and ``uid``. Without a labels table the names in ``labels`` are the
labels: each distinct one is a label whose uid and title it is, in the order of first appearance. Other
columns are left aside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from xmc.data.manifest import Split
from xmc.data.nested_labels import refuse_nested
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError

__all__ = ["COLUMNS", "LabelBook", "RecordSource", "TextRecord", "add_labels", "add_rows", "parse_text"]

_UID_KEYS = ("uid", "id")
_ROWS_KEY = "target_ind"
_LABEL_KEYS = ("labels", "label", _ROWS_KEY)
_RELEVANCE_KEYS = ("relevance", "target_rel")
_TEXT_KEYS = ("text", "title", "content")
COLUMNS = (*_UID_KEYS, *_TEXT_KEYS, *_LABEL_KEYS, *_RELEVANCE_KEYS)
"""All that is read of a record."""


class RecordSource(Protocol):
    """Records in order; ``located()`` adds where they are to the text of an error."""

    where: str

    def __iter__(self) -> Iterator[object]:
        """Every record in turn."""
        ...

    def located(self) -> Any:
        """A context in which an error says which file and record it is about."""
        ...


@dataclass(frozen=True)
class TextRecord:
    """What every record has; ``uid`` is None when it has none of its own."""

    uid: str | None
    title: str
    content: str


class LabelBook:
    """Turns the labels of a record into label ids.

    Args:
        writer: Holds the labels.
        closed: The labels are all known (a labels table was read); else names make new labels.
        numbered: The uids of that table are integers, as :func:`add_labels` says.
    """

    def __init__(self, writer: DatasetWriter, *, closed: bool, numbered: bool = False) -> None:
        self._writer = writer
        self._closed = closed
        self._numbered = numbered

    def ids(self, labels: Sequence[object], *, are_rows: bool = False) -> list[int]:
        """The ids of ``labels``, all ids or all names.

        Args:
            labels: Of a record.
            are_rows: Integers are rows of the labels table, whatever its uids are.

        Raises:
            DataError: For an id out of range, an unknown uid, an empty name, or anything else.
        """
        by_uid = self._numbered and not are_rows
        return [self._id(str(label) if by_uid and type(label) is int else label) for label in labels]

    def _id(self, label: object) -> int:
        if type(label) is int:
            if not self._closed:
                raise DataError(f"expected label texts, as there is no labels file, got the label id {label}")
            if not 0 <= label < self._writer.num_labels:
                raise DataError(
                    f"expected label ids between 0 and {self._writer.num_labels - 1}, as there are "
                    f"{self._writer.num_labels} labels, got {label}"
                )
            return label
        refuse_nested(label)
        if not isinstance(label, str) or not label.strip():
            raise DataError(f"expected labels to be ids (integers) or names (text), got {label!r:.80}")
        known = self._writer.label_id(label)
        if known is not None:
            return known
        if self._closed:
            raise DataError(f"expected the uid of a label, got {label!r:.80}, which no label has")
        return self._writer.add_label(label, label)


def parse_text(record: object) -> TextRecord:
    """The uid and text of a record.

    Raises:
        DataError: When it is no mapping, has no text column, or a column is not text.
    """
    if not isinstance(record, Mapping):
        raise DataError(f"expected a JSON object with a text, got {record!r:.80}")
    if not any(record.get(key) is not None for key in _TEXT_KEYS):
        filled = sorted(str(key) for key, value in record.items() if value is not None)
        raise DataError(f"expected text, or title and content, got {filled}")
    title, content = _string(record, "title"), _string(record, "content")
    text = _string(record, "text")
    if "title" not in record:
        title, text = text, ""
    uid = _first(record, _UID_KEYS)
    if uid is not None and type(uid) not in (str, int):
        raise DataError(f"expected uid to be text or an integer, got {uid!r:.80}")
    return TextRecord(None if uid is None else str(uid), title, content or text)


def add_labels(source: RecordSource, writer: DatasetWriter) -> bool:
    """Add every record as a label; its row is its id, and its uid where it has none.

    Returns:
        Whether their uids are integers, all of them.

    Raises:
        DataError: Naming file and line or row.
    """
    numbered = True
    with source.located():
        for raw in source:
            record = parse_text(raw)
            assert isinstance(raw, Mapping)
            numbered = numbered and type(_first(raw, _UID_KEYS)) is int
            uid = str(writer.num_labels) if record.uid is None else record.uid
            writer.add_label(uid, record.title, record.content)
    return numbered and writer.num_labels > 0


def add_rows(source: RecordSource, split: Split, writer: DatasetWriter, book: LabelBook) -> None:
    """Add every record as a row of ``split``.

    Raises:
        DataError: Naming file and line or row.
    """
    with source.located():
        for raw in source:
            record = parse_text(raw)
            assert isinstance(raw, Mapping)
            labels, relevance = _labels(raw)
            uid = str(writer.num_rows(split)) if record.uid is None else record.uid
            are_rows = raw.get(_ROWS_KEY) is not None and labels == raw[_ROWS_KEY]
            ids = book.ids(labels, are_rows=are_rows)
            writer.add_row(split, uid, record.title, record.content, ids, relevance)


def _labels(record: Mapping[str, Any]) -> tuple[list[object], list[float] | None]:
    labels = _first(record, _LABEL_KEYS)
    if labels is None:
        if not any(key in record for key in _LABEL_KEYS):
            raise DataError(
                f"expected a list of labels under {' or '.join(_LABEL_KEYS)}, got {sorted(record)}"
            )
        labels = []
    if type(labels) in (int, str):
        labels = [labels]
    if not isinstance(labels, (list, tuple)):
        raise DataError(f"expected a list of labels, got {labels!r:.80}")
    relevance = _first(record, _RELEVANCE_KEYS)
    if relevance is None:
        return list(labels), None
    if not isinstance(relevance, (list, tuple)) or any(
        type(value) not in (int, float) for value in relevance
    ):
        raise DataError(f"expected a list of numbers as relevance, got {relevance!r:.80}")
    return list(labels), list(relevance)


def _first(record: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((record[key] for key in keys if record.get(key) is not None), None)


def _string(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"expected {key} to be text, got {value!r:.80}")
    return value
