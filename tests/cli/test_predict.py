"""Calibrate, predict and search from files, as the commands a user types; and what these import."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from xmc.cli.main import main
from xmc.data import Dataset, train_validation_split
from xmc.encoders import DualEncoder
from xmc.prediction import Calibration
from xmc.prediction.curve import Point
from xmc.prediction.encoded import EncodedData
from xmc.prediction.ensembling import query_votes
from xmc.prediction.judge import Judge
from xmc.prediction.platt import Platt
from xmc.prediction.uncalibrated import how_to_calibrate
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble_options import EnsembleOptions, VoteOptions

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def run(recipe: Path, tmp_path: Path) -> Path:
    options = ["--validation.rows", "20", "--training.epochs", "1", "--seed", "5"]
    assert main(["train", str(recipe), *options]) == 0
    return tmp_path / "run"


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    path = tmp_path / "queries.csv"
    path.write_text("uid,query\nx,red bird\ny,the blue stone\n", encoding="utf-8")
    return path


def test_a_run_is_calibrated_on_the_rows_it_held_out(
    run: Path, dataset_folder: Path, capsys: Capture
) -> None:
    assert main(["calibrate", str(run), "--depth", "5"]) == 0
    assert "20 validation rows of things" in capsys.readouterr().out
    found = Calibration.load(run / "model" / "calibration.json")
    encoder, dataset = DualEncoder.load(run), Dataset.load(dataset_folder)
    assert (found.model_fingerprint, found.num_labels, found.depth) == (encoder.fingerprint, 20, 5)
    assert encoder.metadata.dataset_fingerprint == dataset.fingerprint
    truth = dataset.relevance("train")
    rows = train_validation_split(truth, 20, 5)[1]
    scores = encoder.encode_queries(dataset.texts("train")[rows]) @ encoder.encode_labels(dataset).T
    lowest = found.curve[-1]
    listed = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    right = np.take_along_axis(truth[rows].toarray() > 0, listed, axis=1)
    assert lowest.per_query == 5 and lowest.precision == pytest.approx(right.mean())


def test_predicting_by_run_and_by_index_is_the_same(
    run: Path, dataset_folder: Path, queries: Path, tmp_path: Path, capsys: Capture
) -> None:
    index, out = tmp_path / "index", tmp_path / "out.jsonl"
    by_validation = run / "model" / "calibration.json"
    assert by_validation.is_file()
    by_validation.unlink()
    assert main(["predict", str(run), str(queries), "--threshold", "f1"]) == 2
    assert f"run `xmc calibrate {run}` first; or" in capsys.readouterr().err
    assert main(["calibrate", str(run)]) == 0
    assert main(["index", str(run), "--labels", str(dataset_folder), "--out", str(index)]) == 0
    capsys.readouterr()
    assert main(["predict", str(run), str(queries), "--threshold", "0.0", "-k", "2"]) == 0
    by_run = capsys.readouterr().out
    assert main(["predict", str(index), str(queries), "-k", "2", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"2 queries, 4 labels: {out}\n"
    assert out.read_text(encoding="utf-8") == by_run
    first = json.loads(by_run.splitlines()[0])
    assert (first["uid"], first["labels"][0], first["texts"][0]) == ("x", "l16", "red bird")
    assert len(first["probabilities"]) == 2 and first["probabilities"] == sorted(first["probabilities"])[::-1]
    assert main(["search", str(index), "--queries", str(queries), "--json", "-k", "2"]) == 0
    searched = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["scores"] for line in searched] == [
        json.loads(line)["scores"] for line in by_run.splitlines()
    ]
    assert main(["search", str(index), "--queries", str(queries), "-k", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "red bird"


def test_the_command_that_is_named_for_a_missing_calibration_makes_it(
    recipe: Path, dataset_folder: Path, queries: Path, tmp_path: Path, capsys: Capture
) -> None:
    run, index, model = tmp_path / "run", tmp_path / "index", tmp_path / "run" / "model"
    assert main(["train", str(recipe), "--validation.rows", "0", "--training.epochs", "3"]) == 0
    assert main(["index", str(run), "--labels", str(dataset_folder), "--out", str(index)]) == 0
    predicting = ["predict", str(index), str(queries), "--threshold", "f1"]
    capsys.readouterr()
    assert main(predicting) == 2
    named = capsys.readouterr().err.split("`")[1].split()
    assert named == ["xmc", "calibrate", str(run), "--split", "test"]
    assert main(named[1:]) == 0 and main(predicting) == 0
    (model / "calibration.json").unlink()
    capsys.readouterr()
    assert main(["predict", str(model), *predicting[2:], "--labels", str(dataset_folder)]) == 2
    assert f"`xmc calibrate {model} --dataset DATASET --split test` first" in capsys.readouterr().err
    (run / "config.yaml").write_text("data: {path: gone}\nvalidation: {rows: 0}\n", encoding="utf-8")
    assert main(predicting) == 2
    assert f"`xmc calibrate {run} --dataset DATASET --split test` first" in capsys.readouterr().err
    run.rename(tmp_path / "moved")
    kept = LabelIndex.load(index)
    assert how_to_calibrate(kept).endswith("name the file with --calibration FILE")
    kept.add_ensemble(EnsembleOptions(None, 0.2))
    assert "`xmc index RUN --labels DATASET --ensemble auto`" in how_to_calibrate(kept)


def test_queries_are_of_the_fields_that_the_model_was_trained_on(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    encoder = DualEncoder.load(model_folder)
    encoder.metadata = replace(encoder.metadata, query_fields=("title",))
    encoder.save(tmp_path / "model")
    index, table = tmp_path / "index", tmp_path / "queries.csv"
    assert main(["index", str(tmp_path / "model"), "--labels", str(dataset_folder), "--out", str(index)]) == 0
    table.write_text("title,content\nred bird,the blue stone\n", encoding="utf-8")
    for words in (["predict", str(index)], ["search", str(index), "--json", "--queries"]):
        capsys.readouterr()
        assert main([*words, str(table), "-k", "1"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["query"], found["texts"]) == ("red bird", ["red bird"])


def test_queries_are_found_by_the_name_of_the_training_table_s_column(
    recipe: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    dataset, index = Dataset.load(dataset_folder), tmp_path / "index"
    clicks, table = tmp_path / "clicks.csv", tmp_path / "queries.csv"
    rows = zip(dataset.texts("train"), dataset.relevance("train").indices.tolist(), strict=True)
    lines = [f"{text};{dataset.uids('labels')[label]}" for text, label in rows]
    clicks.write_text("\n".join(["Suchwort;Artikel", *lines]), encoding="utf-8")
    columns = ["--columns", "query=Suchwort", "label=Artikel"]
    assert main(["data", "import", str(clicks), str(tmp_path / "own"), *columns]) == 0
    assert main(["train", str(recipe), "--data.path", str(tmp_path / "own")]) == 0
    run = tmp_path / "run"
    assert DualEncoder.load(run).metadata.query_columns == ("Suchwort",)
    assert main(["index", str(run), "--labels", str(tmp_path / "own"), "--out", str(index)]) == 0
    table.write_text("text;suchwort\nfor sale;red bird\n", encoding="utf-8")
    for place in (index, run):
        for words in (["predict", str(place)], ["search", str(place), "--json", "--queries"]):
            if place == index or words[0] == "predict":
                capsys.readouterr()
                assert main([*words, str(table), "-k", "1"]) == 0
                assert json.loads(capsys.readouterr().out)["query"] == "red bird"
    table.write_text("Wort\nred bird\n", encoding="utf-8")
    for words in (["predict", str(index)], ["predict", str(run)], ["search", str(index), "--queries"]):
        assert main([*words, str(table)]) == 2
        assert "expected a column Suchwort, query, text or title, got 'Wort'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "nowhere", "Q"], "name the data set with the labels"),
        (["predict", "nowhere", "none.csv"], "none.csv does not exist"),
        (["predict", "nowhere", "Q", "--threshold", "most"], "--threshold: expected f1"),
        (["predict", "nowhere", "Q", "--out", "x.xml"], "--out: expected a file that ends in .jsonl"),
        (["predict", "nowhere", "Q", "-k", "0"], "-k: expected 1 or more"),
        (["search", "nowhere"], "a file of texts (--queries), got none of them"),
        (
            ["search", "nowhere", "boots", "--queries", "Q"],
            "a file of texts (--queries), got a text and --queries",
        ),
        (["calibrate", "nowhere", "--depth", "0"], "--depth: expected 1 or more"),
        (["calibrate", "MODEL"], "give a data set|--dataset"),
        (["predict", "MODEL", "Q"], "know their labels"),
        (["calibrate", "embedded", "--dataset", "D", "--split", "test"], "--calibration FILE"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    words: list[str], message: str, queries: Path, model_folder: Path, capsys: Capture
) -> None:
    places = {"Q": str(queries), "MODEL": str(model_folder)}
    assert main([places.get(word, word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and any(part in error for part in message.split("|")), error


HEAVY = {
    *("sentence_transformers", "transformers", "sklearn", "pandas", "datasets", "accelerate", "httpx"),
    *("huggingface_hub", "tensorboard", "matplotlib", "torch._dynamo", "pyarrow.dataset", "scipy.stats"),
}
"""What takes from half a second to several to import, each, and says nothing of a static model's labels."""

