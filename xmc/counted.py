"""Numbers of things, as lines of output and messages say them: ``1 label``, ``2 labels``."""

from __future__ import annotations

__all__ = ["agreeing", "counted"]


def counted(count: int, one: str, many: str = "") -> str:
    """A number and its noun, such as ``1 label``, ``1,000 labels``, ``0 queries``.

    Args:
        count: How many.
        one: The noun in the singular.
        many: In the plural; with an s more when not given.
    """
    return f"{count:,} {agreeing(count, one, many or f'{one}s')}"


def agreeing(count: int, one: str, many: str) -> str:
    """The word that goes with a number: ``has`` with 1, ``have`` with any other."""
    return one if count == 1 else many
