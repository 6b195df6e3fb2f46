"""From clicks to a searched index: the recipe is chosen, explained and repeated by an ordinary training."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from xmc import fit
from xmc.cli.config import load_train_config
from xmc.cli.main import main
from xmc.data import Dataset, DatasetWriter
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError, DataError
from xmc.prediction.calibration import Calibration
from xmc.retrieval import LabelIndex, LexicalRanker
from xmc.training import train
from xmc.training.step import optimise
from xmc.tuning import ending, fit_work
from xmc.tuning.budget import Budget
from xmc.tuning.finishing import Pace
from xmc.tuning.fitting import _example
from xmc.tuning.trial import EncoderCache, TrialResult, run_trial


@pytest.fixture
def fixed(static_model: Path) -> dict[str, Any]:
    return {"encoder.model": str(static_model), "encoder.query_length": 8, "encoder.label_length": 8}


@pytest.fixture
def said() -> list[str]:
    return []


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two candidates, of which one helps."""
    monkeypatch.setattr(
        fit_work, "neighbours", lambda *_: [{"training.learning_rate": 0.1}, {"training.learning_rate": 1e-6}]
    )


def test_every_choice_is_said_and_kept_and_xmc_train_repeats_the_run(
    dataset: Dataset,
    fixed: dict[str, Any],
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few(monkeypatch)
    fixed["training.epochs"] = 3.0
    result = fit(dataset, tmp_path / "fit", budget=1000.0, fixed=fixed, say=said.append, seed=3)
    recipe = tmp_path / "fit" / "recipe.yaml"
    for choice in result.choices:
        if choice.reason and not choice.reason.startswith(("search", "the chosen", "what the budget")):
            assert any(line.startswith(f"{choice.option} = {choice.value}: ") for line in said), choice
    text = recipe.read_text(encoding="utf-8")
    assert "# as asked for" in text and yaml.safe_load(text)["encoder"]["query_length"] == 8
    again = load_train_config([str(recipe), "--run.dir", str(tmp_path / "again")])
    assert again.validation.rows == 0 and again.seed == 3
    train(again)
    models = [DualEncoder.load(tmp_path / place) for place in ("again", "fit/run")]
    assert models[0].fingerprint == models[1].fingerprint
    assert len(result.trials) > 1
    assert {"untrained", "lexical", "trained"} == set(result.evaluations) - {"ensemble"}
    assert {"index.vote", "index.lexical"} <= {choice.option for choice in result.choices}
    assert result.evaluations["trained"].metrics["P@1"] > result.evaluations["untrained"].metrics["P@1"] + 20
    assert len(LabelIndex.load(result.index)) == dataset.num_labels
    calibration = Calibration.load(tmp_path / "fit" / "run" / "model" / "calibration.json")
    assert calibration.model_fingerprint == models[1].fingerprint and "held-out rows" in calibration.rows
    with pytest.raises(ConfigError, match="is done"):
        fit(dataset, tmp_path / "fit", fixed=fixed)


def test_the_test_split_decides_nothing(
    dataset: Dataset, fixed: dict[str, Any], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the final model is trained nothing of the test split is read."""
    read: list[str] = []
    trained: list[bool] = []
    for name in ("relevance", "texts"):
        original = getattr(Dataset, name)

        def noted(self: Dataset, split: str, *rest: Any, _original: Any = original) -> Any:
            if split == "test" and not trained:
                read.append(split)
            return _original(self, split, *rest)

        monkeypatch.setattr(Dataset, name, noted)
    final = ending.train
    monkeypatch.setattr(
        ending, "train", lambda config, **given: (final(config, **given), trained.append(True))[0]
    )
    few(monkeypatch)
    fit(dataset, tmp_path / "fit", budget=1000.0, fixed={**fixed, "training.epochs": 1.0}, say=said.append)
    assert trained and not read


def test_an_interrupt_ends_the_search_and_trains_the_best_so_far(
    dataset: Dataset, fixed: dict[str, Any], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []

    def interrupted(*given: Any, **options: Any) -> Any:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(given)
        return run_trial(*given, **options)

    monkeypatch.setattr("xmc.tuning.search.run_trial", interrupted)
    fixed["training.epochs"] = 2.0
    result = fit(dataset, tmp_path / "fit", budget=1000.0, fixed=fixed, say=said.append)
    assert len(result.trials) == 2 and result.index.is_dir()
    assert any("search stopped" in line for line in said)


def test_a_final_training_that_was_cut_short_goes_on_as_what_it_began_as(
    dataset: Dataset,
    fixed: dict[str, Any],
    said: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever time is left by then: the recipe is settled, and nothing is tried any more."""
    few(monkeypatch)
    fixed["training.epochs"] = 3.0

    steps = iter(range(1_000_000))

    def interrupted(inputs: Any, step: int) -> Any:
        if next(steps) == 5:
            signal.raise_signal(signal.SIGINT)
        return optimise(inputs, step)

    whole = fit(dataset, tmp_path / "whole", budget=1000.0, fixed=fixed, say=said.append)
    with monkeypatch.context() as patched:
        patched.setattr("xmc.training.loop.optimise", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(dataset, tmp_path / "cut", budget=1000.0, fixed=fixed, say=said.append)
    # By what it was called with, which has no such option.
    assert "--run.resume" not in "".join(capsys.readouterr()) and said[-1].endswith("xmc.fit, goes on")
    monkeypatch.setattr("xmc.tuning.search.run_trial", None)
    result = fit(dataset, tmp_path / "cut", budget=0.5, fixed=fixed, say=said.append)
    assert result.run.num_steps == whole.run.num_steps > 5
    assert (
        DualEncoder.load(tmp_path / "cut/run").fingerprint
        == DualEncoder.load(whole.run.model_path).fingerprint
    )


@pytest.mark.parametrize("rows", [2, 12])
def test_three_labels_and_a_handful_of_rows_are_enough(
    rows: int, fixed: dict[str, Any], tmp_path: Path
) -> None:
    with DatasetWriter(tmp_path / "few", name="few") as writer:
        for label in range(3):
            writer.add_label(f"l{label}", f"label{label}", "")
        for row in range(rows):
            writer.add_row("train", f"q{row}", f"query{row % 3} query{row}", "", [row % 3])
            writer.add_row("test", f"t{row}", f"query{row % 3}", "", [row % 3])
    said: list[str] = []
    result = fit(tmp_path / "few", tmp_path / "fit", quality="fast", fixed=fixed, say=said.append)
    assert result.evaluations["trained"].metrics["P@1"] >= 50 and len(LabelIndex.load(result.index)) == 3


@pytest.mark.parametrize("more", [{}, {"objective.name": "soft_top_k"}, {"objective.virtual_negative": None}])
def test_a_virtual_negative_is_chosen_unless_the_loss_is(
    more: dict[str, Any], dataset: Dataset, fixed: dict[str, Any], said: list[str], tmp_path: Path
) -> None:
    work = fit_work.FitWork(dataset, tmp_path, {**fixed, **more}, "nDCG@5", Budget(1.0), said.append)
    config = work.config(work.rules(0))
    assert (config.objective.virtual_negative is None) == bool(more)


def test_fast_tries_the_rules_alone_where_rows_are_few(
    dataset: Dataset, fixed: dict[str, Any], said: list[str], tmp_path: Path
) -> None:
    fixed["training.epochs"] = 1.0
    result = fit(dataset, tmp_path / "fit", quality="fast", fixed=fixed, say=said.append)
    assert [(trial.changes, trial.fold) for trial in result.trials] == [({}, 0)]
    assert any(
        choice.option == "index.vote" and "held-out rows" in choice.reason for choice in result.choices
    )
    assert (tmp_path / "fit" / "run" / "model" / "calibration.json").exists()


def test_a_long_query_is_searched_for_by_its_first_words(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "d", name="d", query_fields=("title",), label_fields=("title",)) as writer:
        writer.add_label("a", "tent", "")
        writer.add_row("train", "q", "a\n tent " + "for the hills " * 900, "", [0])
    assert _example(Dataset.load(tmp_path / "d")) == "a tent" + " for the hills" * 5 + " for"
    with DatasetWriter(tmp_path / "e", name="e", query_fields=("title",), label_fields=("title",)) as writer:
        writer.add_label("a", "tent", "")
        writer.add_row("train", "q", "x" * 900, "", [0])
    assert _example(Dataset.load(tmp_path / "e")) == "x" * 80


def test_fast_takes_the_rules_as_they_are_of_many_rows(
    dataset: Dataset, fixed: dict[str, Any], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_work, "FEW_ROWS", 100)
    fixed["training.epochs"] = 20.0
    result = fit(dataset, tmp_path / "fit", quality="fast", fixed=fixed, say=said.append)
    assert result.trials == [] and result.config.encoder.query_length == 8
    assert not (tmp_path / "fit" / "run" / "model" / "calibration.json").exists()  # nothing was held out
    (note,) = (note for note in result.notes if "calibration" in note)
    assert "of so many rows a fast fit holds none out: xmc calibrate" in note
    assert main(note.partition(": xmc ")[2].split()) == 0
    (tmp_path / "queries.txt").write_text(result.example, encoding="utf-8")
    assert main(["predict", str(result.index), str(tmp_path / "queries.txt"), "--threshold", "f1"]) == 0


def test_a_budget_that_does_not_hold_the_recipe_takes_fewer_steps_and_says_so(
    dataset: Dataset, fixed: dict[str, Any], said: list[str], tmp_path: Path
) -> None:
    result = fit(
        dataset, tmp_path / "fit", budget=0.05, fixed={**fixed, "training.epochs": 500.0}, say=said.append
    )
    assert result.run.num_steps == fit_work.MEASURED_STEPS
    assert any("the budget leaves time for" in line for line in said)


def test_measuring_does_not_take_the_time_of_training(
    dataset: Dataset, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where ranking all test queries takes longer than the budget, most of it is trained all the same."""
    work = fit_work.FitWork(dataset, tmp_path, {}, "nDCG@5", Budget(600.0), said.append)
    short, long = Pace(1e-6, 0.0, 0.0), Pace(1e-6, 0.0, 1e6)
    assert work._finishing(short, tell=True) < 1 and not said
    assert work._finishing(long) == 240 and not said
    assert work._finishing(long, tell=True) == 240
    assert len(said) == 1 and "4 min 0 s of the budget are kept back for it: it will be overrun" in said[0]


def test_a_trial_that_diverged_is_said_to_have(
    dataset: Dataset, fixed: dict[str, Any], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "xmc.tuning.search.run_trial", lambda *_, **__: TrialResult(None, 2.0, 3, 0.001, ended="diverged")
    )
    fixed["training.epochs"] = 1.0
    result = fit(dataset, tmp_path / "fit", quality="fast", fixed=fixed, say=said.append)
    assert any(line.endswith("] the rules' recipe: diverged in 2 s") for line in said)
    assert [trial.ended for trial in result.trials] == ["diverged"]
    assert '"ended": "diverged"' in (tmp_path / "fit" / "trials.jsonl").read_text(encoding="utf-8")
    text = (tmp_path / "fit" / "recipe.yaml").read_text(encoding="utf-8")
    assert "from rules and 1 trial." in text


def test_a_trial_leaves_nothing(dataset: Dataset, config: Any, capsys: pytest.CaptureFixture[str]) -> None:
    cache = EncoderCache()
    results = [run_trial(config, dataset, cache) for _ in range(2)]
    assert results[0].metrics == results[1].metrics and results[0].num_steps == 28
    assert not Path(config.run.dir).exists() and "steps of" not in capsys.readouterr().out


def test_the_command_fits_a_file_of_clicks(
    fixed: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    rows = [f"query{word} query{generator.integers(40)},label{word}" for word in range(40) for _ in range(6)]
    Path("clicks.csv").write_text("query,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    preset = {
        "seed": 9,
        "data": {"path": "elsewhere"},
        "encoder": {"model": fixed["encoder.model"]},
        "training": {"epochs": 1},
        "validation": {"rows": 5000},
        "run": {"dir": "elsewhere"},
    }
    Path("preset.yaml").write_text(yaml.safe_dump(preset), encoding="utf-8")
    assert main(["fit", "clicks.csv", "--quality", "fast", "--preset", "preset.yaml"]) == 0
    shown = capsys.readouterr().out
    assert (
        "lexical" in shown
        and "xmc search runs/clicks/index" in shown
        and "xmc serve runs/clicks/index" in shown
        and "training.epochs = 1" in shown
    )
    assert "elsewhere" not in shown and not Path("elsewhere").exists() and "seed = 9" not in shown
    assert main(["fit", "runs/clicks/data", "--split", "0.2"]) == 2
    assert "--split: expected with files" in capsys.readouterr().err
    assert main(["fit", "clicks.csv", "--test", "clicks.csv", "--split", "0.2"]) == 2
    assert "--split: expected no test clicks beside it, got --test clicks.csv" in capsys.readouterr().err
    for wrong, text in (
        (["--budget", "soon"], "expected a time such as 90s, 10m or 1h30m, got 'soon'"),
        (["--metric", "P@7"], "P@7"),
        (["--preset", "nothing.yaml"], "nothing.yaml"),
    ):
        assert main(["fit", "clicks.csv", "--out", "other", *wrong]) == 2
        assert text in capsys.readouterr().err
    assert main(["fit", "missing.csv", "--out", "other"]) == 2


def test_words_in_common_rank_labels() -> None:
    ranker = LexicalRanker(["red boots", "blue tent", "red red tent", ""])
    ids, scores = ranker.rank(["a red tent", "nothing", "boots"], 3)
    # "red red tent" has both words; "red boots" and "blue tent" have one each, and one that is not asked for.
    assert ids.tolist() == [[2, 0, 1], [-1, -1, -1], [0, -1, -1]]
    assert scores[2, 0] > 0 and np.isneginf(scores[1]).all() and (np.diff(scores[0]) <= 0).all()
    import scipy.sparse as sp

    masked = sp.csr_matrix(([1.0], ([0], [2])), shape=(3, 4))
    assert ranker.rank(["a red tent", "nothing", "boots"], 3, masked)[0][0].tolist() == [0, 1, -1]
    assert LexicalRanker(["", " "]).rank(["a"], 2)[0].tolist() == [[-1, -1]]


def test_test_clicks_that_are_given_are_the_test_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Prepared(Exception):
        pass

    def stop(*_: object) -> None:
        raise Prepared

    monkeypatch.setattr(fit_work, "measure_facts", stop)
    for name, queries in (("clicks.csv", "abcdef"), ("test.csv", "gh")):
        lines = ["query,label", *(f"{query},x" for query in queries)]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    sources = {"files": tmp_path / "clicks.csv", "folder": tmp_path}
    for name, source in sources.items():
        with pytest.raises(Prepared):
            fit(source, tmp_path / name, test=[tmp_path / "test.csv"] if name == "files" else ())
        made = Dataset.load(tmp_path / name / "data")
        assert (made.num_train, made.num_test) == (6, 2)


def test_what_is_of_files_is_refused_of_a_prepared_data_set(dataset: Dataset, tmp_path: Path) -> None:
    for source in (dataset, dataset.path):
        with pytest.raises(ConfigError, match="^test, labels: expected with files, but .* is a prepared"):
            fit(source, tmp_path / "out", labels="products.csv", test=["test.csv"])


def test_what_cannot_be_read_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "clicks.csv").write_text("", encoding="utf-8")
    (tmp_path / "mine").mkdir()
    for place in ("new", "mine"):
        with pytest.raises(DataError, match="the file is empty"):
            fit(tmp_path / "clicks.csv", tmp_path / place)
    assert not (tmp_path / "new").exists() and (tmp_path / "mine").is_dir()


def test_what_a_fit_decides_itself_is_not_taken(dataset: Dataset, tmp_path: Path) -> None:
    for name in ("run.dir", "data.path", "seed", "validation.rows"):
        with pytest.raises(
            ConfigError, match=f"^fixed: expected options that a fit leaves to you, got {name}"
        ):
            fit(dataset, tmp_path / "out", fixed={name: 1})
    for wrong in (float("nan"), -3.0):
        with pytest.raises(ConfigError, match="budget: expected more than 0 seconds"):
            fit(dataset, tmp_path / "out", budget=wrong)
    with pytest.raises(ConfigError, match="data: expected a data set or files, got none"):
        fit([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_flatters_the_metrics_is_said(fixed: dict[str, Any], tmp_path: Path, said: list[str]) -> None:
    lines = "".join(f"word{number % 7} {number},l{number % 7}\n" for number in range(70))
    (tmp_path / "clicks.csv").write_text("query,label\n" + lines, encoding="utf-8")
    (tmp_path / "test.csv").write_text("query,label\nword3 3,l3\nanother,l4\n", encoding="utf-8")
    fixed["training.epochs"] = 1.0
    source, test = tmp_path / "clicks.csv", [tmp_path / "test.csv"]
    fit(source, tmp_path / "out", test=test, quality="fast", fixed=fixed, say=said.append)
    assert any(line.startswith("note: 1 of 2 test queries has the text of a training query") for line in said)


def test_what_labels_are_called_is_said_before_the_training(
    fixed: dict[str, Any], tmp_path: Path, said: list[str]
) -> None:
    lines = "".join(f"word{number % 7} {number},{10 + number % 7}\n" for number in range(70))
    (tmp_path / "clicks.csv").write_text("query,label\n" + lines, encoding="utf-8")
    fixed["training.epochs"] = 1.0
    fit(tmp_path / "clicks.csv", tmp_path / "out", quality="fast", fixed=fixed, say=said.append)
    (place,) = (
        place for place, line in enumerate(said) if line.startswith("note: 7 of 7 labels are numbers")
    )
    assert place < min(place for place, line in enumerate(said) if line.startswith("training on all"))


def test_sigterm_ends_a_fit_as_ctrl_c_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a trial keeps meanwhile is cleared."""
    meanwhile: list[str] = []

    def fitted(*given: object, **options: object) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            meanwhile.append(folder)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("xmc.tuning.fit", fitted)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["fit", "clicks.csv", "--out", str(tmp_path / "out")]) == 143
    assert capsys.readouterr().err == "terminated\n"
    assert meanwhile and not Path(meanwhile[0]).exists()
    assert signal.getsignal(signal.SIGTERM) is before
