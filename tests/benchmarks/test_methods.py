"""benchmarks/methods.py: methods are ones that recipes take, a budget is cut into steps, the table ranks."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import methods
from benchmarks.methods_list import METHODS, Method
from xmc.evaluation import Evaluation
from xmc.training.objective import configured_objective


@pytest.mark.parametrize("recipe", ["debian-related-30k", "yso-finnatitles-24k"])
def test_every_method_is_one_that_the_recipe_takes(recipe: str) -> None:
    plain = methods.configured(Method("plain"), recipe, Path("data"), Path("run"), [], [])
    for name, method in METHODS.items():
        config = methods.configured(method, recipe, Path("data"), Path("run"), [], [])
        configured_objective(config.objective, None, seed=0)
        # A recipe may have a method's options itself, such as residuals.
        own = ("recipe", "residuals", "no-residuals", "virtual-0.6", "no-virtual")
        assert name in own or config != plain, name


def test_methods_have_titles_of_their_own() -> None:
    assert len({method.title for method in METHODS.values()}) == len(METHODS)


def test_options_of_the_caller_give_way_to_those_of_a_method() -> None:
    given = ["--negatives.uniform", "64", "--training.batch_size", "32"]
    words = (METHODS["uniform-128"], "debian-related-30k", Path("data"), Path("run"), given)
    config = methods.configured(*words, ["--training.max_steps", "7"])
    assert (config.negatives.uniform, config.training.batch_size, config.training.max_steps) == (128, 32, 7)


def test_the_clock_leaves_the_warm_up_out_and_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 9.0, 10.0, 11.0, 12.0, 14.0])
    monkeypatch.setattr(methods.time, "process_time", lambda: next(times))
    stopped: list[str] = []
    clock = methods.Clock(warm_up=1, steps=2)
    for step in (1, 2, 3):
        run = SimpleNamespace(step=step, stop=stopped.append)
        clock.before_step(run)
        if step == 1:
            methods.time.process_time()
        clock.after_step(run, None)
        assert bool(stopped) == (step == 3)
    assert (clock.seconds, clock.counted) == (1.0 + 2.0, 2)


def test_the_clock_ends_a_run_of_long_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 5.0, 5.0, 10.0])
    monkeypatch.setattr(methods.time, "process_time", lambda: next(times))
    stopped: list[str] = []
    clock = methods.Clock(steps=12, most=8.0)
    for step in (1, 2):
        run = SimpleNamespace(step=step, stop=stopped.append)
        clock.before_step(run)
        clock.after_step(run, None)
    assert stopped == ["timed"] and clock.counted == 2


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Runs that are not made: (steps, seed) of each; a step takes half a second."""
    made: list[tuple[int, int]] = []

    def measure(method, recipe, data, out, given, steps, seed):
        made.append((steps, seed))
        score = 50.0 + 10 * (method.title == METHODS["arcface-0.1"].title) + seed
        numbers = dict.fromkeys((*methods.COLUMNS, "nDCG@5"), score)
        return {"steps": steps, "seconds": steps / 2, "test": numbers, "validation": numbers}

    monkeypatch.setattr(methods, "measure", measure)
    monkeypatch.setattr(methods, "step_seconds", lambda *given: 0.5)
    return made


def test_a_budget_is_cut_into_steps_and_what_is_there_is_not_made_again(
    trained: list[tuple[int, int]], tmp_path: Path, capsys
) -> None:
    words = ["debian-related-30k", "data", "--out", str(tmp_path), "--budget", "10"]
    words += ["--methods", "softmax,arcface-0.1", "--seeds", "0,1"]
    assert methods.main([*words, "--only-time"]) == 0 and not trained
    assert methods.main(words) == 0
    assert trained == [(20, 0), (20, 0), (20, 1), (20, 1)]
    first = capsys.readouterr().out
    assert methods.main(words) == 0 and len(trained) == 4
    assert capsys.readouterr().out == first
    rows = [line.split(" | ") for line in first.splitlines()[2:]]
    assert [row[0] for row in rows] == ["| ArcFace 0.1", "| softmax (NormFace)"]
    assert rows[0][1:5] == ["2", "20", "10", "60.50 ± 0.71"]


def test_a_run_that_missed_its_budget_is_made_once_more_at_its_own_pace(
    trained: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["debian-related-30k", "data", "--out", str(tmp_path), "--methods", "softmax", "--budget", "10"]
    made = methods.measure
    busy = [1.5, 1.02, 9.0]

    def slower(*given: object) -> dict[str, object]:
        record = made(*given)
        return {**record, "seconds": record["seconds"] * busy.pop(0)}

    monkeypatch.setattr(methods, "measure", slower)
    for _ in range(2):
        assert methods.main(words) == 0
        assert trained == [(20, 0), (13, 0)]
    kept = json.loads((tmp_path / "softmax-0.json").read_text())
    assert (kept["steps"], kept["seconds"]) == (13, pytest.approx(6.5 * 1.02))
    assert methods.off({"seconds": 12.0, "budget": 10.0}) == pytest.approx(0.2)


def test_results_of_another_budget_are_refused(trained: list[tuple[int, int]], tmp_path: Path) -> None:
    words = ["debian-related-30k", "data", "--out", str(tmp_path), "--methods", "softmax"]
    methods.main([*words, "--budget", "10"])
    with pytest.raises(SystemExit, match="another folder"):
        methods.main([*words, "--budget", "20"])


def test_teachers_are_of_a_file(trained: list[tuple[int, int]], tmp_path: Path, capsys) -> None:
    words = ["debian-related-30k", "data", "--out", str(tmp_path), "--budget", "10"]
    assert methods.main(words) == 0 and len(trained) == len(METHODS) - 2
    assert "left out, as there are no --teachers: distilled, distilled-alone" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        methods.main([*words, "--methods", "softmax,distilled"])
    assert "--teachers: expected a file of xmc distill for distilled" in capsys.readouterr().err
    assert (
        METHODS["distilled"]
        .of_teachers(Path("my data/t.parquet"))
        .words.startswith("--distillation.teachers 'my data/t.parquet' ")
    )
    assert methods.main([*words, "--methods", "distilled", "--teachers", "one.parquet"]) == 0
    with pytest.raises(SystemExit, match="another folder"):
        methods.main([*words, "--methods", "distilled", "--teachers", "other.parquet"])


def test_an_unknown_method_is_refused(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        methods.main(["debian-related-30k", "data", "--out", str(tmp_path), "--methods", "softmaxx"])
    assert "softmaxx" in capsys.readouterr().err


def test_a_run_is_measured_and_leaves_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last model counts, and validation is that after the last step."""
    (tmp_path / "run").mkdir()
    kept = [{"step": 4, "metrics": {"P@1": 70.0}}, {"step": 8, "metrics": {"P@1": 60.0}}]
    result = SimpleNamespace(last_path="last", num_steps=8, kept=kept, validation={"P@1": 70.0})
    monkeypatch.setattr(methods, "train", lambda config, callbacks: result)
    monkeypatch.setattr(methods.Dataset, "load", lambda path: path)
    seen: list[str] = []

    def evaluated(model: str, dataset: Path, progress: bool) -> Evaluation:
        seen.append(model)
        return SimpleNamespace(metrics={"P@1": 55.0})

    monkeypatch.setattr(methods, "evaluate", evaluated)
    got = methods.measure(METHODS["recipe"], "api-docs", Path("data"), tmp_path, [], 8, 0)
    assert seen == ["last"] and not (tmp_path / "run").exists()
    assert got["test"] == {"P@1": 55.0} and got["validation"] == {"P@1": 60.0} and json.dumps(got)
