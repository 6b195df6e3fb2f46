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


def test_a_row_that_is_measured_several_times_is_no_more_certain() -> None:
    rng = np.random.default_rng(1)
    nothing = rng.normal(50, 10, 60)
    better = nothing + rng.permutation(np.linspace(0.7 - 12, 0.7 + 12, 60))  # a standard error of 0.9
    once = [tried("nothing", nothing, 0.0), tried("strong", better, 0.9)]
    often = [tried(one.options, np.tile(one.rows, 10), one.change) for one in once]
    rows = np.tile(7 * np.arange(60), 10)
    assert mildest(once).options == mildest(often, rows).options == "nothing"
    assert mildest(often).options == mildest(often, np.arange(600)).options == "strong"
    certain = [often[0], tried("strong", often[0].rows + 1, 0.9)]
    assert mildest(certain, rows).options == "strong"
