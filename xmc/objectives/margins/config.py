"""What a recipe says of a margin. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from xmc.errors import ConfigError

__all__ = ["KINDS", "MarginConfig"]

Kind = Literal["none", "cosface", "arcface", "l_softmax"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class MarginConfig:
    """By how much a positive must win: its cosine is made smaller in the loss, of unit-length embeddings."""

    kind: Kind = "none"
    """none is the plain softmax of cosines (NormFace); cosface takes ``size`` from the cosine, arcface adds
    it to the angle, l_softmax multiplies the angle by ``multiple``."""

    size: float = 0.1
    """The margin of cosface (a cosine) and of arcface (radians)."""

    deviation: float = 0.0
    """Standard deviation of a margin drawn anew for each positive of each batch (ElasticFace); 0 is fixed."""

    ranked: bool = False
    """Whether the larger of the drawn margins go to the positives of the smaller cosines (ElasticFace+)."""

    multiple: int = 2
    """What l_softmax multiplies the angle by."""

    plain_start: float = 1000.0
    """l_softmax begins with the plain cosine weighed by this against 1 of its own; 0, with ``plain_least`` 0,
    begins without."""

    plain_decay: float = 0.01
    """The plain cosine's weight after t batches is ``plain_start / (1 + plain_decay t)^plain_power``, ..."""

    plain_power: float = 2.0
    """... but no less than ``plain_least``."""

    plain_least: float = 5.0
    """What stays of the plain cosine: 0 for easy data, 5 to 10 for hard."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, an unknown kind and numbers out of range."""
        if self.kind not in KINDS:
            raise ConfigError(f"objective.margin.kind: expected one of {', '.join(KINDS)}, got {self.kind!r}")
        most = math.pi / 2 if self.kind == "arcface" else 2.0
        if not 0 <= self.size <= most:
            raise ConfigError(f"objective.margin.size: expected 0 to {most:.4g}, got {self.size}")
        if not self.multiple >= 1:
            raise ConfigError(f"objective.margin.multiple: expected 1 or more, got {self.multiple}")
        for name in ("deviation", "plain_start", "plain_decay", "plain_power", "plain_least"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"objective.margin.{name}: expected 0 or more, got {getattr(self, name)}")
        if self.deviation and self.kind not in ("cosface", "arcface"):
            raise ConfigError("objective.margin.deviation: expected 0 but for cosface and arcface")
        if self.ranked and not self.deviation:
            raise ConfigError("objective.margin.ranked: expected a deviation above 0, whose draws are ranked")
