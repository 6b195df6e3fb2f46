"""Adapters of low rank in place of a transformer's weights: what a configuration says of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xmc.errors import ConfigError

__all__ = ["LoraConfig"]


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters (Hu et al. 2022, "LoRA", section 4.1): W stays, and W + alpha / rank B A is used.

    Raises:
        ConfigError: When a value is out of its range.
    """

    rank: int = 0
    """Rows of A and columns of B; 0 for no adapters, so that all weights are trained."""

    alpha: float = 16.0
    """What B A is multiplied by, times 1 / rank."""

    dropout: float = 0.0
    """Share of a layer's inputs that its adapter does not see, drawn anew at each pass in training."""

    target_modules: list[str] | None = None
    """Linear layers that get an adapter, by their names or the ends of these, as [query, value]; null: all
    of the transformer but its pooler, which no embedding goes through."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, numbers out of range and an empty list of layers."""
        if self.rank < 0:
            raise ConfigError(f"lora.rank: expected 0 (no adapters) or more, got {self.rank}")
        if not (self.alpha > 0 and math.isfinite(self.alpha)):
            raise ConfigError(f"lora.alpha: expected a number above 0, got {self.alpha}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"lora.dropout: expected at least 0 and below 1, got {self.dropout}")
        targets = self.target_modules
        if targets is not None and (isinstance(targets, str) or not targets):
            raise ConfigError(
                f"lora.target_modules: expected names of layers, as [query, value], or null, got {targets!r}"
            )
