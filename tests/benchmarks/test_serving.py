from __future__ import annotations

import pytest

from benchmarks.serving import Load, memory_growth


def test_memory_growth_is_that_after_the_start() -> None:
    """A first quarter that fills memory, then 3 MiB a minute."""
    samples = [(float(at), int((100 + (at if at < 60 else 3 * at / 60)) * 2**20)) for at in range(240)]
    assert memory_growth(samples) == pytest.approx(3, abs=0.01)


def test_figures_of_a_load() -> None:
    load = Load(seconds=[0.001] * 98 + [0.5] * 2, errors=["503"])
    found = load.figures(wall=10.0)
    assert (found["requests_per_second"], found["p50_ms"], found["requests"], found["errors"]) == (
        10,
        1,
        100,
        1,
    )
    assert found["p99_ms"] > 400
