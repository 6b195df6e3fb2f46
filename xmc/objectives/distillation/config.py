"""Options of distillation. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xmc.errors import ConfigError

__all__ = ["DistillationConfig"]

DISCRIMINATORS = ("reversal", "reference", "none")


@dataclass(frozen=True)
class DistillationConfig:
    """Learning from the probabilities that teachers give; see docs/methods/distillation.md."""

    teachers: str | None = None
    """A file of teachers' probabilities for the training queries (xmc distill); null for no distillation."""

    weight: float = 1.0
    """What the cross-entropy to the teachers' probabilities is multiplied by."""

    hard_weight: float = 0.0
    """What the objective itself, which knows the labels of the data set, is multiplied by; 0: left out."""

    discriminator: Literal["reversal", "reference", "none"] = "reversal"
    """What tells the student's outputs from the teachers': "reversal" trains the student to be taken for a
    teacher, "reference" is the published code, whose student helps the discriminator; or "none"."""

    discriminator_weight: float = 0.1
    """What the student gets of the discriminator's gradient, reversed or not, once it is warmed up."""

    discriminator_warmup: int = 100
    """Batches over which that share rises from 0."""

    discriminator_width: int = 16
    """Candidates of a query that the discriminator sees: those that the teachers rank highest."""

    discriminator_rate: float = 1e-4
    """Peak rate of the discriminator's own AdamW."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, weights that leave nothing to learn and numbers out of range."""
        if self.discriminator not in DISCRIMINATORS:
            raise ConfigError(
                f"distillation.discriminator: expected one of {', '.join(DISCRIMINATORS)}, got "
                f"{self.discriminator!r}"
            )
        for name in ("weight", "discriminator_rate", "discriminator_width"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"distillation.{name}: expected a number above 0, got {getattr(self, name)}"
                )
        for name in ("hard_weight", "discriminator_weight", "discriminator_warmup"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"distillation.{name}: expected 0 or more, got {getattr(self, name)}")

    @property
    def enabled(self) -> bool:
        """Whether there are teachers."""
        return self.teachers is not None

    @property
    def has_discriminator(self) -> bool:
        """Whether a discriminator is trained."""
        return self.enabled and self.discriminator != "none"
