"""Chunks are whole sentences in order, and nothing else of a data set changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chunks import chunks, main
from xmc.data import Dataset
from xmc.data.writer import DatasetWriter

LONG = "One two three. Four five!  Six seven eight nine ten? Eleven; twelve thirteen v1.2 fourteen."


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            1,
            [
                "One two three.",
                "Four five!",
                "Six seven eight nine ten?",
                "Eleven;",
                "twelve thirteen v1.2 fourteen.",
            ],
        ),
        (
            4,
            [
                "One two three. Four five!",
                "Six seven eight nine ten?",
                "Eleven; twelve thirteen v1.2 fourteen.",
            ],
        ),
        (99, [" ".join(LONG.split())]),
    ],
)
def test_a_chunk_ends_with_the_sentence_that_fills_it(words: int, expected: list[str]) -> None:
    assert chunks(LONG, words) == expected
    assert chunks(LONG.replace("  ", "\n\n"), words) == expected, "breaks that are there are white space"
    assert chunks("  ", words) == []


def test_only_line_breaks_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DatasetWriter(tmp_path / "data", name="few", query_fields="title") as writer:
        writer.add_label("a", "first", LONG)
        writer.add_label("b", "second", "")
        writer.add_row("train", "q", "query", "", [1])
        writer.add_row("test", "r", "asked", "", [0])
        writer.add_filter("test", 0, 1)
    before = Dataset.load(tmp_path / "data")
    out = str(tmp_path / "out")
    assert main([str(before.path), out, "--words", "4"]) == 0
    assert "2 labels, 3 chunks" in capsys.readouterr().out
    after = Dataset.load(out)
    contents = list(after.texts("labels", ["content"]))
    assert contents[0].splitlines() == chunks(LONG, 4) and contents[1] == ""
    assert [" ".join(text.split()) for text in after.texts("labels")] == [
        " ".join(text.split()) for text in before.texts("labels")
    ]
    excluded = after.filter("test")
    assert excluded is not None and excluded.toarray().tolist() == [[0, 1]]
    assert after.relevance("train").toarray().tolist() == [[0, 1]]
    assert main([str(before.path), out]) == 1
    assert "error: " in capsys.readouterr().err
