from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.data import Dataset, import_folder

TRAIN = [("red car", {0: 1.0, 2: 0.5}), ("nothing", {}), ("blaues Auto ü\u2028x", {1: 1.0})]
TEST = [("car", {2: 1.0})]
LABELS = ["car", "blue", "red"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def run(source: Path, tmp_path: Path) -> Callable[..., Dataset]:
    """Imports ``source`` to ``tmp_path/out`` without a progress bar."""

    def call(**options: object) -> Dataset:
        return import_folder(source, tmp_path / "out", progress=False, **options)  # type: ignore[arg-type]

    return call


def write_json(path: Path, records: Sequence[object]) -> None:
    data = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    data = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def matrix(rows: Sequence[Mapping[int, float]], num_labels: int = len(LABELS)) -> sp.csr_matrix:
    dense = np.zeros((len(rows), num_labels))
    for row, pairs in enumerate(rows):
        for label, value in pairs.items():
            dense[row, label] = value
    return sp.csr_matrix(dense)


def assert_is_the_example(dataset: Dataset) -> None:
    """The data set holds TRAIN, TEST and LABELS."""
    assert dataset.texts("train", ["title"])[:] == [text for text, _ in TRAIN]
    assert dataset.texts("test", ["title"])[:] == [text for text, _ in TEST]
    assert dataset.texts("labels")[:] == LABELS
    for split, rows in (("train", TRAIN), ("test", TEST)):
        expected = matrix([pairs for _, pairs in rows]).toarray()
        np.testing.assert_array_equal(dataset.relevance(split).toarray(), expected)
