"""The plain tables at the end of a report, as rows of texts: configuration, data set, machines, cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xmc.durations import duration

__all__ = ["Row", "configuration_rows", "cost_rows", "dataset_rows", "machine_rows"]

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
    """A line of a table: a name, one text per system, and whether they differ."""

    name: str
    values: list[str]
    differs: bool = False


def configuration_rows(configurations: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Every option of any run, those that differ first; a system without the option has a dash."""
    names = dict.fromkeys(name for options in configurations.values() for name in options)
    rows = []
    for name in names:
        values = [_option(options[name]) if name in options else "–" for options in configurations.values()]
        rows.append(Row(name, values, len(set(values)) > 1))
    return sorted(rows, key=lambda row: not row.differs)


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
