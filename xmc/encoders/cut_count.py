"""How many texts were longer than a model reads: what was left out is told, once."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from xmc.counted import agreeing, counted

__all__ = ["CutCount"]

_log = logging.getLogger(__name__)
_ONE = {"queries": "query", "labels": "label", "texts": "text"}


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
        """Log a line with the numbers when any was cut; ``name``: they are queries, labels or texts."""
        if self.num_cut:
            _log.warning(
                "%s of %s %s more tokens than the %s the model reads: the rest of them was left out",
                *(f"{self.num_cut:,}", counted(self.num_texts, _ONE[name], name)),
                *(agreeing(self.num_cut, "has", "have"), f"{self.max_length:,}"),
            )
