"""Tables of the GPU benchmark."""

from __future__ import annotations

import pytest

from benchmarks.gpu_cases import TimeCase
from benchmarks.gpu_report import report


def found(way: str, milliseconds: float | None, *, labels: int = 1_000) -> dict[str, object]:
    asked: dict[str, object] = {
        "kind": "time",
        "implementation": way,
        "num_queries": 64,
        "num_labels": labels,
        "dimension": 8,
    }
    asked |= {"objective": "decoupled_softmax"}
    if milliseconds is None:
        return asked | {"dtype": "bfloat16", "error": "out of memory"}
    return asked | {
        "dtype": "bfloat16", "error": None, "milliseconds": milliseconds, "products": 6.0,
        "flops_per_second": 3e14, "share_of_rate": 0.5, "share_of_matrix_rate": 0.39,
        "share_of_matrix_rate_by_four": 0.52, "extra_bytes": None, "share_of_scores": None,
    }  # fmt: skip


def test_a_way_of_scoring_is_beside_dense_scores_of_its_shape() -> None:
    cases = [found("triton", 2.0), found("triton", 2.0, labels=9), found("dense", 7.0), found("tiled", 3.5)]
    *_, first, other, dense, tiled = report([*cases, found("dense", None, labels=9)]).splitlines()[:-1]
    assert "| 39%, 52% | 3.50 |" in first and "| 39%, 52% |  |" in other
    assert "| 1.00 |" in dense and "| 2.00 |" in tiled


def test_four_products_are_a_third_more_than_three() -> None:
    case = TimeCase("tiled", 5, 40, 6, dtype="float32", repeats=1).measure("cpu")
    assert case["share_of_matrix_rate_by_four"] == pytest.approx(case["share_of_matrix_rate"] * 4 / 3)
