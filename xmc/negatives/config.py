"""Options of the labels a step scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xmc.errors import ConfigError

__all__ = ["NegativesConfig"]


@dataclass(frozen=True)
class NegativesConfig:
    """Which labels each step scores against its queries."""

    mode: Literal["all", "sampled"] = "all"
    """"all" encodes every label with a gradient each step; "sampled" a uniform draw joined by the
    batch's positives."""

    uniform: int = 4096
    """Labels drawn uniformly without replacement each step, for mode "sampled"."""

    corrected: bool = True
    """Whether each negative is weighed by one over its inclusion probability; turn off only as a control."""

    def __post_init__(self) -> None:
        if self.mode not in ("all", "sampled"):
            raise ConfigError(f"negatives.mode: expected 'all' or 'sampled', got {self.mode!r}")
        if self.mode == "sampled" and self.uniform < 1:
            raise ConfigError(
                f"negatives.uniform: expected at least 1 label, got {self.uniform}; a label that can never "
                "be drawn has no inclusion probability to correct by"
            )
