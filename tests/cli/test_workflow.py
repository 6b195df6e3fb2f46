"""Train, evaluate, index and search, each as the command a user types."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from xmc.cli.main import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def trained(recipe: Path, tmp_path: Path) -> Path:
    assert main(["train", str(recipe), "--seed", "5"]) == 0
    return tmp_path / "run"


def test_train_says_where_the_models_are(recipe: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["train", str(recipe)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    run = tmp_path / "run"
    assert last.startswith(f"model: {run / 'model'} (step ") and f"last: {run / 'last'} (step 6)" in last
    assert "validation nDCG@5 " in last and last.endswith("rows/s")


def test_an_empty_search_is_refused(tmp_path: Path, capsys: Capture) -> None:
    assert main(["search", str(tmp_path), "red bird", " "]) == 2
    assert "got an empty one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [["--format", "csv"], ["--column", "q"], ["--header", "no"], ["--delimiter", ";"], ["--quote", "none"]],
)
def test_what_is_said_of_a_file_of_queries_is_refused_without_one(
    option: list[str], tmp_path: Path, capsys: Capture
) -> None:
    assert main(["search", str(tmp_path), "red bird", *option]) == 2
    assert f"{option[0]}: expected a file of queries (--queries)" in capsys.readouterr().err


def test_train_leaves_a_run_folder(trained: Path) -> None:
    assert yaml.safe_load((trained / "config.yaml").read_text(encoding="utf-8"))["seed"] == 5
    assert (trained / "model" / "modules.json").is_file()
    steps = [
        json.loads(line) for line in (trained / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert steps


def test_evaluate_writes_metrics_and_predictions(
    trained: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    metrics, predictions = tmp_path / "test.json", tmp_path / "test.npz"
    words = [
        "evaluate",
        str(trained),
        str(dataset_folder),
        "--json",
        str(metrics),
        "--predictions",
        str(predictions),
    ]
    assert main(words) == 0
    assert "P" in capsys.readouterr().out
    written = json.loads(metrics.read_text(encoding="utf-8"))
    with np.load(predictions, allow_pickle=False) as arrays:
        ids, scores = arrays["ids"], arrays["scores"]
    assert (ids.dtype, scores.dtype, len(ids)) == (np.int32, np.float32, 20)
    hits = ids[:, 0] == np.arange(20)
    assert written["metrics"]["P@1"] == pytest.approx(100 * hits.mean())


def test_index_then_search_finds_the_model_itself(
    trained: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    index = str(tmp_path / "index")
    assert main(["index", str(trained), "--labels", str(dataset_folder), "--out", index]) == 0
    assert "20 labels" in capsys.readouterr().out
    assert main(["search", index, "red bird", "-k", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[0].split()[0] == "1" and lines[0].endswith("red bird")


def test_search_for_several_texts_heads_each(
    trained: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    index = str(tmp_path / "index")
    main(["index", str(trained), "--labels", str(dataset_folder), "--out", index])
    capsys.readouterr()
    assert main(["search", index, "red bird", "blue stone", "-k", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[2]) == ("red bird", "blue stone") and len(lines) == 4


def test_an_index_refuses_another_model(
    trained: Path, dataset_folder: Path, model_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    index = str(tmp_path / "index")
    main(["index", str(trained), "--labels", str(dataset_folder), "--out", index])
    assert main(["search", index, "red bird", "--model", str(model_folder)]) == 2
    assert "error: " in capsys.readouterr().err


def test_an_index_is_not_replaced_unasked(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    words = ["index", str(model_folder), "--labels", str(dataset_folder), "--out", str(tmp_path / "index")]
    assert main(words) == 0
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["search", "nowhere", "text"],
        ["search", "nowhere", "text", "-k", "0"],
        ["evaluate", "no/such/model", "nowhere"],
        ["index", "no/such/model", "--labels", "nowhere", "--out", "index"],
        ["train", "nowhere.yaml"],
    ],
    ids=" ".join,
)
def test_what_is_missing_is_an_error_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert list(tmp_path.iterdir()) == []
