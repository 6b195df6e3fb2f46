"""Measurements anyone can repeat: what scoring costs, beside a plain product and published formulas."""

from __future__ import annotations

from xmc.bench.cases import cases_as_json
from xmc.bench.scoring import ScoringCase, bench_scoring, scoring_table

__all__ = ["ScoringCase", "bench_scoring", "cases_as_json", "scoring_table"]
