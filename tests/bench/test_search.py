from __future__ import annotations

import json

import pytest

from xmc.bench.search import bench_search, search_table
from xmc.cli.main import main


def test_measures_each_size_in_units_of_the_product():
    cases = bench_search([3, 5], [300], dimension=8, k=2, repeats=1)
    assert [(case.num_queries, case.num_labels, case.k) for case in cases] == [(3, 300, 2), (5, 300, 2)]
    for case in cases:
        assert case.products == pytest.approx(case.seconds / case.product_seconds) and case.seconds > 0
    assert search_table(cases).count("\n") == 3


def test_the_command_prints_a_table_and_writes_json(tmp_path, capsys):
    path = tmp_path / "search.json"
    words = ["--num_queries", "[4]", "--num_labels", "[64]", "--dimension", "8", "--k", "3", "--repeats", "1"]
    assert main(["bench", "search", *words, "--json", str(path)]) == 0
    assert "| 4 | 64 | 8 | 3 |" in capsys.readouterr().out
    assert json.loads(path.read_text())["cases"][0]["num_labels"] == 64
    assert main(["bench", "search", "--k", "0"]) == 2
    assert "at least 1, got 0" in capsys.readouterr().err
