"""The life of an index, each step as the command a user types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xmc.cli.index_tune import _command
from xmc.cli.main import main
from xmc.prediction.calibration import Calibration
from xmc.prediction.curve import Point
from xmc.prediction.judge import Judge
from xmc.prediction.label_source import find_calibration
from xmc.prediction.platt import Platt
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble_options import EnsembleOptions

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def index(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> str:
    place = str(tmp_path / "index")
    assert main(["index", "build", str(model_folder), "--labels", str(dataset_folder), "--out", place]) == 0
    return place


def table(folder: Path, *rows: str) -> str:
    (folder / "labels.csv").write_text("\n".join(["uid,title", *rows]) + "\n", encoding="utf-8")
    return str(folder / "labels.csv")


def found(index: str, text: str, capsys: Capture, k: int = 1) -> list[str]:
    capsys.readouterr()
    assert main(["search", index, text, "-k", str(k), "--json"]) == 0
    return list(json.loads(capsys.readouterr().out)["labels"])


def test_add_update_and_remove(index: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["index", "add", index, "--labels", table(tmp_path, "new,the number", "new2,number")]) == 0
    assert "2 labels added, 0 updated: 22" in capsys.readouterr().out
    assert found(index, "the number", capsys) == ["new"]
    assert main(["index", "update", index, "--labels", table(tmp_path, "new,bird", "l0,red house")]) == 0
    assert "1 of 2 texts differed: 22 labels" in capsys.readouterr().out
    assert found(index, "bird", capsys) == ["new"]
    assert main(["index", "remove", index, "new", "l0"]) == 0
    assert "2 labels removed: 20" in capsys.readouterr().out
    assert main(["index", "remove", index, "--ids", "1", "2"]) == 0
    assert not {"new", "l0", "l1", "l2"} & set(found(index, "red house", capsys, 22))
    assert main(["index", "remove", index, "--labels", table(tmp_path, "new2,", "l9,")]) == 0
    assert main(["index", "remove", index, "l9", "l8", "--unknown", "skip"]) == 0
    assert "1 label removed: 15" in capsys.readouterr().out


def test_labels_that_are_known(index: str, dataset_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    labels = table(tmp_path, "l0,green bird", "new,number")
    assert main(["index", "add", index, "--labels", labels]) == 2
    assert "1 of 2 is there ('l0'): --known skip" in capsys.readouterr().err
    assert main(["index", "add", index, "--labels", labels, "--known", "skip"]) == 0
    assert LabelIndex.load(index).texts[0] == "red house"
    assert main(["index", "add", index, "--labels", labels, "--known", "update"]) == 0
    assert "0 labels added, 2 updated: 21" in capsys.readouterr().out
    assert LabelIndex.load(index).texts[0] == "green bird"
    assert main(["index", "add", index, "--labels", str(dataset_folder), "--known", "update"]) == 0
    assert LabelIndex.load(index).texts[0] == "red house"


def test_labels_from_json_lines(index: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "labels.jsonl").write_text('{"uid": "x", "title": "number", "content": "the bird"}\n')
    assert main(["index", "add", index, "--labels", str(tmp_path / "labels.jsonl")]) == 0
    assert LabelIndex.load(index).texts[20] == "number the bird"


def test_info_tells_what_differs(index: str, dataset_folder: Path, tmp_path: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert main(["index", "info", index, "--labels", str(dataset_folder)]) == 0
    said = capsys.readouterr().out
    assert "labels           20\n" in said and f"the labels are those of {dataset_folder}" in said
    assert main(["index", "remove", index, "l3", "l4"]) == 0
    assert main(["index", "add", index, "--labels", table(tmp_path, "new,number")]) == 0
    assert main(["index", "update", index, "--labels", table(tmp_path, "l5,number")]) == 0
    capsys.readouterr()
    assert main(["index", "info", index, "--labels", str(dataset_folder), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["difference"] == {"missing": ["l3", "l4"], "extra": ["new"], "changed": ["l5"]}
    assert (facts["labels"], facts["removed"], facts["kind"]) == (19, 2, "flat")
    assert main(["index", "info", index, "--labels", str(dataset_folder)]) == 0
    said = capsys.readouterr().out
    assert "2 labels are not in the index: l3, l4 (xmc index add" in said
    assert "1 label has another text in the index: l5" in said and "1 label is in the index and" in said


@pytest.mark.parametrize("storage", [None, "int8"])
def test_shards_are_merged(
    index: str,
    storage: str | None,
    model_folder: Path,
    dataset_folder: Path,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = str(tmp_path / "part")
    build = ["index", "build", str(model_folder), "--labels", str(dataset_folder), "--out", base]
    assert main([*build, "--kind", "exact", "--shard", "rank"]) == 2
    assert "RANK and WORLD_SIZE" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        assert main([*build, "--kind", "exact", "--shard", "rank"]) == 0
    parts, whole = [f"{base}-{part}-of-3" for part in (1, 2, 3)], str(tmp_path / "whole")
    assert [len(LabelIndex.load(part)) for part in parts] == [7, 7, 6]
    as_exact = ["--kind", "exact", "--storage", storage] if storage else ["--kind", "flat"]
    assert main(["index", "merge", *parts, "--out", whole, *as_exact]) == 0
    merged = LabelIndex.load(whole)
    assert merged.uids == [f"l{number}" for number in range(20)] and merged.manifest.label_fields is None
    if storage is None:
        assert merged.hits("red bird", 20) == LabelIndex.load(index).hits("red bird", 20)
    else:
        assert merged.hits("red bird", 1)[0].text == "red bird" and merged.manifest.storage == "int8"
    assert main(["index", "merge", *parts, "--out", whole]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_tune_keeps_what_reaches_the_recall(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    index = str(tmp_path / "index")
    build = ["index", "build", str(model_folder), "--labels", str(dataset_folder), "--out", index]
    assert main([*build, "--kind", "IVF4,Flat"]) == 0
    capsys.readouterr()
    words = ["index", "tune", index, "--recall", "1", "-k", "3", "--queries", str(dataset_folder)]
    others = ["--kinds", "flat", "hnsw", "SQ8", "--storages", "float32", "int8", "--refine"]
    assert main([*words, *others, "--dry-run"]) == 0
    said = capsys.readouterr().out
    rows = [line.split(" | ") for line in said.splitlines()[2:] if line.startswith("| ")]
    assert [row[1] for row in rows[:3]] == ["nprobe=1", "nprobe=2", "nprobe=4"]
    refined = {"| SQ8 refined", "| SQ8 (int8) refined"}
    assert {row[0] for row in rows} == {"| IVF4,Flat", "| Flat", "| HNSW32", "| SQ8", *refined}
    assert rows[2][2] == "1.0000"
    assert LabelIndex.load(index).generation == "generation-000001"
    assert main(words) == 0
    assert "kept in" in capsys.readouterr().out
    assert LabelIndex.load(index).parameters == {"nprobe": 4}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "nowhere", "--labels", "nothing.csv"], "nor such a folder: check the path"),
        (["add", ".", "--labels", "nothing.csv"], "there is no manifest.json"),
        (["add", "INDEX", "--labels", "nothing.csv"], "expected labels in a file"),
        (["add", "INDEX"], "labels must be given"),
        (["update", "INDEX", "--labels", "CSV"], "1 ('nobody') of 1 is not there: `xmc index add "),
        (["remove", "INDEX"], "expected uids, --ids or --labels"),
        (["remove", "INDEX", "nobody"], "'nobody'"),
        (["remove", "INDEX", "--ids", "99"], "expected ids of labels in the index, but 1 (99)"),
        (["merge", "INDEX", "INDEX", "--out", "OUT"], "'l0' again"),
        (["tune", "INDEX", "--recall", "1.5"], "a recall above 0"),
        (["tune", "INDEX", "--plot", "front.pdf"], "ends in .svg or .png"),
        (["tune", "INDEX", "--kinds", "flat", "--storages", "int8"], "a storage of int8 with an index that"),
        (
            ["build", "INDEX", "--labels", "x", "--out", "OUT", "--kind", "flat", "--factory", "Flat"],
            "got both",
        ),
        (["build", "INDEX", "--labels", "x", "--out", "OUT", "--shard", "3/2"], "expected K/N"),
        (["build", "INDEX", "--labels", "x", "--out", "OUT", "--storage", "half"], "--storage"),
    ],
)
def test_what_cannot_be_is_explained(
    index: str, words: list[str], said: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"INDEX": index, "OUT": str(tmp_path / "out"), "CSV": table(tmp_path, "nobody,number")}
    assert main(["index", *(named.get(word, word) for word in words)]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_lists_the_commands(capsys: Capture) -> None:
    assert main(["index", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(
        f"\n  {verb} " in said for verb in ("build", "add", "update", "remove", "info", "merge", "tune")
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["l1", "a", "b"], "but 2 ('a', 'b') of 3 are not there: --unknown skip leaves them out"),
        (["a", "b", "c", "d"], "but 4 ('a', 'b', 'c' and others) of 4 are not there"),
        (["--ids", "1", "99"], "expected ids of labels in the index, but 1 (99) of 2 is not there"),
    ],
)
def test_unknown_labels_are_not_removed(index: str, words: list[str], said: str, capsys: Capture) -> None:
    assert main(["index", "remove", index, *words]) == 2
    assert said in capsys.readouterr().err and len(LabelIndex.load(index)) == 20


@pytest.mark.parametrize("verb", ["build", "merge"])
def test_help_names_storages(verb: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["index", verb, "--help"])
    shown = capsys.readouterr().out
    assert "--storage {float32,float16,int8}" in shown and "lambda" not in shown


def test_an_index_that_lost_all_labels_gives_none_and_says_so(
    model_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    index, labels, queries = (str(tmp_path / name) for name in ("index", "one.csv", "queries.txt"))
    Path(labels).write_text("uid,title\na,red house\n", encoding="utf-8")
    Path(queries).write_text("red house\nblue bird\n", encoding="utf-8")
    assert main(["index", "build", str(model_folder), "--labels", labels, "--out", index]) == 0
    assert capsys.readouterr().out.endswith(f"1 label in {index}\n")
    assert main(["index", "remove", index, "a"]) == 0
    capsys.readouterr()
    assert main(["search", index, "red house"]) == 0
    said = capsys.readouterr()
    assert said.out == "" and said.err == f"there are no labels in {index}: `xmc index add` adds some\n"
    assert main(["search", index, "red house", "blue bird", "--json"]) == 0
    assert [json.loads(line)["labels"] for line in capsys.readouterr().out.splitlines()] == [[], []]
    for name in ("found.jsonl", "found.csv", "found.npz"):
        assert main(["predict", index, queries, "--out", str(tmp_path / name)]) == 0
        assert capsys.readouterr().out == f"2 queries, 0 labels: {tmp_path / name}\n"
    assert main(["index", "add", index, "--labels", labels]) == 0
    assert main(["predict", index, queries, "-k", "3", "--out", str(tmp_path / "found.csv")]) == 0
    assert "2 queries, 2 labels: " in capsys.readouterr().out


def test_an_index_that_ranks_with_more_than_vectors_can_be_tuned(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    index = LabelIndex.build(model_folder, dataset_folder, kind="IVF4,Flat", progress=False)
    index.add_ensemble(EnsembleOptions(lexical=0.5))
    index.save(tmp_path / "index")
    words = ["index", "tune", str(tmp_path / "index"), "--recall", "0.1", "-k", "3", "--kinds", "flat"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "kept in" in said and LabelIndex.load(tmp_path / "index").manifest.ensemble is not None
    # Which keeps what it ranks with beside its model.
    assert _command(index, "index", "--kind flat") == "xmc index merge index --kind flat --out ..."


def test_another_kind_of_an_index_keeps_its_calibration(
    index: str, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    opened, other = LabelIndex.load(index), str(tmp_path / "other")
    opened.add_ensemble(EnsembleOptions(lexical=0.2))
    opened.save(index, overwrite=True)
    assert main(["index", "merge", index, "--out", other, "--kind", "hnsw"]) == 0
    assert not (Path(other) / "calibration.json").exists()
    point, judge = Point(0.5, 1.0, 0.5, 0.7, 0.9, 1.0), Judge((0.5, 1.0, 0.2, 0.3, -0.1))
    of = opened.manifest.model_fingerprint
    fitted = Calibration(of, 20, "rows", 9, 5, Platt(2.0, -1.0), 0.0, [point], judge)
    fitted.save(Path(index) / "calibration.json")
    assert main(["index", "merge", index, "--out", other, "--kind", "hnsw", "--overwrite"]) == 0
    assert find_calibration(LabelIndex.load(other)) == fitted
    assert main(["index", "merge", index, "--out", index, "--kind", "exact", "--overwrite"]) == 0
    in_place = LabelIndex.load(index)
    assert in_place.manifest.kind == "exact" and find_calibration(in_place) == fitted
    assert main(["index", "merge", index, index, "--out", str(tmp_path / "both")]) == 2
    assert "one that ranks also with lexical 0.2" in capsys.readouterr().err
