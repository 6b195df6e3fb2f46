from __future__ import annotations

from xmc.durations import duration
from xmc.training.run.config import ValidationConfig
from xmc.training.run.pace import Pace


def test_the_time_left_counts_steps_and_validations():
    pace = Pace()
    assert pace.remaining(10, 1) == 0.0
    for seconds in (9.0, 2.0, 2.0, 2.0):  # the first step is slow and does not count for more than one
        pace.add_step(seconds, rows=30)
    pace.validation_seconds = 5.0
    assert pace.remaining(steps=10, validations=2) == 30.0
    assert pace.rows_per_second == 120 / 15
    assert [duration(s) for s in (44.6, 200, 7500)] == ["45 s", "3 min 20 s", "2 h 5 min"]


def test_validation_is_due_every_so_often_and_at_the_end():
    config = ValidationConfig(rows=5, every=4)
    assert [step for step in range(1, 11) if config.due(step, 10)] == [4, 8, 10]
    assert config.num_due(4, 10) == 2 and ValidationConfig(rows=0).num_due(0, 10) == 0
