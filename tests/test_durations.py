from __future__ import annotations

import pytest

from xmc.durations import duration, least_seconds


def test_seconds_minutes_and_hours() -> None:
    times = (0, 44.6, 59.7, 200, 3599.6, 7500)
    said = ["0 s", "45 s", "1 min 0 s", "3 min 20 s", "1 h 0 min", "2 h 5 min"]
    assert [duration(seconds) for seconds in times] == said


def test_the_least_of_some_times(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("xmc.durations.time.perf_counter", lambda: now[0])
    takes = iter([0.5, 0.2, 0.9, 0.6, 0.1])

    def work() -> None:
        now[0] += next(takes)

    assert least_seconds(work, 3) == pytest.approx(0.2)
    assert least_seconds(work, 5, within=0.5) == pytest.approx(0.6)  # once is enough
