"""An index in Parquet files and searches there, as commands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from xmc.cli.main import main
from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.prediction.encoded import EncodedData
from xmc.prediction.ensembling import query_votes
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble_options import EnsembleOptions, VoteOptions


def test_export_and_search(model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys) -> None:
    index, place = str(tmp_path / "index"), str(tmp_path / "out")
    build = ["index", "build", str(model_folder), "--labels", str(dataset_folder), "--out", index]
    assert main([*build, "--kind", "exact"]) == 0
    export = ["export", index, "--to", "parquet", "--out", place]
    assert main([*export, "--search", "red house"]) == 2
    assert "export first" in capsys.readouterr().err
    assert main(export) == 0
    assert "20 labels written, 0 removed, 0 as they were: 20 in" in capsys.readouterr().out

    assert main(["search", index, "red house", "-k", "4"]) == 0
    own = capsys.readouterr().out
    assert main([*export, "--search", "red house", "-k", "4"]) == 0
    assert capsys.readouterr().out == own
    (tmp_path / "queries.txt").write_text("red house\n\nblue bird\n", encoding="utf-8")
    queries = ["--queries", str(tmp_path / "queries.txt"), "-k", "3", "--json"]
    assert main(["search", index, *queries]) == 0
    own = capsys.readouterr().out
    assert main([*export, *queries]) == 0
    there = capsys.readouterr().out.splitlines()
    for said, expected in zip(map(json.loads, there), map(json.loads, own.splitlines()), strict=True):
        assert said.pop("scores") == pytest.approx(expected.pop("scores"), rel=1e-5) and said == expected
    assert [len(json.loads(line)["labels"]) for line in there] == [3, 0, 3]

    assert main([*export, "--search", "null", "-k", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["query"] == "null"
    assert main(["index", "remove", index, "l0"]) == 0
    capsys.readouterr()
    assert main([*export, "--search", "red house", "-k", "1"]) == 0
    told = f"has 20 labels and the index 19: `xmc export {index} --to parquet --out {place}` brings it"
    assert told in capsys.readouterr().err
    assert main([*export, "--name", "others"]) == 0 and main(["index", "remove", index, "l1"]) == 0
    capsys.readouterr()
    assert main([*export, "--name", "others", "--search", "red house"]) == 0
    assert f"--out {place} --name others` brings it" in capsys.readouterr().err
    assert main(export) == 0
    assert "0 labels written, 2 removed, 18 as they were: 18 in" in capsys.readouterr().out


def test_what_stays_behind_is_named(model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys) -> None:
    dataset = Dataset.load(dataset_folder)
    index = LabelIndex.build(model_folder, dataset, progress=False)
    votes = query_votes(EncodedData(DualEncoder.load(model_folder), dataset, progress=False))[0]
    index.add_ensemble(EnsembleOptions(VoteOptions(0.3, 0.1)), votes)
    index.save(tmp_path / "index")
    export = ["export", str(tmp_path / "index"), "--to", "parquet", "--out", str(tmp_path / "out")]
    behind = "vote of training queries 0.3, temperature 0.1\n"
    assert main(export) == 0
    shown = capsys.readouterr().out
    assert f"what the index ranks with beside them stays behind: {behind}" in shown
    assert main([*export, "--search", "red house", "--json"]) == 0
    found = capsys.readouterr()
    assert "ranks by the vectors alone" in found.err and behind in found.err
    assert list(json.loads(found.out)) and "vote" not in found.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--search", "a", "--queries", "b"], "got both"),
        (["--search", " "], "an empty one"),
        (["--search", "a", "--column", "q", "--encoding", "cp1252"], "--column, --encoding: expected a file"),
        (["--format", "csv"], "--format: expected a file of queries (--queries)"),
        (["--search", "a", "--overwrite"], "leave them out"),
        (["--search", "a", "-k", "0"], "1 or more labels"),
        (["--queries", "nowhere.txt"], "does not exist"),
    ],
)
def test_what_cannot_be_asked(words: list[str], said: str, capsys) -> None:
    assert main(["export", "index", "--to", "parquet", "--out", "out", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("fold", ["max", "top2"])
def test_several_texts_a_label(model_folder: Path, tmp_path: Path, capsys, fold: str) -> None:
    """Found by the better of its texts; by the mean of both they are refused before anything is made."""
    encoder = DualEncoder.load(model_folder)
    encoder.metadata = replace(encoder.metadata, label_texts="lines", label_fold=fold)
    encoder.save(tmp_path / "model")
    labels = [{"uid": "a", "title": "red house\nblue bird"}, {"uid": "b", "title": "stone"}]
    lines = "".join(json.dumps(label) + "\n" for label in labels)
    (tmp_path / "labels.jsonl").write_text(lines, encoding="utf-8")
    index, out = str(tmp_path / "index"), tmp_path / "out"
    build = ["index", "build", str(tmp_path / "model"), "--labels", str(tmp_path / "labels.jsonl")]
    assert main([*build, "--out", index, "--kind", "exact"]) == 0
    capsys.readouterr()
    export = ["export", index, "--to", "parquet", "--out", str(out)]
    if fold == "top2":
        for words in ([], ["--search", "red house"]):
            assert main([*export, *words]) == 2
            assert "got 3 vectors of 2 labels and label_fold top2" in capsys.readouterr().err
        assert not out.exists()
        return
    assert main(export) == 0
    assert "2 labels written, 0 removed, 0 as they were: 3 texts in" in capsys.readouterr().out
    assert main([*export, "--search", "blue bird", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == "" and json.loads(said.out)["labels"] == ["a", "b"]
    assert main(["index", "remove", index, "b"]) == 0
    assert main([*export, "--search", "blue bird"]) == 0
    assert "has 3 texts of labels and the index 2: `xmc export" in capsys.readouterr().err


def test_a_label_of_more_texts_than_were_exported_is_told_with_what_helps(
    model_folder: Path, tmp_path: Path, capsys
) -> None:
    encoder = DualEncoder.load(model_folder)
    encoder.metadata = replace(encoder.metadata, label_texts="lines")
    encoder.save(tmp_path / "model")
    index, out = str(tmp_path / "index"), str(tmp_path / "out")
    for name, title in (("first", "stone"), ("second", "red house\nblue bird")):
        line = json.dumps({"uid": name, "title": title})
        (tmp_path / f"{name}.jsonl").write_text(line + "\n", encoding="utf-8")
    build = ["index", "build", str(tmp_path / "model"), "--labels", str(tmp_path / "first.jsonl")]
    export = ["export", index, "--to", "parquet", "--out", out]
    assert main([*build, "--out", index, "--kind", "exact"]) == main(export) == 0
    assert main(["index", "add", index, "--labels", str(tmp_path / "second.jsonl")]) == 0
    capsys.readouterr()
    assert main([*export, "--search", "bird"]) == 0
    said = capsys.readouterr().err
    assert "has 1 label and the index 2 labels, one of which has more texts" in said
    assert f"`{' '.join(['xmc', *export])} --overwrite` makes it anew" in said
    assert main(export) == 2
    assert main([*export, "--overwrite"]) == 0
