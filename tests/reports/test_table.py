"""Tables over runs and seeds: numbers against the formulas, forms against their readers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from xmc.data import Dataset
from xmc.errors import ConfigError
from xmc.evaluation import save_predictions
from xmc.reports.comparison import compare
from xmc.reports.measures import measure
from xmc.reports.systems import System
from xmc.reports.table import Table, _row, build_table, compare_rows, welch_p_value
from xmc.reports.table_text import as_text

MakeSystem = Callable[..., System]
METRICS = ["P@1", "PSP@5"]


@pytest.fixture
def table(dataset: Dataset, make_system: MakeSystem) -> Table:
    def row(name: str, skill: float, seeds: range):  # type: ignore[no-untyped-def]
        return _row(name, [measure(dataset, make_system(name, skill, seed)) for seed in seeds], METRICS)

    rows = [row("a_1", 0.3, range(3)), row("b|", 0.6, range(3, 7)), row("one", 0.9, range(7, 8))]
    changes = [change for other in rows[1:] for change in compare_rows(rows[0], other)]
    return Table(dataset.name, "test", 60, METRICS, rows, changes)


def test_mean_and_deviation_are_of_the_seeds(table: Table, dataset: Dataset, make_system: MakeSystem) -> None:
    values = []
    for seed in range(3):
        sums = measure(dataset, make_system("a", 0.3, seed))
        column = sums.names.index("PSP@5")
        values.append(100 * sums.gained[:, column].sum() / sums.whole[:, column].sum())
    row = table.rows[0]
    assert row.values["PSP@5"] == pytest.approx(values) and row.num_seeds == 3
    assert row.mean("PSP@5") == pytest.approx(np.mean(values))
    assert row.deviation("PSP@5") == pytest.approx(np.std(values, ddof=1))
    assert table.rows[2].deviation("PSP@5") is None


def test_a_difference_over_queries_is_that_of_the_means(table: Table) -> None:
    change = table.changes[0]
    assert change.over_queries.metric == "P@1"
    means = [table.rows[i].mean("P@1") for i in range(2)]
    assert change.over_queries.difference == pytest.approx(means[1] - means[0])
    assert change.p_seeds == pytest.approx(
        stats.ttest_ind(table.rows[0].values["P@1"], table.rows[1].values["P@1"], equal_var=False).pvalue
    )
    assert table.changes[2].p_seeds is None, "one seed has no deviation"


def test_the_same_in_other_numbers_of_seeds_is_no_difference(
    dataset: Dataset, make_system: MakeSystem
) -> None:
    """The mean of three equal numbers is not that of two to the last bit."""
    names = ["P@3", "P@5"]
    one = measure(dataset, make_system("a", 0.3, 1))
    rows = [_row(name, [one] * seeds, names) for name, seeds in (("two", 2), ("three", 3))]
    assert (rows[0].sums.gained != rows[1].sums.gained).any()
    for change in compare_rows(*rows):
        over = change.over_queries
        assert (over.difference, over.low, over.high, over.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_one_run_each_is_compared_as_xmc_compare_does(dataset: Dataset, make_system: MakeSystem) -> None:
    first, second = make_system("a", 0.3, 0), make_system("b", 0.6, 1)
    rows = [_row(s.name, [measure(dataset, s)], METRICS) for s in (first, second)]
    wanted = {m.metric: m for m in compare(first, second, dataset).metrics}
    assert [change.over_queries for change in compare_rows(*rows)] == [wanted[name] for name in METRICS]


def test_welch_by_its_formula() -> None:
    a, b = [1.0, 2.0, 4.0], [3.0, 3.5]
    parts = [np.var(x, ddof=1) / len(x) for x in (a, b)]
    t = (np.mean(b) - np.mean(a)) / math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / sum(p**2 / (len(x) - 1) for p, x in zip(parts, (a, b), strict=True))
    assert welch_p_value(a, b) == pytest.approx(2 * stats.t.sf(abs(t), freedom))
    assert welch_p_value(a, [1.0]) is None and welch_p_value([1.0, 1.0], [2.0, 2.0]) is None


def test_plain_text_and_markdown(table: Table) -> None:
    text = as_text(table)
    line = next(line for line in text.splitlines() if line.startswith("a_1"))
    row = table.rows[0]
    assert line.split() == [
        "a_1", "3", *(w for m in METRICS for w in (f"{row.mean(m):.2f}", "±", f"{row.deviation(m):.2f}"))
    ]  # fmt: skip
    assert "1 to 4 seeds a system" in text and max(map(len, text.splitlines())) <= 110
    markdown = as_text(table, "markdown")
    assert "| b\\| | 4 |" in markdown and "|---|" not in markdown and "| --- | ---: |" in markdown


def test_latex_escapes_and_comments(table: Table) -> None:
    latex = as_text(table, "latex")
    assert r"a\_1 & 3 & " in latex and r"$\pm$" in latex and r"95 \% interval" in latex
    inside = False
    for line in latex.splitlines():
        inside = inside or line.startswith(r"\begin")
        assert inside or not line or line.startswith("%"), line
        inside = inside and not line.startswith(r"\end")


def test_csv_has_full_precision(table: Table) -> None:
    rows = list(csv.DictReader(io.StringIO(as_text(table, "csv"))))
    assert len(rows) == 6 and float(rows[0]["mean"]) == table.rows[0].mean("P@1")
    assert rows[0]["p_queries"] == "" and rows[4]["p_seeds"] == ""
    assert float(rows[2]["p_queries"]) == table.changes[0].over_queries.p_value


def test_without_seeds_it_says_what_is_needed(
    dataset: Dataset, make_system: MakeSystem, tmp_path: Path
) -> None:
    paths = []
    for name, skill in (("a", 0.3), ("b", 0.6)):
        system = make_system(name, skill)
        paths.append(str(tmp_path / f"{name}.npz"))
        save_predictions(paths[-1], system.ids, system.scores)
    table = build_table(paths, dataset, metrics=METRICS, progress=False)
    assert [row.name for row in table.rows] == ["a", "b"]
    assert "needs two seeds or more" in as_text(table)
    with pytest.raises(
        ConfigError, match="--metrics: expected metrics of a .*, got R@100: its lists are too short"
    ):
        build_table(paths, dataset, metrics=["R@100"], progress=False)
    with pytest.raises(ConfigError, match="different systems"):
        build_table(paths[:1] * 2, dataset, metrics=METRICS, progress=False)
