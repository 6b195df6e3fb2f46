"""Options of draws of labels by their frequency. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from xmc.errors import ConfigError
from xmc.training.options import at_least

__all__ = ["TemperedConfig"]


@dataclass(frozen=True)
class TemperedConfig:
    """Labels drawn by their training frequency, tempered."""

    count: int = 0
    """Labels drawn per step, on average (Poisson sampling); 0 for none."""

    alpha: float = 0.5
    """A label's chance goes with its number of training rows to this power: 0 is uniform, 1 the frequency."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, a negative count and a power outside [0, 1]."""
        at_least("negatives.tempered.count", self.count, 0)
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"negatives.tempered.alpha: expected a power in [0, 1], got {self.alpha}")
