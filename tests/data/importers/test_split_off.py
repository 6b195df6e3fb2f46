from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xmc.data import Dataset
from xmc.data.text_keys import folded
from xmc.errors import ConfigError

from .conftest import write_json, write_lines


def test_an_import_is_split_by_text(source: Path, run: Callable[..., Dataset]) -> None:
    texts = [f"text {number % 150}" for number in range(300)]
    rows = [{"text": text, "labels": [f"l{row}"]} for row, text in enumerate(texts)]
    write_json(source / "train.jsonl", rows)
    write_lines(source / "filter_labels_train.txt", [f"{row} {row}" for row in range(300)])
    whole = run()
    parted = run(split=0.2, overwrite=True)
    sides = {split: {folded(text) for text in parted.texts(split)} for split in ("train", "test")}
    assert not sides["train"] & sides["test"] and 15 < len(sides["test"]) < 50
    assert parted.num_train + parted.num_test == 300 and parted.num_labels == whole.num_labels
    for split in ("train", "test"):
        assert [texts[int(uid)] for uid in parted.uids(split)] == parted.texts(split)[:]
        excluded, relevance = parted.filter(split), parted.relevance(split)
        assert excluded is not None and (excluded != relevance.astype(bool)).nnz == 0
    assert parted.manifest.sources[0]["split"] == 0.2


def test_a_split_that_cannot_be(
    source: Path, run: Callable[..., Dataset], nothing_left: Callable[[], bool]
) -> None:
    write_json(source / "train.jsonl", [{"text": "one", "labels": ["x"]}] * 5)
    with pytest.raises(ConfigError, match="split: expected a share of 0.5 to leave rows on both sides"):
        run(split=0.5)
    write_json(source / "test.jsonl", [{"text": "two", "labels": ["x"]}])
    with pytest.raises(ConfigError, match="split: expected data without test rows"):
        run(split=0.5)
    assert nothing_left()
