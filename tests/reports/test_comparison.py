from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from xmc.errors import ConfigError
from xmc.evaluation import ranking_metrics
from xmc.reports.comparison import compare, differences
from xmc.reports.measures import measure, metric_sums


def test_a_better_system_is_found_better(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    worse, better = make_system("worse", 0.2, seed=1), make_system("better", 0.9, seed=2)
    found = compare(worse, better, dataset, shown=4)
    sums = [measure(dataset, s) for s in (worse, better)]
    for metric in found.metrics:
        column = sums[0].names.index(metric.metric)
        a, b = (s.gained[:, column] for s in sums)
        whole = sums[0].whole[:, column].sum()
        assert metric.first == pytest.approx(100 * a.sum() / whole)
        assert metric.difference == pytest.approx(metric.second - metric.first)
        assert metric.low < metric.difference < metric.high and metric.p_value < 0.01
        assert (metric.wins, metric.losses, metric.ties) == (
            (b > a + 1e-9).sum(),
            (b < a - 1e-9).sum(),
            (np.abs(a - b) < 1e-9).sum(),
        )
    changes = [example.values["better"] - example.values["worse"] for example in found.gained]
    assert changes == sorted(changes, reverse=True) and len(changes) == 4 and min(changes) > 0
    assert all(e.values["better"] < e.values["worse"] for e in found.lost)
    marked = found.gained[0].predictions["better"]
    row = found.gained[0].row
    positives = set(dataset.relevance("test")[row].indices.tolist())
    assert [p.right for p in marked] == [int(i) in positives for i in better.ids[row, :5]]


def test_metrics_are_those_of_the_evaluation(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    system = make_system("a", 0.5)
    truth, weights = dataset.relevance("test"), np.linspace(1, 2, dataset.num_labels)
    sums = metric_sums(system.hits, system.ids.shape[1], weights)
    wanted = ranking_metrics(truth, system.ids, weights)
    got = dict(zip(sums.names, 100 * sums.gained.sum(axis=0) / sums.whole.sum(axis=0), strict=True))
    assert "R@10" in got and "R@100" not in got, "lists of 12 have no recall at 100"
    assert {name: wanted[name] for name in got if name in wanted} == pytest.approx(
        {name: value for name, value in got.items() if name in wanted}
    )


def test_a_system_against_itself_is_a_tie(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    found = compare(make_system("a", 0.5), make_system("b", 0.5), dataset)
    assert all((m.difference, m.low, m.high, m.p_value) == (0, 0, 0, 1.0) for m in found.metrics)
    assert found.gained == [] and found.lost == [] and found.changes() == ""


def test_lists_of_different_depth_share_what_both_have(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    other = make_system("b", 0.5)
    cut = replace(other, ids=other.ids[:, :5], scores=other.scores[:, :5])
    deep, short = measure(dataset, make_system("a", 0.5)), measure(dataset, cut)
    assert "R@10" not in [m.metric for m in differences(deep, short)]


def test_table_and_json_say_the_same(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    found = compare(make_system("old", 0.3, seed=1), make_system("new", 0.6, seed=2), dataset)
    values = json.loads(found.to_json())
    p1 = values["metrics"][0]
    assert p1["metric"] == "P@1" and f"{p1['difference']:+.2f}" in found.table()
    assert "new less old" in found.table() and "sign-flip" in found.table()
    assert found.table().startswith(found.verdict[:60]) and values["verdict"] == found.verdict
    assert "new is better than old by nDCG@5" in found.verdict


def test_changed_queries_fit_a_terminal_and_give_places(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    found = compare(make_system("old", 0.3, seed=1), make_system("new", 0.6, seed=2), dataset, shown=3)
    lines = found.changes().splitlines()
    assert lines[0] == "queries that gained most by nDCG@5; place of each right label under old -> new"
    assert max(map(len, lines)) <= 110 and len(lines) < 60
    gained = found.gained[0]
    label = gained.positives[0]
    places = (label.ranks["old"] or "beyond", label.ranks["new"] or "beyond")
    assert f"{places[0]:>6} -> {places[1]:<6} {label.text}" in found.changes()


def test_an_unknown_metric_is_refused(dataset, make_system) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="expected one of P@1, .*got P@7"):
        compare(make_system("a", 0.5), make_system("b", 0.5), dataset, by="P@7")
