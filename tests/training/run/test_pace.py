from __future__ import annotations

from xmc.durations import duration
from xmc.training.run.config import ValidationConfig
from xmc.training.run.pace import WARM_UP, Pace


def test_the_time_left_counts_steps_and_validations():
    pace = Pace()
    for seconds in (9.0, *[3.0] * (WARM_UP - 1)):  # warming up tells nothing of the steps to come
        pace.add_step(seconds, rows=30)
    assert pace.remaining(10, 1) is None
    for seconds in (1.0, 2.0, 3.0, 4.0, 5.0):
        pace.add_step(seconds, rows=30)
    pace.validation_seconds = 5.0
    assert pace.remaining(steps=10, validations=2) == (20 + 10, 40 + 10)
    assert pace.rows_per_second == 30 * (WARM_UP + 5) / (9 + 3 * (WARM_UP - 1) + 15)
    assert [duration(s) for s in (44.6, 200, 7500)] == ["45 s", "3 min 20 s", "2 h 5 min"]


def test_validation_is_due_every_so_often_and_at_the_end():
    config = ValidationConfig(rows=5, every=4)
    assert [step for step in range(1, 11) if config.due(step, 10)] == [4, 8, 10]
    for every, steps in ((4, 10), (5, 10), (1, 3), (20, 10)):
        asked = ValidationConfig(rows=5, every=every)
        for step in range(steps + 1):
            left = sum(asked.due(later, steps) for later in range(step + 1, steps + 1))
            assert asked.num_due(step, steps) == left
    assert config.num_due(4, 10) == 2 and ValidationConfig(rows=0).num_due(0, 10) == 0
