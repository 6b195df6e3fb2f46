"""How query-label scores are walked: dense or in tiles, on one rank or on shards, for any objective."""

from __future__ import annotations

from xmc.scoring.positives import Positives, as_positives
from xmc.scoring.reduction import IMPLEMENTATIONS, LabelShard, reduce_scores
from xmc.scoring.statistic import RowStatistic, Tile

__all__ = [
    "IMPLEMENTATIONS",
    "LabelShard",
    "Positives",
    "RowStatistic",
    "Tile",
    "as_positives",
    "reduce_scores",
]
