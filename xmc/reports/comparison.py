"""Two rankings of the same queries: differences with intervals and p-values, wins, losses, changed queries.

Sign: the second less the first. The interval is the percentile bootstrap over queries, paired; the p-value is
that of the paired randomisation (sign-flip) test. Both say what another sample of queries would change; not
what another training seed would, and p-values are not corrected for the number of metrics.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from xmc.counted import counted
from xmc.data import Dataset
from xmc.errors import ConfigError, DataError
from xmc.reports.examples import Example, examples, named
from xmc.reports.group_metrics import Sums
from xmc.reports.measures import measure
from xmc.reports.resampling import paired_bootstrap, sign_flip_p_values
from xmc.reports.systems import Split, System
from xmc.reports.verdict import compared

__all__ = ["Comparison", "MetricDifference", "compare", "differences"]

LEVEL = 0.95
_TIE = 1e-12
_WIDTH, _TRUTH_SHOWN = 110, 3


@dataclass(frozen=True)
class MetricDifference:
    """One metric of two systems, in percent; wins are queries on which the second gained more."""

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    wins: int
    losses: int
    ties: int


@dataclass(frozen=True)
class Comparison:
    """What the second system changes against the first."""

    first: str
    second: str
    dataset: str
    dataset_fingerprint: str
    split: str
    num_queries: int
    level: float
    """Coverage of the intervals."""
    metrics: list[MetricDifference]
    verdict: str
    """What it comes to by the metric that ``changed_by`` names, in a sentence."""
    changed_by: str
    """The metric by which queries changed."""
    gained: list[Example]
    """The queries that gained most, most first."""
    lost: list[Example]

    def to_json(self) -> str:
        """All of it as a JSON object."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def table(self) -> str:
        """The metrics, a line each, in percent."""
        width = max(9, len(self.first) + 2, len(self.second) + 2)
        lines = [
            *textwrap.wrap(self.verdict, _WIDTH),
            "",
            f"{self.dataset}, {self.split}: {counted(self.num_queries, 'query', 'queries')}; percent; "
            f"difference is {self.second} less {self.first}",
            f"{'':<8}{self.first:>{width}}{self.second:>{width}}{'difference':>12}"
            f"{f'{100 * self.level:.0f} % interval':>20}{'p':>9}{'wins':>9}{'losses':>9}{'ties':>9}",
        ]
        for m in self.metrics:
            interval = f"[{m.low:+.2f}, {m.high:+.2f}]"
            lines.append(
                f"{m.metric:<8}{m.first:>{width}.2f}{m.second:>{width}.2f}{m.difference:>+12.2f}"
                f"{interval:>20}{m.p_value:>9.4f}{m.wins:>9,}{m.losses:>9,}{m.ties:>9,}"
            )
        lines += ["", "interval: percentile bootstrap over queries, paired; p: paired sign-flip test"]
        return "\n".join(lines)

    def changes(self) -> str:
        """The queries that changed most: a line for each right label, with its place in both lists."""
        parts = []
        for title, found in (("gained most", self.gained), ("lost most", self.lost)):
            if found:
                heading = (
                    f"queries that {title} by {self.changed_by}; place of each right label under "
                    f"{self.first} -> {self.second}"
                )
                parts.append("\n".join([heading, *(self._shown(example) for example in found)]))
        return "\n\n".join(parts)

    def _shown(self, example: Example) -> str:
        """The query, its first right labels with their places, and the label that each system put first."""
        before, after = example.values[self.first], example.values[self.second]
        lines = [_cut(f"{named(example.uid, example.query, _WIDTH - 16)}  ({before:.0f} -> {after:.0f})")]
        for label in example.positives[:_TRUTH_SHOWN]:
            first, second = (str(label.ranks[name] or "beyond") for name in (self.first, self.second))
            lines.append(_cut(f"    right   {first:>6} -> {second:<6} {label.text}"))
        if example.num_positives > _TRUTH_SHOWN:
            lines.append(f"            and {example.num_positives - _TRUTH_SHOWN} more")
        for name in (self.first, self.second):
            put = next(iter(example.predictions[name]), None)
            if put is not None and not put.right:
                lines.append(_cut(f"    wrong first of {name}: {put.text}"))
        return "\n".join(lines)


