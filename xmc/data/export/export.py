"""Writes a prepared data set in another format, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xmc.data.dataset import Dataset
from xmc.data.export.jsonl import write_jsonl
from xmc.data.export.trec import write_trec
from xmc.data.export.xc import write_xc
from xmc.data.manifest import check_choice
from xmc.files import atomic_folder, check_replaceable

__all__ = ["EXPORT_FORMATS", "export"]

_WRITERS: dict[str, Callable[[Dataset, Path], None]] = {
    "xc": write_xc,
    "jsonl": write_jsonl,
    "trec": write_trec,
}
_FILTERS = "filter_labels_*.txt"
_MARKS = {"xc": "trn_X.txt", "jsonl": "train.jsonl", "trec": "train.qrels"}
_PARTS = {
    "xc": ("tst_X.txt", "Y.txt", "Y.trn.npz", "Y.tst.npz", _FILTERS),
    "jsonl": ("test.jsonl", "labels.jsonl", _FILTERS),
    "trec": ("corpus.tsv", "*.queries.tsv", "test.qrels", _FILTERS),
}
EXPORT_FORMATS = tuple(_WRITERS)


def export(dataset: Dataset | str | Path, out: str | Path, *, format: str, overwrite: bool = False) -> Path:
    """Write ``dataset`` into the folder ``out``.

    ``jsonl`` keeps uids, texts, relevance and filters: imported again these are the same. ``xc`` keeps texts
    (one line each), relevance and filters, but neither uids nor which part of a text is its title. ``trec``
    has queries, a corpus of labels, and relevance in whole numbers. No format keeps the name, propensity
    constants, chosen fields, the list of unseen labels, the ceiling and the sources.

    Args:
        dataset: A prepared data set, or its folder.
        out: Folder to make.
        format: One of :data:`EXPORT_FORMATS`.
        overwrite: Replace an earlier export of that format.

    Raises:
        ConfigError: For an unknown format.
        DataError: When ``dataset`` is no prepared data set, or holds what the format cannot say.
        XMCError: When ``out`` is taken.
    """
    check_choice("format", format, EXPORT_FORMATS)
    check_replaceable(out, _MARKS[format], overwrite=overwrite, parts=_PARTS[format])
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.load(dataset)
    with atomic_folder(out, overwrite=overwrite) as folder:
        _WRITERS[format](dataset, folder)
    return Path(out)
