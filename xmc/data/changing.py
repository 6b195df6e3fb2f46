"""A data set whose labels are added, get other texts or are removed, as those of a label index are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.data.copying import copy_rows
from xmc.data.dataset import Dataset
from xmc.data.manifest import SPLITS
from xmc.data.writer import DatasetWriter
from xmc.errors import ConfigError, DataError

__all__ = ["Changed", "LabelChanges", "change_labels"]


@dataclass(frozen=True)
class LabelChanges:
    """What is to happen to labels."""

    added: Sequence[tuple[str, str, str]] = ()
    """uid, title and content of new ones; their ids come after all others."""
    updated: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """uid to title and content."""
    removed: frozenset[str] = frozenset()
    """Uids."""


class Changed(NamedTuple):
    """What has come of a change."""

    dataset: Dataset
    rows_left_out: dict[str, int]
    """By split: rows whose every label was removed."""


def change_labels(
    dataset: Dataset | str | Path,
    changes: LabelChanges,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
) -> Changed:
    """Write the data set with changed labels, in its own place or as another.

    The labels that stay keep their order, and their ids unless one before them is removed: an index never
    uses an id again, so that uids alone tie the two from then on. Rows lose the labels that are removed, and
    go when they have no other; rows that had none before stay. Who has the data set open goes on with what
    was opened, on systems where open files can be removed.

    Args:
        dataset: A prepared data set, or its folder.
        changes: Of its labels.
        out: Folder to make; None replaces the data set by the changed one, whole or not at all.
        overwrite: Replace the prepared data set at ``out``.

    Raises:
        ConfigError: When no label or no training row would be left.
        DataError: When a uid to add is there or comes twice, or one to update or remove is not there.
        XMCError: When ``out`` is taken.
    """
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.load(dataset)
    uids = list(dataset.uids("labels"))
    _check(changes, uids)
    stays = np.array([uid not in changes.removed for uid in uids], dtype=bool)
    count = int(stays.sum()) + len(changes.added)
    relevance = {split: _columns(dataset.relevance(split), stays, count) for split in SPLITS}
    keep = {s: (relevance[s].getnnz(1) > 0) | (dataset.relevance(s).getnnz(1) == 0) for s in SPLITS}
    if not count or (dataset.num_train and not keep["train"].any()):
        lack = "training row" if count else "label"
        raise ConfigError(f"expected to leave a {lack}, got none: remove fewer labels")
    source = {
        "labels_added": len(changes.added),
        "labels_updated": len(changes.updated),
        "labels_removed": len(changes.removed),
        "from": dataset.fingerprint,
    }
    writer = DatasetWriter(
        dataset.path if out is None else out,
        name=dataset.name,
        propensity=dataset.propensity,
        sources=[source, *dataset.manifest.sources],
        query_fields=dataset.manifest.query_fields,
        label_fields=dataset.manifest.label_fields,
        overwrite=overwrite or out is None,
    )
    writer.query_columns = dataset.manifest.query_columns
    with writer:
        titles, contents = (dataset.texts("labels", [name]) for name in ("title", "content"))
        for label, texts in enumerate(zip(titles, contents, strict=True)):
            if stays[label]:
                writer.add_label(uids[label], *changes.updated.get(uids[label], texts))
        for uid, title, content in changes.added:
            writer.add_label(uid, title, content)
        for split in SPLITS:
            excluded = dataset.filter(split)
            copy_rows(
                dataset,
                split,
                writer,
                relevance=relevance[split],
                excluded=None if excluded is None else _columns(excluded, stays, count),
                keep=keep[split],
            )
        held_out = (uids[label] for label in dataset.unseen_labels)
        writer.unseen_labels = [uid for uid in held_out if uid not in changes.removed]
    left_out: dict[str, int] = {split: int((~keep[split]).sum()) for split in SPLITS}
    return Changed(Dataset.load(writer.path), left_out)


def _columns(matrix: sp.csr_matrix, stays: NDArray[np.bool_], count: int) -> sp.csr_matrix:
    """The columns that stay, and empty ones after them up to ``count``."""
    kept = sp.csr_matrix(matrix[:, stays])
    return sp.csr_matrix((kept.data, kept.indices, kept.indptr), shape=(matrix.shape[0], count))


def _check(changes: LabelChanges, uids: Sequence[str]) -> None:
    known, new = set(uids), [uid for uid, _, _ in changes.added]
    if there := [uid for uid in new if uid in known]:
        raise DataError(
            f"expected labels that the data set has not, but {len(there):,} of {len(new):,} are there "
            f"({there[0]!r:.80}): update them instead"
        )
    if len(set(new)) != len(new):
        twice = next(uid for place, uid in enumerate(new) if uid in new[:place])
        raise DataError(f"expected each label once, got {twice!r:.80} again: remove one")
    ways = {
        "update": "add them (--add FILE --known update changes those that are there)",
        "remove": "leave them out (--unknown skip)",
    }
    for what, given in (("update", changes.updated), ("remove", changes.removed)):
        if unknown := [uid for uid in given if uid not in known]:
            raise DataError(
                f"expected labels of the data set to {what}, got {unknown[0]!r:.80} ({len(unknown):,} of "
                f"{len(given):,} are not there): {ways[what]}"
            )
    if both := [uid for uid in changes.updated if uid in changes.removed]:
        raise DataError(f"expected labels to update or to remove, got {both[0]!r:.80} for both: choose one")
