"""The texts of a label: of its fields or of their lines, as one string and side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.data.label_texts import FlatTexts, SeveralTexts, lines_of, several_texts
from xmc.errors import ConfigError


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    with DatasetWriter(tmp_path / "d", name="d") as writer:
        writer.add_label("a", "cat", "a small animal\nfeline \n\nCAT\ncat")
        writer.add_label("b", "", "")
        writer.add_label("c", "dog", "")
        writer.add_row("train", "0", "q", "", [0])
    return Dataset.load(tmp_path / "d")


def test_texts_of_fields_and_of_lines(dataset: Dataset) -> None:
    fields, lines = (dataset.label_texts(split=split) for split in ("fields", "lines"))
    assert isinstance(fields, SeveralTexts)
    assert list(fields) == ["cat\na small animal feline CAT cat", "", "dog"]
    assert list(lines) == ["cat\na small animal\nfeline\nCAT", "", "dog"], "each once, blank ones left out"
    assert lines[2] == "dog" and lines[1:] == ["", "dog"] and lines[np.array([2, 0])][0] == "dog"
    assert dataset.label_texts(["title"], "fields")[0] == "cat"
    assert dataset.label_texts()[0].startswith("cat a small"), "one text"
    joint = dataset.texts("labels")
    assert len({fields.fingerprint, lines.fingerprint, joint.fingerprint}) == 3
    with pytest.raises(ConfigError, match="fields or lines"):
        dataset.label_texts(split="words")


def test_side_by_side_every_label_has_one_or_more() -> None:
    flat = FlatTexts.of(["cat\nfeline", "", "dog"])
    assert flat.texts == ["cat", "feline", "", "dog"]
    assert flat.bounds.tolist() == [0, 2, 3, 4] and flat.counts.tolist() == [2, 1, 1]
    assert flat.repeated(["a", "b", "c"]) == ["a", "a", "b", "c"]
    assert FlatTexts.of([]).bounds.tolist() == [0]
    assert lines_of(" \n") == [""] and several_texts(["a  b", "", "a b"], "fields") == "a b"
