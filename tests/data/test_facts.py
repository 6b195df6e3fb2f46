from __future__ import annotations

from pathlib import Path

import pytest

from xmc.data import Dataset, DatasetWriter, describe, text_facts
from xmc.errors import ConfigError


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Labels: two of one text, one without content, one without anything, one whose title tells it apart."""
    with DatasetWriter(tmp_path / "d", name="d") as writer:
        labels = [("tent", "for two"), ("tent", "for two"), ("stove", ""), ("", " "), ("", "for two")]
        for number, (title, content) in enumerate(labels):
            writer.add_label(f"l{number}", title, content)
        writer.add_row("train", "q", "camping", "", [0])
    return Dataset.load(tmp_path / "d")


def test_counts_by_hand(dataset: Dataset) -> None:
    facts = text_facts(dataset, "labels")
    assert facts.fields == ("title", "content") and facts.num_texts == 5
    assert facts.filled == {"title": 3, "content": 3}
    assert (facts.num_repeated, facts.num_empty) == (2, 1)
    assert facts.notes() == [
        "2 of 5 labels have no title",
        "2 of 5 labels have no content",
        "2 of 5 labels have the text of another one",
        "1 of 5 labels has an empty text",
    ]


def test_a_field_that_is_left_out_is_said(dataset: Dataset) -> None:
    facts = text_facts(dataset, "labels", ["title"])
    assert (facts.num_repeated, facts.num_empty) == (2, 2)
    assert "3 of 5 labels have a content, which is not read (data.label_fields decides)" in facts.notes()


def test_nothing_to_say(dataset: Dataset) -> None:
    assert text_facts(dataset, "train").notes() == []
    with pytest.raises(ConfigError, match="fields among title, content"):
        text_facts(dataset, "train", ["uid"])


def test_the_table_of_a_data_set_has_the_notes(dataset: Dataset) -> None:
    table = describe(dataset).table()
    assert "2 of 5 labels have the text of another one" in table
    assert "a label's text" in table and "title + content" in table
