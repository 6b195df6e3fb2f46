"""What a report comes to, in a few sentences: what was measured, how sure it is, against which baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xmc.reports.gains import NAME, Gain
from xmc.reports.numbers import p_value, signed, span

__all__ = ["Verdict", "clear", "compared", "headline_metric", "verdict"]

_USUAL = "nDCG@5"
_LARGEST_P = 0.05
_MOST_GAINS = 2
"""Runs whose gain by training is told in words; more are in a table alone."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """A headline and what qualifies it."""

    headline: str
    facts: list[str]


def headline_metric(configurations: Sequence[Mapping[str, Any]], measured: Sequence[str]) -> str:
    """The metric that chose the models of all runs, where they agree on one; else nDCG@5."""
    chosen = {options["validation.metric"] for options in configurations if "validation.metric" in options}
    metric = chosen.pop() if len(chosen) == 1 else _USUAL
    return metric if metric in measured else measured[0]


def clear(change: Row) -> bool:
    """Whether a difference is apart from 0, by its interval and by its p-value (0.05)."""
    low, high = change["low"], change["high"]
    return None not in (low, high) and (low > 0 or high < 0) and change["p_value"] < _LARGEST_P


def verdict(
    summary: Sequence[Row],
    names: Sequence[str],
    metric: str,
    gains: Mapping[str, Sequence[Gain]],
    *,
    place: str,
    num_queries: int,
) -> Verdict:
    """The sentences.

    Args:
        summary: Of each metric its ``values`` and ``changes`` by system, in percent.
        names: Of the systems, the baseline first.
        metric: The one that decides.
        gains: By run: what it recorded before and after training on its validation rows.
        place: Where it was measured: "test queries of api-docs".
        num_queries: How many.
    """
    rows = {row["metric"]: row for row in summary}
    if len(names) == 1:
        headline, facts = _one(rows, names[0], metric, place, num_queries)
    else:
        headline, facts = _several(rows, names, metric, place, num_queries)
    facts += _baseline(names, metric, gains)
    return Verdict(headline, facts)


def compared(change: Row, first: str, second: str, metric: str, where: str = "") -> str:
    """The difference between two systems by one metric as a sentence, whether it is clear or not.

    Args:
        change: ``difference``, ``low``, ``high`` (in points) and ``p_value``, the second less the first.
        first: The baseline.
        second: What is set against it.
        metric: What they were measured by.
        where: On which queries: " on 774 test queries of api-docs".
    """
    amount = (
        f"{signed(change['difference'], 1)} points {span(change, 1, with_sign=True)}, "
        f"p {p_value(change['p_value'])}"
    )
    if not clear(change):
        return f"No difference between {second} and {first} is shown by {metric}{where}: {amount}."
    word = "better" if change["difference"] > 0 else "worse"
    return f"{second} is {word} than {first} by {metric}{where}: {amount}."


def _one(
    rows: Mapping[str, Row], name: str, metric: str, place: str, num_queries: int
) -> tuple[str, list[str]]:
    first = _value(rows["P@1"]["values"][name])
    facts = [f"{metric} is {_value(rows[metric]['values'][name])} %."] if metric != "P@1" else []
    if "R@100" in rows:
        found = _value(rows["R@100"]["values"][name])
        facts.append(f"Of a query's right labels {found} % are among the first 100.")
    headline = f"{name} puts a right label first for {first} % of the {num_queries:,} {place}."
    return headline, [*facts, "In brackets: 95 % intervals, of what other queries like these would give."]


def _several(
    rows: Mapping[str, Row], names: Sequence[str], metric: str, place: str, num_queries: int
) -> tuple[str, list[str]]:
    first, *others = names
    row = rows[metric]
    best = max(others, key=lambda name: _or_least(row["values"].get(name)))
    change = row["changes"].get(best)
    if change is None:
        return f"{best} cannot be set against {first} by {metric}, which its lists are too short for.", []
    told = compared(change, first, best, metric, f" on {num_queries:,} {place}")
    if len(others) == 1:
        facts = [_clear_metrics(rows, others[0], first)]
    else:
        facts = [
            f"{best} is the best of {len(others)} set against {first}; picked on the queries it is "
            "measured on, the best of several looks better than it is.",
            *_sorted_out(row, others, metric, first),
        ]
    seeds = (
        "Intervals are of other queries like these; what another training seed would change is not in them."
    )
    return told, [*facts, seeds]


def _sorted_out(row: Row, others: Sequence[str], metric: str, first: str) -> list[str]:
    """Which systems are clearly better or worse than the first, and which are not told apart from it."""
    sides: dict[str, list[str]] = {
        "clearly better than": [],
        "not told apart from": [],
        "clearly worse than": [],
    }
    for name in [name for name in others if name in row["changes"]]:
        change = row["changes"][name]
        side = (
            "not told apart from"
            if not clear(change)
            else "clearly better than"
            if change["difference"] > 0
            else "clearly worse than"
        )
        sides[side].append(f"{name} ({signed(change['difference'], 1)})")
    return [f"By {metric} {side} {first}: {', '.join(found)}." for side, found in sides.items() if found]


def _clear_metrics(rows: Mapping[str, Row], name: str, first: str) -> str:
    """In which metrics a system is apart from the first, and by how many points."""
    changes = {metric: row["changes"][name] for metric, row in rows.items() if name in row["changes"]}
    sides = []
    for word, sign in (("higher", 1), ("lower", -1)):
        found = [
            f"{metric} ({signed(change['difference'], 1)})"
            for metric, change in changes.items()
            if clear(change) and sign * change["difference"] > 0
        ]
        if len(found) == len(changes):
            return f"{name} is clearly {word} than {first} in all {len(changes)} metrics."
        if found:
            sides.append(f"clearly {word} in {', '.join(found)}")
    told = "; ".join(sides) or "no clear difference in any"
    return f"{name} against {first}, over {len(changes)} metrics: {told}."


def _baseline(names: Sequence[str], metric: str, gains: Mapping[str, Sequence[Gain]]) -> list[str]:
    """What is known of the untrained encoder."""
    if NAME in names or len(gains) > _MOST_GAINS:
        return []
    facts = []
    for name, found in gains.items():
        gain = next((g for g in found if g.metric == metric), None)
        if gain is not None:
            change = signed(gain.trained - gain.untrained, 1)
            facts.append(
                f"Training {name} took {metric} from {gain.untrained:.1f} (the untrained encoder) to "
                f"{gain.trained:.1f} ({change} points) on its validation rows, which are training "
                "rows held out, not these queries."
            )
    return facts


def _or_least(found: Row | None) -> float:
    return -1.0 if found is None or found["value"] is None else float(found["value"])


def _value(found: Row) -> str:
    if None in (found["value"], found["low"], found["high"]):
        return "–"
    return f"{found['value']:.1f} [{found['low']:.1f}, {found['high']:.1f}]"
