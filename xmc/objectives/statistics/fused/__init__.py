"""The row statistics' formulas as Triton functions; a module is imported when its statistic is fused."""

from __future__ import annotations
