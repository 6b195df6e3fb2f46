"""``xmc train`` with a loss of one's own: whole, resumed, and what a stranger is told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.runs import losses
from xmc.cli.main import main
from xmc.training.run.interrupt import InterruptGuard, Verdict

MINE = """
import torch
import torch.nn.functional as F

def my_loss(queries, labels, positives, scale, gap=1.0):
    scores = scale * queries @ labels.T
    negatives = scores.masked_fill(positives, -torch.inf).logsumexp(1, keepdim=True)
    return (F.softplus(gap + negatives - scores) * positives).sum(1) / positives.sum(1).clamp_min(1)

def of_labels(queries, labels, positives):
    return (queries @ labels.T).sum(0)

def no_tensor(queries, labels, positives):
    return float((queries @ labels.T).sum())

def wants_more(queries, labels, positives, temperature):
    return (queries @ labels.T).mean() * temperature

def no_scale(queries, labels, positives):
    return my_loss(queries, labels, positives, 20.0)

def breaks(queries, labels, positives, scale):
    return inner(queries, labels)

def inner(queries, labels):
    return (queries @ labels[:, :3].T).sum(1)

class Back(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores):
        return scores.sum(1)

    @staticmethod
    def backward(ctx, gradient):
        raise ValueError("no way back")

def breaks_backward(queries, labels, positives):
    return Back.apply(queries @ labels.T)

def builder(weight):
    return my_loss

three = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``mine.py``, in which commands are started."""
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_trains_and_goes_on_where_it_was_interrupted(
    here: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        "train",
        str(recipe),
        "--objective.name",
        "./mine.py:my_loss",
        "--objective.options",
        "{gap: 2.0}",
    ]
    words += ["--run.log_every", "1"]
    assert main(words) == 0
    result = json.loads((here / "run" / "result.json").read_text())
    digest = hashlib.sha256((here / "mine.py").read_bytes()).hexdigest()
    assert result["plugins"] == [
        {"name": "./mine.py:my_loss", "file": str(here / "mine.py"), "sha256": digest}
    ]
    whole = losses(here / "run")
    assert whole[-1] < whole[0]
    cut = [*words, "--run.dir", "cut"]
    asked = iter([Verdict.GO_ON] * 4 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    assert main(cut) == 130
    assert main([*cut, "--run.resume", "true"]) == 0
    assert losses(here / "cut") == whole


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("./mine.py:my_los", "{}", "there is no 'my_los' in"),
        ("./mine.py:my_los", "{}", "did you mean 'my_loss'?"),
        ("./mien.py:my_loss", "{}", "did you mean 'mine.py'?"),
        ("mien:my_loss", "{}", "did you mean 'mine'?"),
        ("./mine.py:my_loss", "{gab: 1}", "has no option 'gab': did you mean 'gap'?"),
        ("./mine.py:wants_more", "{}", "got temperature with neither"),
        ("./mine.py:of_labels", "{}", "a scalar or one number per query [16], got [20]"),
        ("./mine.py:no_tensor", "{}", "a scalar or one number per query [16], got float"),
        (
            "./mine.py:builder",
            "{weight: 1}",
            "to build an objective (xmc.objectives.Objective), got function",
        ),
        ("./mine.py:three", "{}", "got int"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    here: Path, recipe: Path, capsys: pytest.CaptureFixture[str], name: str, options: str, message: str
) -> None:
    words = ["train", str(recipe), "--objective.name", name, "--objective.options", options]
    assert main(words) == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if "xmc:" in line or "error" in line]
    assert message in line


@pytest.mark.parametrize("option", ["objective.name", "objective.terms"])
def test_where_it_failed_is_told_in_a_line(
    here: Path, recipe: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    name = "./mine.py:breaks"
    given = name if option == "objective.name" else f"[{{name: ./mine.py:my_loss}}, {{name: {name}}}]"
    assert main(["train", str(recipe), f"--{option}", given]) == 2
    line = 1 + MINE.splitlines().index("    return (queries @ labels[:, :3].T).sum(1)")
    place = f"{here / 'mine.py'}:{line}"
    told = capsys.readouterr().err
    assert f"error: {option}: {name} failed at {place}: RuntimeError: mat1 and mat2 shapes" in told
    assert "Traceback" not in told


def test_where_its_backward_pass_failed_is_told_in_a_line(
    here: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "./mine.py:breaks_backward"
    assert main(["train", str(recipe), "--objective.name", name]) == 2
    line = 1 + MINE.splitlines().index('        raise ValueError("no way back")')
    told = capsys.readouterr().err
    assert f"error: objective.name: {name} failed at {here / 'mine.py'}:{line}: ValueError: no way" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--objective.learn_scale", "true"], "learn_scale: expected false with ./mine.py:no_scale"),
        (["--objective.label_offsets", "true"], "./mine.py:no_scale: labels learn offsets"),
        (["--negatives.mode", "sampled", "--negatives.uniform", "5"], "the labels of a step are a sample"),
    ],
)
def test_what_its_arguments_refuse_is_refused_before_anything_is_made(
    here: Path, recipe: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["train", str(recipe), "--objective.name", "./mine.py:no_scale", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (here / "run").exists()


def test_what_it_does_not_read_is_told(here: Path, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def notes(name: str) -> list[str]:
        words = ["--objective.scale", "5", "--scoring.memory_mb", "9", "--training.max_steps", "1"]
        words += ["--run.overwrite", "true"]
        assert main(["train", str(recipe), "--objective.name", name, *words]) == 0
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]

    scores = "note: scoring.memory_mb = 9 has no effect with ./mine.py:{}, which computes its scores itself"
    scale = "note: objective.scale = 5.0 has no effect with ./mine.py:no_scale, which has no argument `scale`"
    assert notes("./mine.py:no_scale") == [scores.format("no_scale"), scale]
    assert notes("./mine.py:my_loss") == [scores.format("my_loss")]


def test_terms_of_a_recipe_are_read(here: Path, recipe: Path) -> None:
    terms = "[{name: ./mine.py:my_loss, weight: 0.5}, {name: softmax}]"
    assert main(["train", str(recipe), "--objective.terms", terms, "--training.max_steps", "2"]) == 0
    assert json.loads((here / "run" / "result.json").read_text())["num_steps"] == 2
