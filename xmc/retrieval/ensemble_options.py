"""What ranks beside a model's own scores, in numbers; an index keeps them in its manifest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmc.errors import ConfigError

__all__ = ["EnsembleOptions", "VoteOptions"]


@dataclass(frozen=True)
class VoteOptions:
    """How much training queries say, and how quickly less similar ones say less."""

    weight: float
    """Of the votes, 0 to 1; the labels' own scores have the rest."""
    temperature: float
    """Of both softmaxes, over inner products of normalised embeddings."""

    def __post_init__(self) -> None:
        """Check both."""
        if not 0 <= self.weight <= 1:
            raise ConfigError(f"vote: expected a weight of 0 to 1, got {self.weight}")
        if not 0 < self.temperature < np.inf:
            raise ConfigError(f"vote: expected a temperature above 0, got {self.temperature}")


@dataclass(frozen=True)
class EnsembleOptions:
    """How a model's ranking is changed; by default not at all."""

    vote: VoteOptions | None = None
    lexical: float = 0.0
    """Share of the lexical ranker, whose scores and the others' are moved to 0 to 1 in each list first."""
    classifiers: float = 0.0
    """Share of the classifiers of words in the order of the labels that the model has found; likewise."""

    def __post_init__(self) -> None:
        """Check the shares."""
        for name, share in (("lexical", self.lexical), ("classifiers", self.classifiers)):
            if not 0 <= share < 1:
                raise ConfigError(f"{name}: expected a share of at least 0 and below 1, got {share}")

    def __bool__(self) -> bool:
        """Whether anything is changed."""
        return self.vote is not None or self.lexical > 0 or self.classifiers > 0

    def __str__(self) -> str:
        """For a line of output."""
        parts = []
        if self.vote is not None:
            parts.append(
                f"vote of training queries {self.vote.weight:g}, temperature {self.vote.temperature:g}"
            )
        if self.lexical:
            parts.append(f"lexical {self.lexical:g}")
        if self.classifiers:
            parts.append(f"classifiers of words {self.classifiers:g}")
        return "; ".join(parts) or "none"
