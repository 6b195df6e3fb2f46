"""What objectives know of the scores of a row, merged over tiles and ranks: one statistic per file."""

from __future__ import annotations