TRAINING = {"transformers", "sentence_transformers", "sklearn", "datasets", "torch._dynamo", "sympy"}
"""What training a static model has no use for."""

SEARCHING = HEAVY | {
    *("torch", "scipy", "asyncio", "numpy.ma", "pyarrow.compute", "jsonargparse", "yaml", "email"),
    *("xmc.retrieval.stores.binary", "xmc.encoders.folder_checks"),
}
"""What a search in an index has no use for: even small ones take 20 to 150 milliseconds each, of a second."""


def test_a_static_model_is_searched_and_trained_without_libraries_that_are_not_needed(
    model_folder: Path, dataset_folder: Path, queries: Path, recipe: Path, tmp_path: Path
) -> None:
    index = str(tmp_path / "index")
    assert main(["index", str(model_folder), "--labels", str(dataset_folder), "--out", index]) == 0
    calibration, asked = str(tmp_path / "calibration.json"), str(queries)
    fitted_on = ["--dataset", str(dataset_folder), "--split", "test", "--out", calibration]
    assert main(["calibrate", str(model_folder), *fitted_on]) == 0
    commands = [
        ["search", index, "red bird"],
        ["search", index, "--queries", asked, "--json"],
        ["predict", index, asked, "--calibration", calibration, "--threshold", "f1"],
        ["predict", index, asked, "--out", str(tmp_path / "found.npz")],
    ]
    code = (
        "import sys; from xmc.cli.main import main; "
        f"code = max(main(words) for words in {commands}); "
        f"print(code, sorted({SEARCHING} & set(sys.modules)), file=sys.stderr); "
        f"code = main(['train', {str(recipe)!r}]); "
        f"print(code, sorted({TRAINING} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert lines[0] == "0 []" and lines[-1] == "0 []"


def test_an_index_with_a_vote_and_words_is_searched_without_torch(
    model_folder: Path, dataset_folder: Path, queries: Path, tmp_path: Path
) -> None:
    """As `xmc fit` leaves it, where held-out rows say so."""
    dataset, encoder = Dataset.load(dataset_folder), DualEncoder.load(model_folder)
    index = LabelIndex.build(model_folder, dataset, progress=False)
    votes = query_votes(EncodedData(encoder, dataset, progress=False))[0]
    index.add_ensemble(EnsembleOptions(VoteOptions(0.3, 0.1), 0.2), votes)
    index.save(tmp_path / "index")
    judged = Calibration(
        index.manifest.model_fingerprint, 20, "rows", 9, 9, Platt(1.0, 0.0), None,
        [Point(-1.0, 0.5, 0.5, 0.5, 0.5, 5.0)], Judge((1.0, 2.0, 0.0, 0.0, 0.0)),
    )  # fmt: skip
    judged.save(tmp_path / "index" / "calibration.json")
    predict = ["predict", str(tmp_path / "index"), str(queries), "--out", str(tmp_path / "found.csv")]
    code = (
        "import sys; from xmc.cli.main import main; "
        f"code = main(['search', {str(tmp_path / 'index')!r}, 'red bird', '--json']); "
        f"code = code or main({predict} + ['--threshold', 'f1']); "
        f"print(code, sorted({SEARCHING} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["0 []"]
    first, told = done.stdout.splitlines()
    assert "of a probability of at least 0.2689" in told  # 1 / (1 + e)
    found = json.loads(first)
    assert found["labels"] == [hit.uid for hit in index.hits("red bird")]
