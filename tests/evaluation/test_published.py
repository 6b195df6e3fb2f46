from __future__ import annotations

import re

import pytest

from xmc.evaluation import published_results
from xmc.evaluation.published import _table

SIZES = {
    "LF-AmazonTitles-131K": (294_805, 134_835, 131_073),
    "LF-Wikipedia-500K": (1_813_391, 783_743, 501_070),
    "LF-AmazonTitles-1.3M": (2_248_619, 970_237, 1_305_265),
}


@pytest.mark.parametrize("name", SIZES)
def test_only_rows_of_exactly_that_data_set(name):
    rows = published_results(name)
    assert len(rows) > 10 and {(row.dataset, row.split) for row in rows} == {(name, "test")}
    assert published_results(name, sizes=SIZES[name]) == rows
    assert published_results(name, sizes=(1, 2, 3)) == []
    assert [row.metrics.get("P@1", 0) for row in rows] == sorted(
        (row.metrics.get("P@1", 0) for row in rows), reverse=True
    )


@pytest.mark.parametrize(
    "name", ["AmazonTitles", "lf-amazontitles-131k", "LF-AmazonTitles-131K ", "things", ""]
)
def test_other_names_have_none(name):
    assert published_results(name) == []


def test_the_training_rows_have_none():
    assert published_results("LF-AmazonTitles-131K", "train") == []


def test_the_two_divisions_of_eurlex_are_kept_apart():
    of_dexml = published_results("EURLex-4K", sizes=(15_449, 3_865, 3_956))
    assert [row.system for row in of_dexml][:1] == ["DEXML (DistilBERT)"]
    assert published_results("EURLex-4K", sizes=(15_539, 3_809, 3_993)) == []
    assert {row.sizes for row in published_results("EURLex-4K")} == {(15_449, 3_865, 3_956), None}


def test_a_row_is_as_printed():
    row = next(row for row in published_results("LF-AmazonTitles-131K") if row.system == "Renee")
    assert row.metrics == {
        "P@1": 46.05, "P@3": 30.81, "P@5": 22.04, "PSP@1": 39.08, "PSP@3": 45.12, "PSP@5": 50.48
    }  # fmt: skip
    assert row.evidence == "primary" and "LEVER" in row.note


def test_every_row_is_sound():
    seen = set()
    for row in _table():
        assert row.metrics and row.source and row.evidence in ("primary", "second-hand")
        for name, value in row.metrics.items():
            assert re.fullmatch(r"(P|PSP|nDCG|R|MRR)@\d+", name) and 0 < value <= 100
        for kind in ("P", "R"):
            values = [
                row.metrics[n]
                for n in sorted(row.metrics, key=lambda n: int(n.split("@")[1]))
                if n.startswith(f"{kind}@")
            ]
            assert values == sorted(values, reverse=kind == "P")
        assert (row.dataset, row.system) not in seen
        seen.add((row.dataset, row.system))
