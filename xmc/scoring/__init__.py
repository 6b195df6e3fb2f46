"""How query-label scores are walked: dense or in tiles, on one rank or on shards, for any objective."""

from __future__ import annotations

from xmc.scoring.inputs import (
    DEFAULT_MEMORY_BYTES,
    ExtraNegatives,
    FrozenLabels,
    LabelShard,
    RowsApart,
    ScoreInputs,
    ScoringOptions,
    default_memory_bytes,
)
from xmc.scoring.positives import Positives, as_positives
from xmc.scoring.reduction import IMPLEMENTATIONS, reduce_scores
from xmc.scoring.statistic import RowStatistic, Tile

__all__ = [
    "DEFAULT_MEMORY_BYTES",
    "IMPLEMENTATIONS",
    "ExtraNegatives",
    "FrozenLabels",
    "LabelShard",
    "Positives",
    "RowsApart",
    "RowStatistic",
    "ScoreInputs",
    "ScoringOptions",
    "Tile",
    "as_positives",
    "default_memory_bytes",
    "reduce_scores",
]
