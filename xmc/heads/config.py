"""Options of an output layer in a recipe. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xmc.errors import ConfigError

__all__ = ["HeadConfig"]


@dataclass(frozen=True)
class HeadConfig:
    """Label vectors trained themselves, in place of encoded label texts; for the spherical losses."""

    kind: Literal["none", "factored"] = "none"
    """"factored" trains a vector for every label, all at every step, at a cost without their number."""

    learning_rate: float = 10.0
    """Peak rate of the head's SGD on the mean loss of a batch; well above an encoder's, as a label's share of
    that mean is small."""

    weight_decay: float = 0.0
    """Of every label vector at every step, times the rate."""

    start: Literal["labels", "zeros"] = "labels"
    """Where the vectors start: the label texts as the untrained encoder embeds them, or zero."""

    table: Literal["fp32", "fp16"] = "fp32"
    """How the model folder keeps the vectors."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, unknown choices and rates that are not above 0."""
        choices = {"kind": ("none", "factored"), "start": ("labels", "zeros"), "table": ("fp32", "fp16")}
        for name, valid in choices.items():
            if getattr(self, name) not in valid:
                raise ConfigError(
                    f"head.{name}: expected one of {', '.join(valid)}, got {getattr(self, name)!r}"
                )
        if not self.learning_rate > 0:
            raise ConfigError(f"head.learning_rate: expected a number above 0, got {self.learning_rate}")
        if not 0 <= self.weight_decay * self.learning_rate < 1:
            raise ConfigError(
                "head.weight_decay: expected 0 or more, and below one over head.learning_rate, got "
                f"{self.weight_decay}"
            )
