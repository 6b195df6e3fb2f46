"""The plain tables at the end of a report, as rows of texts: configuration, data set, machines, cost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xmc.durations import duration
from xmc.reports.curves import Curve, LearningCurves

__all__ = [
    "ConfigurationTables",
    "Row",
    "configuration_tables",
    "cost_rows",
    "curve_rows",
    "dataset_rows",
    "grouped",
    "machine_rows",
]

_PLACES = ("run.dir", "run.resume", "run.overwrite")
"""Options that say where a run is, not what it is."""

_MACHINE = {
    "cpu": "processor",
    "cores": "cores it may use",
    "threads": "threads of torch",
    "memory_bytes": "memory",
    "device": "device",
    "processes": "processes",
    "torch": "torch",
    "python": "Python",
    "system": "system",
}
_COST = {
    "num_steps": "optimiser steps",
    "best_step": "step of the model",
    "seconds": "training and validation",
    "rows_per_second": "training rows per second",
    "peak_memory_bytes": "peak memory",
    "peak_device_bytes": "peak device memory",
    "evaluation_seconds": "evaluation",
}


@dataclass(frozen=True)
class Row:
    """A line of a table: a name, and one text per column."""

    name: str
    values: list[str]


@dataclass(frozen=True)
class ConfigurationTables:
    """What a reader wants of the options of some runs, instead of all of them."""

    runs: list[str]
    """The systems that have a configuration."""
    differing: list[Row]
    """Options that are not alike in all runs; the last column is the default."""
    changed: list[Row]
    """Options that are alike in all, but not as by default: value and default."""
    num_options: int


def configuration_tables(
    configurations: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]
) -> ConfigurationTables:
    """The options that differ between runs, and those that all changed from the default alike.

    Args:
        configurations: Options by dotted name, by system; empty for a system that is no run.
        defaults: By dotted name; an option that has none, such as a path, counts as changed.
    """
    runs = {name: options for name, options in configurations.items() if options}
    differing, changed = [], []
    options = [
        name for name in dict.fromkeys(n for found in runs.values() for n in found) if name not in _PLACES
    ]
    for name in options:
        values = [_option(found[name]) if name in found else "–" for found in runs.values()]
        default = _option(defaults[name]) if name in defaults else "–"
        if len(set(values)) > 1:
            differing.append(Row(name, [*values, default]))
        elif values[0] != default:
            changed.append(Row(name, [values[0], default]))
    return ConfigurationTables(list(runs), differing, changed, len(options))


def grouped(values: Sequence[str], names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Each value once, with the names that have it, in the order they first come."""
    found: dict[str, list[str]] = {}
    for value, name in zip(values, names, strict=True):
        found.setdefault(value, []).append(name)
    return list(found.items())


def curve_rows(
    curves: LearningCurves, best: int | None, metrics: Sequence[str], lines: int = 12
) -> list[Row]:
    """A run's validations in at most ``lines`` lines: the first, the last, the best and others between.

    The row's name is its step; its values are the training loss, averaged over the steps logged since the
    line before, and the metrics in percent.
    """
    steps = sorted(
        {step for name in metrics if name in curves.validation for step in curves.validation[name].steps}
    )
    places = range(len(steps)) if len(steps) <= lines else np.linspace(0, len(steps) - 1, lines - 1).round()
    shown = sorted({steps[int(place)] for place in places} | {step for step in steps if step == best})
    validation = {
        name: dict(zip(curve.steps, curve.values, strict=True)) for name, curve in curves.validation.items()
    }
    loss, before = curves.training.get("loss", Curve()), -1.0
    rows = []
    for step in shown:
        since = [value for at, value in zip(loss.steps, loss.values, strict=True) if before < at <= step]
        values = [f"{sum(since) / len(since):.4f}" if since else "–"]
        values += [f"{validation[m][step]:.2f}" if step in validation.get(m, {}) else "–" for m in metrics]
        rows.append(Row(f"{step:,.0f}" + (" (kept)" if step == best else ""), values))
        before = step
    return rows


def dataset_rows(table: str) -> list[Row]:
    """The lines of ``DatasetInfo.table()``, its name and value parted by the blanks between its columns."""
    parted = [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in table.splitlines()]
    return [Row(parts[0], parts[1:] or [""]) for parts in parted]


def machine_rows(machines: Mapping[str, Mapping[str, Any]], here: Mapping[str, Any]) -> list[Row]:
    """What each run was trained on, and last where the report was made; "not recorded" for older runs."""
    columns = [*machines.values(), here]
    return [
        Row(title, [_fact(name, column[name]) if name in column else "not recorded" for column in columns])
        for name, title in _MACHINE.items()
    ]


def cost_rows(costs: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Steps, times and memory of each system, of what any of them recorded."""
    return [
        Row(title, [_fact(name, cost[name]) if name in cost else "–" for cost in costs.values()])
        for name, title in _COST.items()
        if any(name in cost for cost in costs.values())
    ]


def _fact(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name.endswith("_bytes"):
        return f"{value / 2**30:.1f} GiB"
    if name.endswith("seconds"):
        return duration(value) if value >= 60 else f"{value:.1f} s"
    return (
        f"{value:,.0f}"
        if name == "rows_per_second"
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def _option(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value == {} else str(value)
