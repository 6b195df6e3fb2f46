from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xmc.data import Dataset
from xmc.reports.measures import measure
from xmc.reports.segments import SegmentTable, segment_tables
from xmc.reports.systems import System


def tables_of(dataset: Dataset, systems: list[System]) -> list[SegmentTable]:
    return segment_tables(dataset, "test", systems, {s.name: measure(dataset, s) for s in systems})


def test_every_division_under_every_system(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    systems = [make_system("a", 0.3, seed=1), make_system("b", 0.8, seed=2)]
    tables = {table.name: table for table in tables_of(dataset, systems)}
    assert set(tables) == {"frequency", "deciles", "seen", "positives", "length"}
    truth = dataset.relevance("test")
    for table in tables.values():
        rows = [row for row in table.rows if row.system == "b"]
        assert sum(row.positives for row in rows) == truth.nnz
        assert sum(row.size for row in rows) == (30 if table.of == "labels" else 60)
        assert all(row.change for row in rows) and not any(
            row.change for row in table.rows if row.system == "a"
        )
    unseen = next(row for row in tables["seen"].rows if row.group == "unseen")
    assert unseen.size == 1 and unseen.positives == truth[:, 0].nnz
    sums = measure(dataset, systems[1])
    for k in (1, 5):
        whole = 100 * sums.gained[:, sums.names.index(f"P@{k}")].mean()
        for name in ("frequency", "deciles", "seen"):
            parts = [row.metrics[f"P@{k}"].value for row in tables[name].rows if row.system == "b"]
            assert sum(part for part in parts if part is not None) == pytest.approx(whole)


def test_changes_are_less_the_first_system(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    for table in tables_of(dataset, [make_system("a", 0.3, seed=1), make_system("b", 0.8, seed=2)]):
        cells = {(row.group, row.system): row for row in table.rows}
        for (group, system), row in cells.items():
            if system == "b":
                for metric, change in row.change.items():
                    first, second = cells[group, "a"].metrics[metric].value, row.metrics[metric].value
                    if change.value is not None:
                        assert change.value == pytest.approx((second or 0) - (first or 0))
                        assert change.low is not None and change.high is not None
                        assert change.low <= change.high


def test_query_groups_are_measured_alone(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    system = make_system("a", 0.5)
    table = next(t for t in tables_of(dataset, [system]) if t.name == "positives")
    rows = np.flatnonzero(np.diff(dataset.relevance("test").indptr) == 2)
    row = next(row for row in table.rows if row.group == "2")
    sums = measure(dataset, system)
    wanted = 100 * sums.gained[rows, sums.names.index("P@5")].mean()
    assert row.size == len(rows) and row.metrics["P@5"].value == pytest.approx(wanted)


def test_shorter_lists_leave_metrics_out_for_all(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    """Lists of another system's file may end before R@100; each number stays under its own metric."""
    whole, short = make_system("a", 0.3, seed=1), make_system("b", 0.8, seed=2)
    padded = [np.pad(part, ((0, 0), (0, 88)), constant_values=-1) for part in (whole.ids, whole.scores)]
    whole = replace(whole, ids=padded[0], scores=padded[1])
    alone = {table.name: table for table in tables_of(dataset, [whole])}
    for systems in ([whole, short], [short, whole]):
        for table in tables_of(dataset, systems):
            assert ("R@100" in alone[table.name].metrics) == (table.of == "queries")
            assert table.metrics == tuple(m for m in alone[table.name].metrics if m != "R@100")
            own = [row for row in table.rows if row.system == "a"]
            for row, wanted in zip(own, alone[table.name].rows, strict=True):
                assert row.metrics == {metric: wanted.metrics[metric] for metric in table.metrics}
