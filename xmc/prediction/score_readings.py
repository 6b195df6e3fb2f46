"""How the scores of each system are read where shares of them are taken: decided once, for all its lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from xmc.errors import DataError
from xmc.retrieval.fusion import Lists, softmax_lists

__all__ = ["Reading", "as_read", "describe_readings", "reading_of"]

Reading = Literal["logits", "amounts"]
"""Logits have the softmax of a list as shares; amounts, none below 0, are divided by a list's sum."""


def reading_of(lists: Lists, *, are_logits: bool = False) -> Reading:
    """Logits where they are known to be, or where a score is below 0; else amounts."""
    ids, scores = lists
    return "logits" if are_logits or bool((scores[ids >= 0] < 0).any()) else "amounts"


def as_read(name: str, lists: Lists, reading: Reading) -> Lists:
    """The lists with scores of at least 0, of which shares can be taken.

    Args:
        name: Of the system, for an error.
        lists: Of it.
        reading: What its scores are.

    Raises:
        DataError: When amounts are below 0.
    """
    ids, scores = lists
    if reading == "logits":
        return ids, softmax_lists(ids, scores)
    below = (ids >= 0) & (scores < 0)
    if below.any():
        row, place = np.argwhere(below)[0]
        raise DataError(
            f"{name}: expected scores of at least 0, as in its lists for the held-out rows, to take shares "
            f"of, got {scores[row, place]:g} in row {row}: give scores of one kind in both files, or a "
            "normalisation that takes any (--normalisation min_max)"
        )
    return lists


def describe_readings(names: Sequence[str], readings: Sequence[Reading]) -> str:
    """In a line, how the scores of each system were read."""
    told = {"logits": "as logits (the softmax of a list)", "amounts": "as they are (divided by a list's sum)"}
    parts = [f"{name} {told[reading]}" for name, reading in zip(names, readings, strict=True)]
    return f"scores read: {', '.join(parts)}"
