from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xmc.data import Dataset, DatasetWriter


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Dataset]:
    """Writes a tiny data set: 4 labels, training rows given as id lists, one test row."""

    def make(train: list[list[int]], name: str = "toy", **options: object) -> Dataset:
        with DatasetWriter(tmp_path / name, name=name, **options) as writer:  # type: ignore[arg-type]
            for label in range(4):
                writer.add_label(f"l{label}", f"label {label}", "long")
            for row, ids in enumerate(train):
                writer.add_row("train", f"q{row}", f"query {row}", f"content {row}", ids)
            writer.add_row("test", "t0", "a test", "", [3, 1])
            writer.add_filter("test", 0, 2)
        return Dataset.load(tmp_path / name)

    return make


@pytest.fixture
def nothing_left(tmp_path: Path) -> Callable[[], bool]:
    """Whether no data set, whole or partial, is at ``tmp_path/out``."""
    return lambda: not [path for path in tmp_path.iterdir() if "out" in path.name]
