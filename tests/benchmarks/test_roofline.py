from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.roofline import H100, LABELS, Part, score_parts, step_parts, tables

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"


def test_the_tables_are_those_of_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for table in tables().split("\n\n"):
        assert table in page
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_part_is_bound_by_the_slower_of_arithmetic_and_memory() -> None:
    assert Part(989e12, 0.0).seconds(H100) == 1.0 and Part(67e12, 0.0, half=False).seconds(H100) == 1.0
    assert Part(1.0, 3.35e12).seconds(H100) == 1.0
    assert 295 < H100.ridge < 296


@pytest.mark.parametrize(("way", "products"), [("dense", 3), ("tiled", 4), ("triton", 4)])
def test_products_are_those_of_the_engines(way: str, products: int) -> None:
    parts = score_parts(way, 1_024, 131_072, 384)
    assert sum(part.flops for part in parts) == products * 2 * 1_024 * 131_072 * 384


def test_triton_is_bound_by_arithmetic_and_the_others_by_memory() -> None:
    for way, bound in (("dense", False), ("tiled", False), ("triton", True)):
        whole = [
            part.flops / H100.half >= part.bytes / H100.memory
            for part in score_parts(way, 4_096, LABELS, 384)
        ]
        assert all(whole) == bound
    with pytest.raises(ValueError, match="expected dense, tiled or triton, got none"):
        score_parts("none", 1, 1, 1)


def test_a_step_is_encoding_above_all() -> None:
    parts = step_parts("DistilBERT", 65_536, 4_096)
    seconds = {name: part.seconds(H100) for name, part in parts.items()}
    # Twice forward and two products back for each of 42.5 million weights and 69,632 texts of 32 tokens.
    assert 1.0 < parts["encode"].flops / (8 * 42_467_328 * 69_632 * 32) < 1.03
    assert seconds["encode"] > 0.9 * sum(seconds.values()) > 0
