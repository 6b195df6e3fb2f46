from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import soak
from xmc.training import TrainConfig, train


def test_slopes_are_those_after_the_start() -> None:
    """A quarter that fills memory, then 60 MiB an hour more and two steps a second of the processor."""
    samples = []
    for at in range(0, 3601, 10):
        growth = 60 * (at - 900) / 3600 if at >= 900 else -500
        samples.append(soak.Sample(float(at), at / 2, int((1000 + growth) * 2**20), at))
    found = soak.slope(samples)
    assert found["memory_mib_per_hour"] == pytest.approx(60, abs=0.1)
    assert found["steps_per_cpu_second"] == pytest.approx(2)
    assert found["speed_percent_per_hour"] == pytest.approx(0, abs=1e-6)
    assert found["minutes"] == pytest.approx(60)


def test_quiet_speeds_are_those_between_two_lines(tmp_path: Path) -> None:
    """Ten rows a step: the speeds of eight blocks of steps, told as means of all steps so far."""
    speeds, log, seconds = [50, 100, 80, 100, 20, 90, 85, 30], tmp_path / "metrics.jsonl", 0.0
    lines = [{"step": 0, "validation": {}}]
    for number, speed in enumerate([40, *speeds], 1):
        seconds += 100 / speed
        lines.append({"step": 10 * number, "rows_per_second": 100 * number / seconds})
    log.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert soak.quiet_speeds(log) == pytest.approx([100, 100, 90, 85])


def test_the_last_whole_line_of_a_log_tells_the_step(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    assert soak.last_step(log) == 0
    log.write_text(json.dumps({"step": 20}) + "\n" + json.dumps({"step": 30}) + "\n" + '{"step": 4')
    assert soak.last_step(log) == 30


def test_the_outcome_of_a_run_has_its_weights(config: TrainConfig) -> None:
    result = train(config)
    found = soak.outcome(Path(config.run.dir))
    assert found["steps"] == result.num_steps and found["validation"] == result.validation
    assert any("Embedding" in name for name in found["weights"])
