from __future__ import annotations

from pathlib import Path

import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.training.callbacks.announce import announce_texts
from xmc.training.config import DataConfig


def test_a_run_says_what_texts_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DatasetWriter(tmp_path / "d", name="d") as writer:
        writer.add_label("a", "tent", "for two")
        writer.add_label("b", "tent", "")
        writer.add_row("train", "q", "camping", "in spring", [0])
    dataset = Dataset.load(tmp_path / "d")
    announce_texts(dataset, DataConfig(path=str(dataset.path)))
    assert capsys.readouterr().out.splitlines() == [
        "a query is its title + content, a label its title + content",
        "1 of 2 labels have no content",
    ]
    announce_texts(
        dataset, DataConfig(path=str(dataset.path), query_fields=["title"], label_fields=["title"])
    )
    assert capsys.readouterr().out.splitlines() == [
        "a query is its title, a label its title",
        "1 of 2 labels have a content, which is not read (data.label_fields decides)",
        "2 of 2 labels have the text of another one",
    ]
