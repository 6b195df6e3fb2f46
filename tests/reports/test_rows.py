from __future__ import annotations

from xmc.data import describe
from xmc.reports.curves import Curve, LearningCurves
from xmc.reports.rows import (
    Row,
    configuration_tables,
    cost_rows,
    curve_rows,
    dataset_rows,
    grouped,
    machine_rows,
)
from xmc.reports.run_facts import RunFacts, flat, read_run


def test_options_that_differ_and_options_that_are_not_the_default() -> None:
    defaults = {"x": 0, "y": None, "z": [], "same": 1}
    one = {"x": 1, "y": None, "z": [], "same": 1, "path": "d", "run.dir": "runs/a"}
    other = {**one, "y": True, "run.dir": "runs/b"}
    alone = configuration_tables({"a": one, "predictions": {}}, defaults)
    assert alone.runs == ["a"] and alone.differing == []
    assert alone.changed == [Row("x", ["1", "0"]), Row("path", ["d", "–"])] and alone.num_options == 5
    both = configuration_tables({"a": one, "b": other}, defaults)
    assert both.differing == [Row("y", ["null", "true", "null"])], "the folder of a run is no option"
    assert both.changed == alone.changed
    assert configuration_tables({"a": one, "b": {"x": 1}}, defaults).differing[0].values == [
        "null",
        "–",
        "null",
    ]


def test_values_are_grouped_with_their_names() -> None:
    assert grouped(["1", "2", "1"], ["a", "b", "c"]) == [("1", ["a", "c"]), ("2", ["b"])]


def test_curves_as_lines() -> None:
    steps = [float(step) for step in range(0, 101, 2)]
    loss = Curve([1.0, 2.0, 4.0, 100.0], [4.0, 2.0, 1.0, 0.5])
    curves = LearningCurves({"loss": loss}, {"P@1": Curve(steps, steps), "P@5": Curve([0.0], [7.0])})
    rows = curve_rows(curves, 4, ("P@1", "P@5"))
    assert len(rows) == 12 and rows[0] == Row("0", ["–", "0.00", "7.00"])
    assert rows[1] == Row("4 (kept)", ["2.3333", "4.00", "–"]) and rows[-1].values[0] == "0.5000"
    few = curve_rows(LearningCurves({}, {"P@1": Curve([0.0, 5.0], [1.0, 2.0])}), None, ("P@1", "P@5"))
    assert [row.name for row in few] == ["0", "5"]
    assert curve_rows(LearningCurves({}, {}), None, ("P@1",)) == []


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
