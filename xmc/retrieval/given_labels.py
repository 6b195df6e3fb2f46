"""Labels from where people have them: a table in a file, or a prepared data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xmc.data import Dataset
from xmc.data.label_texts import several_texts
from xmc.data.tables import Columns, TextOptions, is_table
from xmc.data.tables.labels import table_labels
from xmc.errors import ConfigError
from xmc.retrieval.given_texts import check_text_columns, warn_of_empty_texts

__all__ = ["GivenLabels", "LabelDifference", "read_labels", "tell_apart"]

_FIELDS = ("title", "content")


class GivenLabels(NamedTuple):
    """Labels in order, [n] each."""

    uids: Sequence[str]
    texts: Sequence[str]
    where: str
    """Names their source."""


def read_labels(
    source: str | Path,
    fields: Sequence[str] | None = None,
    *,
    columns: Columns | None = None,
    written: TextOptions | None = None,
    split: str = "joint",
    need_texts: bool = True,
    progress: bool = False,
) -> GivenLabels:
    """The labels of a CSV, TSV, JSON Lines or Parquet file (uid, title, content), or of a data set's folder.

    Args:
        source: The file or folder.
        fields: Of title and content, what a text is made of, in order: as the model was trained. When None, a
            data set's own choice, and both of a table.
        columns: Which column is what, where names do not tell.
        written: How a CSV file is written, where its beginning does not tell.
        split: What a label's texts are, a line each of what is given where there are several: as the model
            was trained ("joint", "fields", "lines").
        need_texts: Whether texts are wanted, so that a table's labels without one are told of.
        progress: Show a bar over a file.

    Raises:
        ConfigError: When there is neither, or columns are told of a data set.
        DataError: When it cannot be read, or a table has no column of texts where they are wanted.
    """
    path = Path(source)
    if path.is_dir():
        if columns is not None or written is not None:
            raise ConfigError(
                f"expected --columns, --delimiter and the like with a file, got them for {path}"
            )
        dataset = Dataset.load(path)
        return GivenLabels(dataset.uids("labels"), dataset.label_texts(fields, split), dataset.name)
    if not path.is_file() or not is_table(path):
        raise ConfigError(
            f"expected labels in a file (.csv, .tsv, .jsonl, .parquet) or a prepared data set's folder, got "
            f"{path}"
        )
    columns, written = columns or Columns(), written or TextOptions()
    if need_texts:
        check_text_columns(path, columns, written)
    found = list(table_labels(path, columns, written, progress=progress))
    at = [1 + _FIELDS.index(field) for field in (_FIELDS if fields is None else fields)]
    chosen = [[label[i] for i in at if label[i]] for label in found]
    texts = [" ".join(parts) if split == "joint" else several_texts(parts, split) for parts in chosen]
    uids = [label[0] for label in found]
    if need_texts:
        warn_of_empty_texts(path.name, uids, texts)
    return GivenLabels(uids, texts, path.name)


class LabelDifference(NamedTuple):
    """How labels that are given differ from an index's."""

    missing: list[str]
    """Uids of given labels that the index has not."""
    extra: list[str]
    """Uids of the index that are not among those given."""
    changed: list[str]
    """Uids of both, whose texts differ."""

    @property
    def is_empty(self) -> bool:
        """Whether they are the same."""
        return not (self.missing or self.extra or self.changed)


def tell_apart(
    uids: Sequence[str], texts: Sequence[str], given_uids: Sequence[str], given_texts: Sequence[str]
) -> LabelDifference:
    """What differs between the labels of an index and those that are given, by uid, each in its order."""
    own = dict(zip(uids, texts, strict=True))
    given = dict(zip(given_uids, given_texts, strict=True))
    return LabelDifference(
        [uid for uid in given if uid not in own],
        [uid for uid in own if uid not in given],
        [uid for uid, text in given.items() if uid in own and own[uid] != text],
    )