def compare(
    first: System,
    second: System,
    dataset: Dataset,
    *,
    split: Split = "test",
    by: str = "nDCG@5",
    shown: int = 5,
    seed: int = 0,
) -> Comparison:
    """Compare two rankings of a split.

    Args:
        first: The baseline.
        second: What is compared with it.
        dataset: The data set.
        split: Whose queries.
        by: The metric that says how much a query changed.
        shown: Most queries shown that gained, and that lost.
        seed: Of the resamples and sign flips.

    Raises:
        ConfigError: When ``by`` is no metric of both.
        DataError: When a ranking is malformed or has no rows.
    """
    sums = [measure(dataset, system) for system in (first, second)]
    if not len(sums[0].gained):
        raise DataError(f"expected {split} rows to compare on, {dataset.name} has none: name another split")
    metrics = differences(sums[0], sums[1], seed=seed)
    if by not in [m.metric for m in metrics]:
        raise ConfigError(f"expected one of {', '.join(m.metric for m in metrics)}, got {by}")
    values = [_values(s, by) for s in sums]
    change = values[1] - values[0]
    order = np.argsort(-change, kind="stable")
    rows = {
        "gained": [int(row) for row in order[:shown] if change[row] > _TIE],
        "lost": [int(row) for row in order[::-1][:shown] if change[row] < -_TIE],
    }
    found = {key: examples(dataset, split, (first, second), values, chosen) for key, chosen in rows.items()}
    return Comparison(
        first=first.name,
        second=second.name,
        dataset=dataset.name,
        dataset_fingerprint=dataset.fingerprint,
        split=split,
        num_queries=len(change),
        level=LEVEL,
        metrics=metrics,
        verdict=compared(asdict(next(m for m in metrics if m.metric == by)), first.name, second.name, by),
        changed_by=by,
        **found,
    )


def differences(first: Sums, second: Sums, *, seed: int = 0) -> list[MetricDifference]:
    """Every metric both have: values, difference, interval, p-value, wins, losses and ties.

    Args:
        first: What the baseline gains on each query.
        second: The same queries; its ``whole`` is that of the first, as both have the same truth.
        seed: Of the resamples and sign flips.
    """
    shared = [name for name in first.names if name in second.names]
    a = first.gained[:, [first.names.index(name) for name in shared]]
    b = second.gained[:, [second.names.index(name) for name in shared]]
    whole = first.whole[:, [first.names.index(name) for name in shared]]
    # Means over three seeds and over two of equal numbers differ in the last bit, which is no difference.
    b = np.where(np.abs(b - a) <= _TIE, a, b)
    interval = paired_bootstrap(a, b, whole, level=LEVEL, seed=seed)
    p_values = sign_flip_p_values(b - a, seed=seed)
    total = np.where(whole.sum(axis=0) > 0, whole.sum(axis=0), np.nan)
    change = b - a
    wins, losses = (change > _TIE).sum(axis=0), (change < -_TIE).sum(axis=0)
    columns: list[dict[str, Any]] = [
        {
            "first": 100.0 * float(a[:, c].sum() / total[c]),
            "second": 100.0 * float(b[:, c].sum() / total[c]),
            "difference": 100.0 * float(interval.value[c]),
            "low": 100.0 * float(interval.low[c]),
            "high": 100.0 * float(interval.high[c]),
            "p_value": float(p_values[c]),
            "wins": int(wins[c]),
            "losses": int(losses[c]),
            "ties": int(len(change) - wins[c] - losses[c]),
        }
        for c in range(len(shared))
    ]
    return [MetricDifference(metric=name, **values) for name, values in zip(shared, columns, strict=True)]


def _cut(line: str) -> str:
    """No wider than a terminal; leading blanks stay."""
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1].rstrip() + "…"


def _values(sums: Sums, name: str) -> np.ndarray:
    return sums.gained[:, sums.names.index(name)]
