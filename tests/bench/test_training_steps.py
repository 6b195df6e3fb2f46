from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from tests.distributed.ranks import Ranks
from xmc.bench.training_steps import profile_steps
from xmc.distributed.recording import record_collectives, recorded
from xmc.distributed.stopwatch import SILENT, StopWatch
from xmc.errors import ConfigError


def test_a_watch_adds_up_parts() -> None:
    watch = StopWatch(torch.device("cpu"))
    for _ in range(2):
        with watch.part("sleep"):
            time.sleep(0.02)
    assert 0.04 <= watch.seconds["sleep"] < 0.2


def test_a_part_is_without_the_collectives_within() -> None:
    watch = StopWatch(torch.device("cpu"))
    with record_collectives() as outer, watch.part("scoring"):
        with recorded(torch.zeros(3)):
            time.sleep(0.3)
    assert watch.seconds["scoring"] < 0.25 < outer.seconds and outer.num_calls == 1


def test_a_silent_watch_runs_the_block() -> None:
    ran = []
    with SILENT.part("anything"):
        ran.append(1)
    assert ran


def test_the_parts_of_some_steps(config) -> None:
    measured = profile_steps(config, 5)
    assert set(measured.parts) == {
        "pool", "tokens", "encode", "scoring", "replay", "gradient all-reduce", "optimiser",
    }  # fmt: skip
    assert 0 < sum(measured.parts.values()) <= measured.seconds
    assert measured.rows == 5 * 14 and measured.collective_bytes == 0
    # A pool has the 12 drawn labels and the batch's own.
    assert 5 * (14 + 12) <= measured.texts <= 5 * (14 + 40)
    assert measured.scores == (measured.texts - 5 * 14) * 14
    assert "| scoring |" in measured.table() and "100 % |" in measured.table()
    assert not Path(config.run.dir).exists()


def profile_as_rank(config) -> tuple[int, float]:
    from tests.training.test_world import as_rank

    return as_rank(lambda: (lambda p: (p.collective_bytes, p.parts["collectives"]))(profile_steps(config, 3)))


def test_collectives_are_told_apart(config, ranks: Ranks) -> None:
    for num_bytes, seconds in ranks.run(profile_as_rank, config, size=2, seconds=120):
        assert num_bytes > 3 * 81 * 24 * 4 and seconds > 0  # at least the gradient of both token tables


def test_a_run_too_short_is_refused(config, changed) -> None:
    with pytest.raises(ConfigError, match="at most the run's 3 steps less 3"):
        profile_steps(changed(config, training={"epochs": 0.3}), 1)


def test_a_head_scores_no_pairs(config, changed) -> None:
    measured = profile_steps(
        changed(
            config,
            objective={
                "name": "spherical_z_loss",
                "label_offsets": False,
                "learn_scale": False,
                "options": {},
            },
            negatives={"mode": "all"},
            head={"kind": "factored"},
        ),
        2,
    )
    assert measured.scores == 0 and "head" in measured.parts
