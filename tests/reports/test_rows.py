from __future__ import annotations

from xmc.data import describe
from xmc.reports.rows import Row, configuration_rows, cost_rows, dataset_rows, machine_rows
from xmc.reports.run_facts import RunFacts, flat, read_run


def test_options_that_differ_come_first() -> None:
    rows = configuration_rows({"a": {"x": 1, "y": None, "z": []}, "b": {"x": 1, "y": True}, "c": {}})
    assert rows[0] == Row("x", ["1", "1", "–"], True)
    assert rows[1] == Row("y", ["null", "true", "–"], True) and rows[2].values == ["none", "–", "–"]
    same = configuration_rows({"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}})
    assert [(row.name, row.differs) for row in same] == [("y", True), ("x", False)]


def test_the_data_sets_table_is_parted(dataset) -> None:  # type: ignore[no-untyped-def]
    rows = {row.name: row.values[0] for row in dataset_rows(describe(dataset).table())}
    assert rows["data set"] == "words <b>&" and rows["labels"].startswith("30 (1 without")


def test_machines_and_costs() -> None:
    machine = {"cpu": "a chip", "cores": 2, "memory_bytes": 8 * 2**30}
    rows = {row.name: row.values for row in machine_rows({"a": {}, "b": machine}, machine)}
    assert rows["processor"] == ["not recorded", "a chip", "a chip"] and rows["memory"][1] == "8.0 GiB"
    costs = cost_rows({"a": {"seconds": 75.2, "rows_per_second": 1234.5}, "b": {"evaluation_seconds": 3.21}})
    assert [(row.name, row.values) for row in costs] == [
        ("training and validation", ["1 min 15 s", "–"]),
        ("training rows per second", ["1,234", "–"]),
        ("evaluation", ["–", "3.2 s"]),
    ]


def test_a_folder_that_is_no_run_has_no_facts() -> None:
    assert read_run(None) == RunFacts()
    assert flat({"a": {"b": 1, "c": {}}, "d": [2]}) == {"a.b": 1, "a.c": {}, "d": [2]}
