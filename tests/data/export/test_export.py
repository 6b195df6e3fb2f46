from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from xmc.data import Dataset, DatasetWriter, import_folder
from xmc.data.export import export
from xmc.errors import ConfigError, DataError, XMCError


def made(path: Path, uid: str = "q{}") -> Dataset:
    with DatasetWriter(path, name="toy") as writer:
        for label, title in enumerate(("Rote Schühe", "two\u2028parts", "")):
            writer.add_label(f"l{label}", title, "" if label else "con\ntent")
        writer.add_row("train", uid.format(0), "red\r\nshoes", "", [2, 0], [2.6, 0.25])
        writer.add_row("train", uid.format(1), "", "only content", [])
        writer.add_row("test", uid.format(2), "blue", "", [1])
        writer.add_filter("train", 0, 1)
    return Dataset.load(path)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return made(tmp_path / "toy")


def test_json_lines_are_the_data_set_again(dataset: Dataset, tmp_path: Path) -> None:
    folder = export(dataset, tmp_path / "jsonl", format="jsonl")
    again = import_folder(folder, tmp_path / "again", progress=False)
    assert again.fingerprint == dataset.fingerprint and again.label_fingerprint == dataset.label_fingerprint
    assert '"relevance"' not in (folder / "test.jsonl").read_text(encoding="utf-8")


def test_raw_text_and_matrices_keep_texts_and_pairs(
    dataset: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        folder = export(dataset.path, tmp_path / "xc", format="xc")
    assert "line ends became spaces in 2 texts" in caplog.text
    again = import_folder(folder, tmp_path / "again", progress=False)
    assert again.manifest.sources[0]["format"] == "xc"
    for table in ("train", "test", "labels"):
        assert again.texts(table)[:] == [
            " ".join(text.replace("\r\n", "\n").split("\n")) for text in dataset.texts(table)
        ]
    for split in ("train", "test"):
        assert (again.relevance(split) != dataset.relevance(split)).nnz == 0
    one, other = again.filter("train"), dataset.filter("train")
    assert one is not None and other is not None and (one != other).nnz == 0


def test_trec_files(dataset: Dataset, tmp_path: Path) -> None:
    folder = export(dataset, tmp_path / "trec", format="trec")
    text = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert text["train.qrels"] == "q0 0 l0 1\nq0 0 l2 3\n" and text["test.qrels"] == "q2 0 l1 1\n"
    assert text["train.queries.tsv"] == "q0\tred shoes\nq1\tonly content\n"
    assert text["corpus.tsv"] == "l0\tRote Schühe con tent\nl1\ttwo parts\nl2\t\n"


@pytest.mark.parametrize(
    ("uid", "why"), [("a b{}", "without white space"), ("same", "that no other row has")]
)
def test_uids_that_trec_cannot_say(uid: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"train row . .*: expected a uid {why}"):
        export(made(tmp_path / "bad", uid), tmp_path / "trec", format="trec")
    assert not (tmp_path / "trec").exists()


def test_what_is_there_is_kept(dataset: Dataset, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", format="jsonl")
    with pytest.raises(XMCError, match="not to exist"):
        export(dataset, tmp_path / "out", format="jsonl")
    export(dataset, tmp_path / "out", format="jsonl", overwrite=True)
    with pytest.raises(XMCError, match="left alone"):
        export(dataset, dataset.path, format="jsonl", overwrite=True)
    with pytest.raises(ConfigError, match="format among xc, jsonl, trec"):
        export(dataset, tmp_path / "two", format="csv")
    assert np.array_equal(dataset.relevance("test").indices, [1])
