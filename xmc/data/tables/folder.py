"""A folder with tables: ``clicks.csv`` (or ``train.csv``), beside ``test.csv`` and ``products.csv``.

Each may be CSV, TSV, JSON Lines or Parquet (see :mod:`xmc.data.tables`). ``labels``, ``items``, ``documents``
and ``catalogue`` are other names of products. Several files of clicks are read in the order of their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmc.data.tables.importing import TableFiles
from xmc.data.tables.sources import is_table, stem
from xmc.errors import DataError
from xmc.received import check_inside, reading

__all__ = [
    "LOOKS_FOR",
    "has_tables",
    "is_named_as_labels",
    "is_named_as_test",
    "label_tables",
    "tables_of",
    "tables_of_folder",
]

LOOKS_FOR = "clicks.csv or train.csv (.tsv, .jsonl, .parquet), with or without test.csv, products or labels"

_TRAIN = ("clicks", "train")
_TEST = ("test",)
_LABELS = ("labels", "products", "items", "documents", "catalogue", "catalog")


def has_tables(folder: Path) -> bool:
    """Whether a folder holds tables of clicks, or of labels, by their names."""
    return bool(_named(folder, (*_TRAIN, *_TEST, *_LABELS)))


def tables_of_folder(folder: Path) -> TableFiles:
    """What the tables in ``folder`` are, by their names; others are left aside.

    Raises:
        DataError: When several are of labels.
    """
    return tables_of(_named(folder, (*_TRAIN, *_TEST, *_LABELS)))


def label_tables(folder: Path) -> list[Path]:
    """The tables in ``folder`` that are named as tables of labels are."""
    return _named(folder, _LABELS)


def is_named_as_labels(path: Path) -> bool:
    """Whether a file is named as tables of labels are."""
    return _of(path, _LABELS)


def is_named_as_test(path: Path) -> bool:
    """Whether a file is named as tables of test clicks are."""
    return _of(path, _TEST)


def tables_of(paths: Sequence[Path]) -> TableFiles:
    """What some tables are, by their names; one of another name holds clicks to train on.

    Raises:
        DataError: When several are of labels.
    """
    labels = [path for path in paths if _of(path, _LABELS)]
    if len(labels) > 1:
        names = ", ".join(path.name for path in labels)
        raise DataError(
            f"{labels[0].parent}: expected one table of labels, got {names}, taken for tables of "
            "labels by their names: leave one, or give a table of clicks another name"
        )
    test = [path for path in paths if _of(path, _TEST)]
    train = [path for path in paths if path not in labels and path not in test]
    return TableFiles(train, test, labels[0] if labels else None, by_name=bool(labels))


def _named(folder: Path, names: Sequence[str]) -> list[Path]:
    tables = [path for path in sorted(folder.iterdir()) if path.is_file() and is_table(path)]
    found = [path for path in tables if _of(path, names)]
    for path in found:
        with reading(path, "a file of the folder"):
            check_inside(path, folder)
    return found


def _of(path: Path, names: Sequence[str]) -> bool:
    """Whether a file is called one of ``names``, perhaps with a number: ``clicks-2024``."""
    name = stem(path)
    return any(name == one or name.startswith((f"{one}-", f"{one}_", f"{one}.")) for one in names)
