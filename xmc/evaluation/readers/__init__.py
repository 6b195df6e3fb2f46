"""Predictions of any system, read block by block: npz, sparse matrices, TREC run files and JSON Lines.

A reader takes a file and a `Target` (the rows and labels of a data set's split) and yields `ListBlock`s: rows
and their ranked labels, by score descending, then label id ascending, whatever order the file is in.
"""

from __future__ import annotations

from xmc.evaluation.readers.blocks import ListBlock, lists_from_pairs
from xmc.evaluation.readers.formats import FORMATS, detect_format, read_predictions
from xmc.evaluation.readers.target import Target

__all__ = [
    "FORMATS",
    "ListBlock",
    "Target",
    "detect_format",
    "lists_from_pairs",
    "read_predictions",
]
