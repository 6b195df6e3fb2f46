"""benchmarks/novel_labels.py: draws are nested, tf-idf reads the queries, and the table has every line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks import novel_labels
from xmc.data import Dataset, DatasetWriter
from xmc.data.unseen_labels import split_labels


@pytest.fixture
def whole(tmp_path: Path) -> Dataset:
    """Labels around a circle; a query is near its two labels."""
    angles = 2 * np.pi * np.arange(24) / 24
    points = [f"{np.cos(angle):.3f} {np.sin(angle):.3f} 0.1" for angle in angles]
    with DatasetWriter(tmp_path / "whole", name="circle", label_fields=["title"]) as writer:
        for label, point in enumerate(points):
            writer.add_label(f"l{label}", point)
        for row in range(240):
            labels = sorted({row % 24, (row + 1) % 24})
            writer.add_row("test" if row % 5 == 0 else "train", f"q{row}", points[row % 24], "", labels)
    return Dataset.load(tmp_path / "whole")


def test_no_label_has_more_than_n_rows_and_draws_are_nested() -> None:
    relevance = sp.csr_matrix(np.random.default_rng(0).random((30, 5)) < 0.4).astype(np.float32)
    few, many = novel_labels.drawn(relevance, 2, seed=0), novel_labels.drawn(relevance, 6, seed=0)
    counts = relevance.getnnz(axis=0)
    assert few.getnnz(axis=0).tolist() == np.minimum(counts, 2).tolist()
    assert many.getnnz(axis=0).tolist() == np.minimum(counts, 6).tolist()
    assert few.multiply(many).nnz == few.nnz and few.multiply(relevance).nnz == few.nnz
    assert novel_labels.drawn(relevance, 0, seed=0).nnz == 0
    assert (novel_labels.drawn(relevance, 2, seed=1) != few).nnz


def test_matching_reads_the_texts_of_support_queries() -> None:
    unseen = np.array([1, 2], dtype=np.int64)
    support = sp.csr_matrix([[0.0, 1.0, 0.0]])
    given = (["red", "blue", "green"], support, ["sky"], ["the sky", "green"], None, unseen)
    joint, alone = novel_labels.lexical(*given)
    assert joint[:, 0].tolist() == [1, 2] and alone[:, 0].tolist() == [1, 2]


def test_every_case_is_in_the_table(
    whole: Dataset, tmp_path: Path, make_encoder, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    split = split_labels(whole, tmp_path / "split", unseen=0.3)
    monkeypatch.setattr(novel_labels.DualEncoder, "load", lambda path: make_encoder())
    words = ["model", str(split.path), str(whole.path), "--n", "0,2", "--queries", "40"]
    assert novel_labels.main([*words, "--json", str(tmp_path / "out.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[:2] for line in lines[4:]] == [
        ["| text", "0"],
        ["| text and queries", "2"],
        ["| queries", "2"],
        ["| tf-idf", "0"],
        ["| tf-idf", "2"],
    ]
    assert lines[0].startswith("k0 and the harmonic mean") and "40 test queries" in lines[1]
    assert (tmp_path / "out.json").stat().st_size > 100
