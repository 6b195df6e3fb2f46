"""A fit that was cut short and goes on: with what its trials left, and only with the same data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.data import Dataset
from xmc.errors import ConfigError, DataError
from xmc.prediction.calibration import Calibration
from xmc.prediction.curve import Point
from xmc.prediction.platt import Platt
from xmc.retrieval import LabelIndex
from xmc.tuning import FitResult, fit, fit_work
from xmc.tuning.held_out import HeldOut, Learned
from xmc.tuning.sources import check_sources, write_sources
from xmc.tuning.trial import run_trial
from xmc.tuning.trial_files import TrialFiles

CALIBRATION = Calibration("m", 5, "rows", 3, 2, Platt(2.0, -1.0), 0.1, [Point(0.5, 1.0, 0.5, 0.7, 0.9, 1.0)])


@pytest.fixture
def fixed(static_model: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    changes = [{"training.learning_rate": 0.1}, {"training.learning_rate": 1e-6}]
    monkeypatch.setattr(fit_work, "neighbours", lambda *_: changes)
    lengths = {"encoder.query_length": 8, "encoder.label_length": 8}
    return {"encoder.model": str(static_model), "training.epochs": 1.0, **lengths}


def of_fold(generator: np.random.Generator, apart: bool) -> HeldOut:
    ids = generator.integers(0, 5, (3, 4))
    confused = generator.integers(0, 5, (4, 2))
    confused[[0, 3]] = -1
    return HeldOut(
        generator.integers(0, 9, 3),
        (ids, generator.random((3, 4)).astype(np.float32)),
        (ids.astype(np.int32), generator.random((3, 4))),
        np.arange(9),
        0.25,
        sp.random(3, 5, 0.4, "csr", rng=generator).astype(bool) if apart else None,
        ((3, Learned(np.arange(4), confused)),),
    )


@pytest.mark.parametrize("apart", [False, True])
def test_what_trials_leave_is_read_as_it_was(tmp_path: Path, apart: bool) -> None:
    generator, files = np.random.default_rng(0), TrialFiles(tmp_path / "held-out")
    assert files.held_out("a") == [] and files.calibration("a") is None and files.settled() == (None, None)
    folds = [of_fold(generator, apart) for _ in range(11)]
    for number, fold in enumerate(folds):
        files.keep("a", number, fold, CALIBRATION if number == 1 else None)
    files.keep("b", 0, None, None)
    found = files.held_out("a")
    assert len(found) == 11 and files.held_out("b") == [] and files.calibration("a") == CALIBRATION
    for expected, one in zip(folds, found, strict=True):
        pairs = [*zip(expected.lists + expected.near, one.lists + one.near, strict=True)]
        pairs += [(expected.rows, one.rows), (expected.voters, one.voters)]
        pairs += [(expected.learned[0][1].rows, one.learned[0][1].rows)]
        pairs += [(expected.learned[0][1].confused, one.learned[0][1].confused)]
        for before, after in pairs:
            assert before.dtype == after.dtype
            np.testing.assert_array_equal(before, after)
        assert one.near_seconds == 0.25 and one.learned[0][0] == 3
        assert (one.apart is None) == (not apart)
        if apart:
            assert one.apart.shape == expected.apart.shape and (one.apart != expected.apart).nnz == 0
    files.settle(None, CALIBRATION)
    assert files.settled() == (None, CALIBRATION)
    next(files.folder.glob("*.npz")).write_bytes(b"PK")
    with pytest.raises(DataError, match="remove the folder and fit again"):
        files.held_out("a")
    files.remove()
    files.remove()
    assert not files.folder.exists()


def test_a_fit_that_was_killed_goes_on_to_what_it_would_have_come_to(
    dataset: Dataset, fixed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fitted(name: str) -> Any:
        return fit(dataset, tmp_path / name, budget=1000.0, fixed=fixed, say=lambda line: None)

    def calibrations(name: str) -> list[str]:
        places = [tmp_path / name / "run/model/calibration.json", tmp_path / name / "index/calibration.json"]
        return [place.read_text(encoding="utf-8") if place.is_file() else "" for place in places]

    whole = fitted("whole")
    chosen = [(c.option, c.value) for c in whole.choices if c.option not in ("run.dir", "data.path")]
    assert calibrations("whole")[0] and not (tmp_path / "whole/held-out").exists()
    for trials in (1, 3, len(whole.trials)):  # the last: killed in the final training
        made: list[object] = []

        def killed(*given: Any, made: list[object] = made, trials: int = trials, **options: Any) -> Any:
            if len(made) == trials:
                raise SystemExit
            made.append(given)
            return run_trial(*given, **options)

        name = f"cut-{trials}"
        with monkeypatch.context() as patched, pytest.raises(SystemExit):
            patched.setattr("xmc.tuning.search.run_trial", killed)
            patched.setattr("xmc.tuning.ending.train", killed)
            fitted(name)
        assert list((tmp_path / name / "held-out").glob("*.npz"))
        again = fitted(name)
        assert [
            (c.option, c.value) for c in again.choices if c.option not in ("run.dir", "data.path")
        ] == chosen
        assert calibrations(name) == calibrations("whole")
        assert not (tmp_path / name / "held-out").exists()
        options = [LabelIndex.load(tmp_path / place / "index").manifest.ensemble for place in (name, "whole")]
        assert options[0] == options[1]


def test_a_fit_that_was_interrupted_after_its_training_measures_and_indexes(
    dataset: Dataset, fixed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def fitted(name: str) -> FitResult:
        return fit(dataset, tmp_path / name, budget=1000.0, quality="fast", fixed=fixed, say=said.append)

    def interrupted(*given: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    whole = fitted("whole")
    for cut, place in (("before it was measured", "DualEncoder.load"), ("before its end", "write_end")):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(f"xmc.tuning.fitting.{place}", interrupted)
            fitted(cut)
        assert said[-1] == "interrupted: the same command, or call of xmc.fit, goes on"
        assert (tmp_path / cut / "run/result.json").is_file() and (tmp_path / cut / "held-out").is_dir()
        with monkeypatch.context() as patched:
            patched.setattr("xmc.tuning.ending.train", None)
            patched.setattr("xmc.tuning.search.run_trial", None)
            again = fitted(cut)
        assert again.run.model_path == tmp_path / cut / "run/model" and again.run.seconds < again.seconds
        assert {name: found.metrics for name, found in again.evaluations.items()} == {
            name: found.metrics for name, found in whole.evaluations.items()
        }
        indexes = [LabelIndex.load(result.index) for result in (whole, again)]
        query = dataset.texts("test")[0]
        assert [hit.uid for hit in indexes[0].hits(query)] == [hit.uid for hit in indexes[1].hits(query)]
        for name in ("run/model/calibration.json", "index/calibration.json"):
            texts = [(tmp_path / fit / name) for fit in ("whole", cut)]
            assert texts[0].is_file() and texts[0].read_bytes() == texts[1].read_bytes()
        assert not (tmp_path / cut / "held-out").exists()
        (tmp_path / cut / "held-out").mkdir()  # killed while it was removed
        with pytest.raises(ConfigError, match="is done"):
            fitted(cut)
        assert not (tmp_path / cut / "held-out").exists()


def test_files_that_differ_are_another_fit(
    fixed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f"word{number % 7} {number},l{number % 7}\n" for number in range(70))
    for name, more in (("one.csv", ""), ("moved.csv", ""), ("two.csv", "word8 x,l8\n")):
        (tmp_path / name).write_text("query,label\n" + lines + more, encoding="utf-8")

    def fitted(name: str, **options: Any) -> Any:
        settings = {"budget": 1000.0, "fixed": fixed, "quality": "fast", "say": lambda line: None}
        return fit(tmp_path / name, tmp_path / "out", **(settings | options))

    def killed(*given: Any, **options: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr("xmc.tuning.ending.train", killed)
        fitted("one.csv")
    for options, what in (
        ({"split": 0.3}, "split"),
        ({"seed": 1}, "seed"),
        ({"test": [tmp_path / "two.csv"]}, "test"),
    ):
        with pytest.raises(ConfigError, match=f"^out: expected what .* got another {what}: choose"):
            fitted("one.csv", **options)
    with pytest.raises(ConfigError, match="got another source: choose"):
        fitted("two.csv")
    assert fitted("moved.csv").index.is_dir()


def test_what_a_fit_was_made_of(tmp_path: Path) -> None:
    folder, record = tmp_path / "folder", tmp_path / "sources.json"
    folder.mkdir()
    (folder / "a.csv").write_text("x", encoding="utf-8")
    check_sources(record, {"source": [folder]}, {})  # none was kept
    write_sources(record, {"source": [folder]}, {"split": 0.1})
    check_sources(record, {"source": [folder]}, {"split": 0.1})
    (folder / "raw").mkdir()
    (folder / "raw" / "b.csv").write_text("y", encoding="utf-8")
    with pytest.raises(ConfigError, match="got another source and split: choose another folder"):
        check_sources(record, {"source": [folder]}, {"split": None})
    record.write_text(json.dumps([1]), encoding="utf-8")
    with pytest.raises(DataError, match="sources.json"):
        check_sources(record, {}, {})
