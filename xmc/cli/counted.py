"""Numbers of things, as lines of output say them."""

from __future__ import annotations

__all__ = ["labels"]


def labels(count: int) -> str:
    """``1 label``, ``2 labels``."""
    return f"{count:,} label{'' if count == 1 else 's'}"
