"""The Markdown table of a data set: a line a system, means and intervals, the best of each column marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import stats

from benchmarks.peers.results import Result

__all__ = ["half_width", "table"]

METRICS = ("P@1", "P@5", "PSP@5", "R@100")

COSTS: Mapping[str, tuple[Callable[[Result], float], Callable[[float], str], bool]] = {
    "train, s": (lambda result: result.train_seconds, lambda value: f"{value:,.1f}", False),
    "predict, s": (lambda result: result.predict_seconds, lambda value: f"{value:,.1f}", False),
    "queries/s": (
        lambda result: result.queries / result.predict_seconds,
        lambda value: f"{value:,.0f}",
        True,
    ),
    "peak memory, MiB": (lambda result: result.peak_bytes / 2**20, lambda value: f"{value:,.0f}", False),
    "model, MiB": (lambda result: result.model_bytes / 2**20, lambda value: f"{value:,.1f}", False),
}
"""By heading: the number, its text, and whether more is better."""


def table(results: Sequence[Result]) -> str:
    """Of runs on one data set; those that failed or were stopped by their time are named below it."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        if result.failed is None:
            groups.setdefault(result.title, []).append(result)
    lines = [
        f"| | seeds | {' | '.join((*METRICS, *COSTS))} |",
        "|---" * (2 + len(METRICS) + len(COSTS)) + "|",
    ]
    columns = [_metric_column(name, groups) for name in METRICS]
    columns += [_cost_column(*COSTS[name], groups) for name in COSTS]
    for place, (title, runs) in enumerate(groups.items()):
        cells = " | ".join(column[place] for column in columns)
        lines.append(f"| {title} | {len(runs)} | {cells} |")
    remarks = [f"{run.title}, seed {run.seed}: {_remark(run)}." for run in results if _remark(run)]
    return "\n".join([*lines, *(["", *remarks] if remarks else [])]) + "\n"


def _remark(run: Result) -> str:
    if run.failed is not None:
        return run.failed
    steps, meant = run.report.get("steps"), run.report.get("steps_meant")
    stopped = steps is not None and meant is not None and steps < meant
    return f"stopped by its time after {steps:,} of {meant:,} steps" if stopped else ""


def half_width(values: Sequence[float]) -> float | None:
    """Of the 95 % interval of a mean by Student's t over two or more values; None of one."""
    if len(values) < 2:
        return None
    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    return quantile * float(np.std(values, ddof=1)) / float(np.sqrt(len(values)))


def _metric_column(name: str, groups: Mapping[str, Sequence[Result]]) -> list[str]:
    cells, means = [], []
    for runs in groups.values():
        values = [run.metrics[name] for run in runs]
        width = half_width(values)
        means.append(float(np.mean(values)))
        cells.append(f"{means[-1]:.2f}" + ("" if width is None else f" ± {width:.2f}"))
    return _marked(cells, means, more=True)


def _cost_column(
    number: Callable[[Result], float],
    text: Callable[[float], str],
    more: bool,
    groups: Mapping[str, Sequence[Result]],
) -> list[str]:
    means = [float(np.mean([number(run) for run in runs])) for runs in groups.values()]
    return _marked([text(mean) for mean in means], means, more=more)


def _marked(cells: list[str], values: list[float], *, more: bool) -> list[str]:
    if not values:
        return cells
    best = max(values) if more else min(values)
    return [f"**{cell}**" if value == best else cell for cell, value in zip(cells, values, strict=True)]
