"""The labels that clicks lead to: from a table of their own, another data set, or as the clicks name them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xmc.data.dataset import Dataset
from xmc.data.tables.columns import LABEL_NAMES, Columns
from xmc.data.tables.source import TextOptions
from xmc.data.tables.table import missing, open_table
from xmc.data.tables.values import as_text
from xmc.errors import DataError

__all__ = ["LabelTexts", "dataset_labels", "table_labels"]

LabelText = tuple[str, str, str]
"""uid, title, content."""


class LabelTexts:
    """Labels in order; a click means one by its uid, or else by its title.

    Args:
        where: They are from, for messages.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._labels: list[LabelText] = []
        self._by_uid: dict[str, int] = {}
        self._by_title: dict[str, int] = {}
        self._shared_titles: set[str] = set()

    def __len__(self) -> int:
        """How many."""
        return len(self._labels)

    def __iter__(self) -> Iterator[LabelText]:
        """Each in the order of its id."""
        return iter(self._labels)

    def add(self, uid: str, title: str, content: str = "") -> int:
        """One more, and its id.

        Raises:
            DataError: When its uid is empty or another's.
        """
        if not uid:
            raise DataError("expected a label, got an empty field: fill it or remove the row")
        if uid in self._by_uid:
            raise DataError(
                f"expected each label once, got {uid!r:.80} again: remove one, or give labels of one name a "
                "column of uids"
            )
        number = self._by_uid[uid] = len(self._labels)
        if self._by_title.setdefault(title, number) != number:
            self._shared_titles.add(title)
        self._labels.append((uid, title, content))
        return number

    def find(self, name: str) -> int | None:
        """The label of that uid, else of that title, else None.

        Raises:
            DataError: For a title that several labels have.
        """
        found = self._by_uid.get(name)
        if found is None and name in self._shared_titles:
            raise DataError(
                f"expected a label's uid, got {name!r:.80}, the title of several labels of {self.where}: "
                "name labels by uid"
            )
        return self._by_title.get(name) if found is None else found

    def of_title(self, title: str) -> int | None:
        """The one label of that title; None where there is none, or are several."""
        return None if title in self._shared_titles else self._by_title.get(title)

    def of_uid(self, uid: str) -> int | None:
        """The label of that uid, or None."""
        return self._by_uid.get(uid)

    def find_or_add(self, name: str) -> int:
        """The id of :meth:`find`, or of a new label whose uid and title are ``name``."""
        found = self.find(name)
        return self.add(name, name) if found is None else found


def table_labels(
    path: Path, columns: Columns, options: TextOptions, *, header: bool | None = None, progress: bool = True
) -> LabelTexts:
    """The labels of a table with a ``uid``, a ``title`` and a ``content``, or some of them.

    Without a uid the title is the uid. Without a header a single column is the title; of several the first
    three are uid, title and content.

    Raises:
        DataError: Naming file, line and column.
    """
    table = open_table(
        path, LABEL_NAMES, columns.told(LABEL_NAMES), options, header=header, by_place=_by_place
    )
    if not {"uid", "title"} & table.places.keys():
        raise missing(table, "the labels' uid or title", "title")
    table.tell_columns()
    labels, roles = LabelTexts(path.name), list(table.places)
    named_by = "uid" if "uid" in roles else "title"
    for number, fields in table.rows(progress=progress):
        role = named_by
        try:
            texts = {}
            for role, value in zip(roles, fields, strict=True):
                texts[role] = as_text(value)
            role = named_by
            # A uid alone is all the text there is.
            title = texts.get("title", "" if "content" in texts else texts[named_by])
            labels.add(texts[named_by], title, texts.get("content", ""))
        except DataError as error:
            raise DataError(f"{table.at(number, role)}: {error}") from error
    if not len(labels):
        raise DataError(f"{path}: expected at least one label, the file has none")
    return labels


def dataset_labels(dataset: Dataset) -> LabelTexts:
    """The labels of a prepared data set."""
    labels = LabelTexts(dataset.name)
    titles, contents = (dataset.texts("labels", [field]) for field in ("title", "content"))
    for uid, title, content in zip(dataset.uids("labels"), titles, contents, strict=True):
        labels.add(uid, title, content)
    return labels


def _by_place(sample: Sequence[Sequence[str]]) -> Sequence[str]:
    return ("title",) if len(sample[0]) == 1 else ("uid", "title", "content")
