"""What a report says in words is what its numbers say."""

from __future__ import annotations

from typing import Any

from xmc.reports.gains import Gain
from xmc.reports.verdict import clear, compared, headline_metric, verdict

PLACE = "test queries of d"


def change(difference: float, margin: float, p: float) -> dict[str, Any]:
    return {
        "difference": difference,
        "low": difference - margin,
        "high": difference + margin,
        "p_value": p,
    }


def row(metric: str, values: dict[str, float], changes: dict[str, Any] | None = None) -> dict[str, Any]:
    found = {name: {"value": value, "low": value - 1, "high": value + 1} for name, value in values.items()}
    return {"metric": metric, "values": found, "changes": changes or {}}


def test_one_system_is_said_in_words_with_its_interval_and_baseline() -> None:
    summary = [row("P@1", {"a": 50.0}), row("nDCG@5", {"a": 60.0}), row("R@100", {"a": 90.0})]
    gains = {"a": [Gain("nDCG@5", 20.0, 65.0, 30)]}
    told = verdict(summary, ["a"], "nDCG@5", gains, place=PLACE, num_queries=1234)
    assert (
        told.headline == "a puts a right label first for 50.0 [49.0, 51.0] % of the 1,234 test queries of d."
    )
    assert told.facts[0] == "nDCG@5 is 60.0 [59.0, 61.0] %." and "90.0 [89.0, 91.0]" in told.facts[1]
    assert "from 20.0 (the untrained encoder) to 65.0 (+45.0 points)" in told.facts[-1]
    assert "not these queries" in told.facts[-1]


def test_a_difference_within_its_interval_is_not_called_one() -> None:
    assert not clear(change(1.0, 2.0, 0.3)) and not clear(change(2.0, 1.0, 0.06))
    assert clear(change(2.0, 1.0, 0.01)) and clear(change(-2.0, 1.0, 0.01))
    assert not clear({"low": None, "high": None, "p_value": 0.0})
    assert compared(change(1.0, 2.0, 0.3), "a", "b", "P@1").startswith("No difference between b and a")
    assert compared(change(-2.0, 1.0, 0.0001), "a", "b", "P@1") == (
        "b is worse than a by P@1: −2.0 points [−3.0, −1.0], p < 0.001."
    )


def test_two_systems_list_the_metrics_that_are_apart() -> None:
    summary = [
        row("P@1", {"a": 50.0, "b": 51.0}, {"b": change(1.0, 2.0, 0.3)}),
        row("nDCG@5", {"a": 60.0, "b": 63.0}, {"b": change(3.0, 1.0, 0.001)}),
        row("PSP@5", {"a": 60.0, "b": 58.0}, {"b": change(-2.0, 1.0, 0.001)}),
    ]
    told = verdict(summary, ["a", "b"], "nDCG@5", {}, place=PLACE, num_queries=100)
    assert told.headline.startswith("b is better than a by nDCG@5 on 100 test queries of d: +3.0 points")
    assert told.facts[0] == (
        "b against a, over 3 metrics: clearly higher in nDCG@5 (+3.0); clearly lower in PSP@5 (−2.0)."
    )
    told = verdict(summary[1:2], ["a", "b"], "nDCG@5", {}, place=PLACE, num_queries=100)
    assert told.facts[0] == "b is clearly higher than a in all 1 metrics."


def test_the_best_of_several_is_warned_of_and_the_others_sorted_out() -> None:
    changes = {"b": change(3.0, 1.0, 0.001), "c": change(0.5, 1.0, 0.4), "d": change(-4.0, 1.0, 0.001)}
    summary = [row("nDCG@5", {"a": 60.0, "b": 63.0, "c": 60.5, "d": 56.0}, changes)]
    told = verdict(summary, list("abcd"), "nDCG@5", {}, place=PLACE, num_queries=100)
    assert told.headline.startswith("b is better than a") and "best of 3" in told.facts[0]
    assert told.facts[1:4] == [
        "By nDCG@5 clearly better than a: b (+3.0).",
        "By nDCG@5 not told apart from a: c (+0.5).",
        "By nDCG@5 clearly worse than a: d (−4.0).",
    ]


def test_the_metric_that_decides() -> None:
    measured = ["P@1", "nDCG@5"]
    assert headline_metric([{"validation.metric": "P@1"}, {}], measured) == "P@1"
    assert (
        headline_metric([{"validation.metric": "P@1"}, {"validation.metric": "R@10"}], measured) == "nDCG@5"
    )
    assert headline_metric([{"validation.metric": "R@100"}], measured) == "P@1", "lists too short for it"
