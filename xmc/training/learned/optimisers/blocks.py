"""How many rows of a table an optimiser changes at once."""

from __future__ import annotations

__all__ = ["GPU_ROWS"]

GPU_ROWS = 1 << 16
"""Rows that a GPU changes at once: few launches, and what is gathered of a large table stays bounded."""
