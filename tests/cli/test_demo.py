from __future__ import annotations

from pathlib import Path

import pytest

from xmc.cli import demo
from xmc.training import Trainer

Capture = pytest.CaptureFixture[str]


def test_the_demo_runs_and_the_second_time_reuses_all(recipe: Path, tmp_path: Path, capsys: Capture) -> None:
    demo.run([], recipe)
    first = capsys.readouterr().out
    assert "untrained" in first and "PSP@5" in first and "R@100" in first
    assert all(query in first for query in demo.QUERIES)
    assert "total" in first and f"saved in {tmp_path / 'run-index'}" in first

    demo.run([], recipe)
    second = capsys.readouterr().out
    assert f"reusing {tmp_path / 'run' / 'model'}" in second and f"reusing {tmp_path / 'run-index'}" in second


def test_another_recipe_trains_and_indexes_anew(recipe: Path, tmp_path: Path, capsys: Capture) -> None:
    demo.run([], recipe)
    capsys.readouterr()
    demo.run(["--seed", "1"], recipe)
    shown = capsys.readouterr().out
    assert "reusing" in shown  # the data
    assert f"reusing {tmp_path / 'run'}" not in shown


def test_options_without_effect_are_told_first(
    recipe: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_data", stop)
    with pytest.raises(KeyboardInterrupt):
        demo.run(["--residuals.dropout", "0.1"], recipe)
    assert (
        capsys.readouterr().out == "note: residuals.dropout = 0.1 has no effect without residuals.enabled\n"
    )
    with pytest.raises(KeyboardInterrupt):
        demo.run([], recipe)
    assert capsys.readouterr().out == ""


def test_an_interrupted_training_is_not_taken_for_a_finished_one(
    recipe: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Trainer) -> None:
        (tmp_path / "run" / "model").mkdir(parents=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            demo.run([], recipe)
    capsys.readouterr()
    demo.run([], recipe)
    assert "reusing " + str(tmp_path / "run") not in capsys.readouterr().out


def test_help(recipe: Path, capsys: Capture) -> None:
    demo.run(["--help"], recipe)
    assert "usage: xmc demo" in capsys.readouterr().out


def test_unfinished_data_are_built_again(
    recipe: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "data"
    broken.mkdir()
    built: list[Path] = []

    def build(path: Path, *, overwrite: bool) -> object:
        from xmc.data import Dataset

        built.append(path)
        return Dataset.load(dataset_folder)

    monkeypatch.setattr("xmc.corpora.build_api_docs", build)
    demo._data(broken, demo._Clock())
    assert built == [broken]
