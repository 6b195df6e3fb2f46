"""Systems by metrics: the mean and deviation over seeds, and what is significant over queries and over seeds.

Two questions that are easily taken for one another. *Over queries*: would other queries like these show the
difference between these very models? The paired sign-flip test and bootstrap of `xmc compare`, on each
query's mean over a system's seeds. *Over seeds*: would other seeds show it on these same queries? Welch's
t-test on the metrics of the seeds (Welch, "The generalization of 'Student's' problem when several different
population variances are involved", 1947), which takes the seeds of two systems as independent and their
variances as different. Neither answers the other's question, and p-values are not corrected for the number of
systems and metrics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xmc.data import Dataset
from xmc.errors import ConfigError, DataError
from xmc.reports.comparison import MetricDifference, differences
from xmc.reports.group_metrics import Sums
from xmc.reports.measures import measure, pick
from xmc.reports.systems import Split, open_systems, system_names
from xmc.seed_folders import seed_runs

__all__ = ["METRICS", "Change", "Row", "Table", "build_table", "compare_rows", "welch_p_value"]

METRICS = ("P@1", "P@5", "PSP@5", "R@100")


@dataclass(frozen=True)
class Row:
    """One system: a run, or several that differ in their seed alone."""

    name: str
    values: dict[str, list[float]]
    """Of each metric its value for each seed, in percent."""
    sums: Sums
    """What each query adds, the mean over seeds."""

    @property
    def num_seeds(self) -> int:
        """Runs behind the row."""
        return len(next(iter(self.values.values())))

    def mean(self, metric: str) -> float:
        """In percent."""
        return float(np.mean(self.values[metric]))

    def deviation(self, metric: str) -> float | None:
        """The sample standard deviation over seeds, in percent; None for one seed."""
        values = self.values[metric]
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


@dataclass(frozen=True)
class Change:
    """A row less the first, by one metric."""

    name: str
    over_queries: MetricDifference
    p_seeds: float | None
    """Of Welch's test; None where a system has fewer than two seeds, or neither varies."""


@dataclass(frozen=True)
class Table:
    """The rows, and what each changes against the first."""

    dataset: str
    split: str
    num_queries: int
    metrics: list[str]
    rows: list[Row]
    changes: list[Change]


def build_table(
    sources: Sequence[str],
    dataset: Dataset,
    *,
    split: Split = "test",
    metrics: Sequence[str] = METRICS,
    seed: int = 0,
    progress: bool = True,
) -> Table:
    """Measure every source; what a run has not been evaluated on is ranked first and kept in its folder.

    Args:
        sources: Run folders, folders of seeds, models or files of predictions; the first is the baseline.
        dataset: The data set.
        split: Whose queries.
        metrics: By name.
        seed: Of the resamples and sign flips.
        progress: Show bars.

    Raises:
        ConfigError: For a metric that is none of all sources.
        DataError: When the split has no rows, or a ranking does not fit it.
    """
    rows = []
    for source, name in zip(sources, system_names(sources), strict=True):
        runs = [str(run) for run in seed_runs(source)] or [source]
        # One after another: rankings of all seeds of all systems need not be held at once.
        sums = [measure(dataset, open_systems([run], dataset, split, progress=progress)[0]) for run in runs]
        if not len(sums[0].gained):
            raise DataError(f"expected {split} rows to measure, {dataset.name} has none: name another split")
        rows.append(_row(name, sums, metrics))
    return Table(
        dataset=dataset.name,
        split=split,
        num_queries=len(rows[0].sums.gained),
        metrics=list(metrics),
        rows=rows,
        changes=[change for row in rows[1:] for change in compare_rows(rows[0], row, seed=seed)],
    )


def compare_rows(first: Row, second: Row, *, seed: int = 0) -> list[Change]:
    """The second less the first, metric by metric."""
    return [
        Change(second.name, found, welch_p_value(first.values[found.metric], second.values[found.metric]))
        for found in differences(first.sums, second.sums, seed=seed)
    ]


def welch_p_value(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Of Welch's t-test, two-sided; None with fewer than two values on a side, or where neither varies."""
    if min(len(first), len(second)) < 2 or np.ptp(first) == np.ptp(second) == 0:
        return None
    from scipy.stats import ttest_ind  # half a second to import

    p_value = float(ttest_ind(first, second, equal_var=False).pvalue)
    return p_value if math.isfinite(p_value) else None


def _row(name: str, sums: Sequence[Sums], metrics: Sequence[str]) -> Row:
    missing = [metric for metric in metrics if not all(metric in part.names for part in sums)]
    if missing:
        known = ", ".join(sums[0].names)
        raise ConfigError(f"--metrics: expected metrics of {name} ({known}), got {', '.join(missing)}")
    picked = [pick(part, metrics) for part in sums]
    values = {
        metric: [100.0 * float(p.gained[:, c].sum() / p.whole[:, c].sum()) for p in picked]
        for c, metric in enumerate(metrics)
    }
    mean = np.mean([part.gained for part in picked], axis=0)
    return Row(name, values, Sums(picked[0].names, mean, picked[0].whole))
