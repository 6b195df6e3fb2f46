"""A text to find labels for, and its name."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Query"]


class Query(NamedTuple):
    """A text to find labels for."""

    uid: str
    """The file's own, from its column uid; else the number of the query, from 1."""
    text: str
