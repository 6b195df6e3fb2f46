"""Measurements that anyone can repeat: what scoring costs, beside a plain product and the published formulas."""

from __future__ import annotations

from xmc.bench.scoring import ScoringCase, bench_scoring, scoring_table

__all__ = ["ScoringCase", "bench_scoring", "scoring_table"]
