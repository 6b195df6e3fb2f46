from __future__ import annotations

from xmc.durations import duration


def test_seconds_minutes_and_hours() -> None:
    times = (0, 44.6, 59.7, 200, 3599.6, 7500)
    said = ["0 s", "45 s", "1 min 0 s", "3 min 20 s", "1 h 0 min", "2 h 5 min"]
    assert [duration(seconds) for seconds in times] == said
