"""What of a test split is known the other way round, and data of which nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import known_pairs
from xmc.data import Dataset, DatasetWriter


def test_pairs_that_training_has_reversed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DatasetWriter(tmp_path / "d", name="d", query_fields=("title",), label_fields=("title",)) as writer:
        for name in "abcd":
            writer.add_label(name, name)
        writer.add_row("train", "b", "b", "", [0, 2])  # b to a and c
        writer.add_row("train", "c", "c", "", [0])
        writer.add_row("train", "d", "d", "", [1])
        writer.add_filter("train", 1, 2)
        writer.add_row("test", "a", "a", "", [1, 3])  # of a to b and d, b to a is known; c to a is none of it
    dataset = Dataset.load(tmp_path / "d")
    assert known_pairs.known_pairs(dataset) == known_pairs.Known(50.0, 100.0, 20.0, 50.0)

    known_pairs.main([str(dataset.path), "--without", str(tmp_path / "left")])
    printed = capsys.readouterr().out
    assert printed.startswith("50.0 % of the test pairs are known the other way round; looked up: ")
    assert "P@1 100.00, P@5 20.00, R@100 50.00\n" in printed and "2 training and 1 test rows" in printed
    left = Dataset.load(tmp_path / "left")
    assert left.uids("train")[:] == ["b", "d"] and left.relevance("train").toarray().tolist() == [
        [0, 0, 1, 0],
        [0, 1, 0, 0],
    ]
    assert left.relevance("test").toarray().tolist() == [[0, 1, 0, 1]] and left.filter("train") is None
    assert known_pairs.known_pairs(left) == known_pairs.Known(0.0, 0.0, 0.0, 0.0)
