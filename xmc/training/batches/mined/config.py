"""Options of mined negatives. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xmc.errors import ConfigError
from xmc.training.options import at_least, one_of

__all__ = ["MinedConfig"]


@dataclass(frozen=True)
class MinedConfig:
    """Hard negatives: the labels nearest to each training query that are not its positives."""

    count: int = 0
    """Mined labels that each query brings to its batch; 0 for none."""

    first: int = 0
    """Rank, from 0 and with positives left out, where the window to draw from begins."""

    last: int = 50
    """Rank where the window ends (exclusive): labels to keep a query are last - first."""

    draw: Literal["rank", "score"] = "rank"
    """"rank" draws evenly from the window; "score" in proportion to exp(score * sharpness)."""

    sharpness: float = 20.0
    """Of draw "score": what the inner product is multiplied by."""

    margin: float | None = None
    """Guard against false negatives: leave out labels whose inner product with the query is above that of its
    best-scoring positive minus this margin; null keeps all."""

    every: int = 200
    """Steps between one mining's snapshot of the weights and the next."""

    start: int = 0
    """The step of the first mining; before it a batch brings its positives alone."""

    wait: bool = False
    """Whether training waits for each mining to end. Without it mining runs in the background and the run
    depends on how fast it is; with it the same seed gives the same run."""

    factory: str = "exact"
    """"exact" searches all labels; else a FAISS factory string such as IVF1024,Flat or HNSW32."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, counts out of range and a window of ranks too narrow for ``count``."""
        for name, lowest in (("count", 0), ("first", 0), ("every", 1), ("start", 0)):
            at_least(f"negatives.mined.{name}", getattr(self, name), lowest)
        if self.last < self.first + max(self.count, 1):
            raise ConfigError(
                f"negatives.mined: expected a window of at least count={self.count} ranks, got "
                f"first={self.first} and last={self.last}"
            )
        one_of("negatives.mined.draw", self.draw, ("rank", "score"))
        if not self.sharpness > 0:
            raise ConfigError(f"negatives.mined.sharpness: expected a number above 0, got {self.sharpness}")
