"""How many texts were longer than a model reads: what was left out is told, once."""

from __future__ import annotations

import logging
from dataclasses import dataclass

__all__ = ["CutCount"]

_log = logging.getLogger(__name__)


@dataclass
class CutCount:
    """How many texts were cut to the length their tower reads; encoding adds to it."""

    num_cut: int = 0
    num_texts: int = 0
    max_length: int | None = None

    def add(self, num_cut: int, num_texts: int, max_length: int | None) -> None:
        """Count ``num_cut`` of ``num_texts`` more."""
        self.num_cut += num_cut
        self.num_texts += num_texts
        self.max_length = max_length

    def warn(self, name: str) -> None:
        """Log a line with the numbers when any was cut; ``name`` is what the texts are called."""
        if self.num_cut:
            _log.warning(
                "%s of %s %s have more tokens than the %s the model reads: the rest of them was left out",
                *(f"{self.num_cut:,}", f"{self.num_texts:,}", name, f"{self.max_length:,}"),
            )
