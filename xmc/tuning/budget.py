"""Time that a search may take, over all the sessions it takes it in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

__all__ = ["Budget"]


@dataclass
class Budget:
    """A number of seconds from now on, less what was spent before; infinite seconds never end.

    Attributes:
        seconds: In all.
        spent: By earlier sessions of the same search.
    """

    seconds: float
    spent: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    @property
    def used(self) -> float:
        """Seconds so far, earlier sessions included."""
        return self.spent + time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds; below 0 when it is overdrawn."""
        return self.seconds - self.used
