from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import torch

from xmc.distributed import World
from xmc.durations import duration
from xmc.training.batches.label_queries import StepWorks
from xmc.training.callbacks.progress import STEPS_BEFORE_ETA, STEPS_BETWEEN_ETAS, Progress
from xmc.training.config import DataConfig
from xmc.training.run.config import ValidationConfig
from xmc.training.run.pace import Pace

METRICS = {"P@1": 1.0, "P@5": 2.0, "nDCG@5": 3.0, "PSP@5": 4.0, "R@100": 5.0}


def run_of(num_steps: int, rank: int = 0, **data: float) -> SimpleNamespace:
    config = SimpleNamespace(
        run=SimpleNamespace(log_every=10),
        validation=ValidationConfig(rows=0),
        data=DataConfig("data", **data),
    )
    return SimpleNamespace(
        config=config, num_steps=num_steps, step=0, first=0, world=World(rank, 2), pace=Pace()
    )


def take(progress: Progress, run: SimpleNamespace, steps: int, seconds: float) -> None:
    for _ in range(steps):
        progress.before_step(run)
        run.pace.add_step(seconds, 1, StepWorks(run.config.data, run.num_steps).of(run.step))
        run.step += 1
        progress.after_step(run, SimpleNamespace(loss=torch.tensor(0.5)))


def test_the_time_left_leaves_warming_up_out_is_a_range_and_is_corrected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress, run = Progress(), run_of(1000)
    take(progress, run, 3, 10.0)  # ten times as slow as what follows
    take(progress, run, STEPS_BEFORE_ETA - 3, 1.0)
    assert "about 16 min 20 s left" in capsys.readouterr().out
    take(progress, run, STEPS_BETWEEN_ETAS, 1.0)
    assert capsys.readouterr().out == "", "what was said still holds"
    take(progress, run, STEPS_BETWEEN_ETAS, 3.0)
    assert re.search(r"corrected: about 44 min 0 s left", capsys.readouterr().out)
    progress.after_validation(run, METRICS)
    assert "validation P@1 1.00  P@5 2.00" in capsys.readouterr().out


@pytest.mark.parametrize("joined", [360, 400, 410])
def test_steps_that_label_queries_join_are_no_measure_of_the_others(
    joined: int, capsys: pytest.CaptureFixture[str]
) -> None:
    progress, run = Progress(), run_of(1000, label_queries=2.0, label_query_until=joined / 1000)
    take(progress, run, STEPS_BEFORE_ETA, 3.0)  # each of three times as many rows
    expected = 3 * (joined - STEPS_BEFORE_ETA) + 1000 - joined
    assert f"about {duration(expected)} left" in capsys.readouterr().out
    take(progress, run, joined - STEPS_BEFORE_ETA, 3.0)
    take(progress, run, 1000 - joined, 1.0)
    assert "corrected" not in capsys.readouterr().out


def test_the_lines_of_a_log_know_of_them_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("xmc.progress.time", SimpleNamespace(monotonic=lambda: now[0]))
    progress, run = Progress(), run_of(1000, label_queries=2.0, label_query_until=0.1)
    take(progress, run, 49, 3.0)
    now[0] = 150.0
    take(progress, run, 1, 3.0)
    (line,) = capsys.readouterr().err.splitlines()
    # 50 steps more of three times as many rows, and 900 of one; by the pace so far it would be 47 minutes.
    assert line.startswith("training: 50 of 1,000 steps (5 %), 3.0 s/step, about 17 min 30 s left")


def test_a_log_gets_a_line_at_the_end_and_other_ranks_none(capsys: pytest.CaptureFixture[str]) -> None:
    for rank, lines in ((0, 1), (1, 0)):
        progress, run = Progress(), run_of(10, rank)
        take(progress, run, 10, 0.1)
        progress.on_end(run, None)
        captured = capsys.readouterr()
        assert captured.err.count("training: 10 steps in") == lines and "\r" not in captured.err


def test_a_run_that_fails_leaves_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress, run = Progress(), run_of(10)
    take(progress, run, 4, 0.1)
    progress.on_end(run, RuntimeError())
    assert "steps in" not in capsys.readouterr().err
