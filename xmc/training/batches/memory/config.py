"""Options of the label memory. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xmc.training.options import at_least, one_of

__all__ = ["MemoryConfig"]


@dataclass(frozen=True)
class MemoryConfig:
    """An embedding of every label, kept from earlier steps, for the labels a step's pool leaves out."""

    enabled: bool = False
    """Whether the labels outside the pool join the partition function from memory, without a gradient; of a
    spherical loss the moments."""

    dtype: Literal["float16", "bfloat16", "float32"] = "float16"
    """How embeddings are kept."""

    storage: Literal["device", "disk"] = "device"
    """"device" keeps them where the model is; "disk" in a memory-mapped file in the run's folder."""

    refresh: int = 4096
    """Labels encoded anew each step, in turn and over all ranks, besides those of the pool; by default all
    where there are fewer."""

    sample: int | None = None
    """Labels of the memory that a step scores, drawn evenly and weighted; null for all of them."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, unknown choices and counts out of range."""
        one_of("negatives.memory.dtype", self.dtype, ("float16", "bfloat16", "float32"))
        one_of("negatives.memory.storage", self.storage, ("device", "disk"))
        at_least("negatives.memory.refresh", self.refresh, 0)
        if self.sample is not None:
            at_least("negatives.memory.sample", self.sample, 1)
