from __future__ import annotations

import numpy as np

from xmc.evaluation.mildest import Tried, mildest


def tried(name: str, rows: np.ndarray, change: float) -> Tried[str]:
    return Tried(name, {}, rows, change)


def test_what_is_ahead_by_chance_does_not_win() -> None:
    rng = np.random.default_rng(0)
    nothing = rng.normal(50, 10, 400)
    mild = tried("mild", nothing + rng.normal(3, 10, 400), 0.1)
    # Ahead of the mild one by 0.3 with a standard error of 0.5, and of nothing by far more than one.
    strong = tried("strong", mild.rows + rng.permutation(np.linspace(0.3 - 17.3, 0.3 + 17.3, 400)), 0.5)
    assert strong.rows.mean() > mild.rows.mean()
    assert mildest([tried("nothing", nothing, 0.0), mild, strong]).options == "mild"


def test_what_is_ahead_for_certain_wins() -> None:
    rows = np.random.default_rng(0).normal(50, 10, 50)
    assert mildest([tried("nothing", rows, 0.0), tried("strong", rows + 1, 0.9)]).options == "strong"


def test_a_difference_that_never_varies_is_no_chance_and_ties_go_to_the_first() -> None:
    one, other = np.array([50.0]), np.array([60.0])
    assert mildest([tried("nothing", one, 0.0), tried("strong", other, 0.9)]).options == "strong"
    assert mildest([tried("nothing", one, 0.0)]).options == "nothing"
    assert mildest([tried("first", one, 0.5), tried("second", one, 0.5)]).options == "first"
