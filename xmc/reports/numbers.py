"""How reports write numbers."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["number", "p_value", "signed", "span"]


def number(value: float | None, digits: int = 2) -> str:
    """``63.66``; a dash for what is not known."""
    return "–" if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 2) -> str:
    """``+1.20`` or ``−1.20``, with a minus sign as wide as the plus."""
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def span(interval: Mapping[str, float | None], digits: int = 2, with_sign: bool = False) -> str:
    """``[63.66, 65.77]``, from ``low`` and ``high``."""
    shown = signed if with_sign else number
    return f"[{shown(interval['low'], digits)}, {shown(interval['high'], digits)}]"


def p_value(value: float | None) -> str:
    """``0.031``, ``< 0.001`` below that, and a dash for what is not known."""
    return "< 0.001" if value is not None and value < 0.001 else number(value, 3)
