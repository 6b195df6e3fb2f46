"""Writes a data set as the files that every system is given (`benchmarks.peers.systems.exchange`)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from xmc.data import Dataset
from xmc.files import atomic_folder

__all__ = ["DEPTH", "write_material"]

DEPTH = 100
"""Labels that are judged of each query; a list is longer by the filter pairs, which are taken from it."""


def write_material(dataset: Dataset, folder: Path) -> Path:
    """Write the files, or leave them where they are of the same data set."""
    facts = {
        "name": dataset.name,
        "path": str(dataset.path.resolve()),
        "fingerprint": dataset.fingerprint,
        "depth": min(dataset.num_labels, DEPTH + _longest(dataset.filter("test"))),
        "train": dataset.num_train,
        "test": dataset.num_test,
        "labels": dataset.num_labels,
    }
    file = folder / "facts.json"
    if file.is_file() and json.loads(file.read_text(encoding="utf-8")) == facts:
        return folder
    with atomic_folder(folder, overwrite=True) as made:
        for table in ("train", "test", "labels"):
            with open(made / f"{table}.jsonl", "w", encoding="utf-8") as lines:
                lines.writelines(json.dumps(text, ensure_ascii=False) + "\n" for text in dataset.texts(table))
        sp.save_npz(made / "train.npz", dataset.relevance("train"))
        for split in ("train", "test"):
            if (pairs := dataset.filter(split)) is not None:
                sp.save_npz(made / f"filter_{split}.npz", pairs)
        (made / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return folder


def _longest(pairs: sp.csr_matrix | None) -> int:
    return 0 if pairs is None or not pairs.shape[0] else int(np.diff(pairs.indptr).max())
