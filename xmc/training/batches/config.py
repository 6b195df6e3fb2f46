"""Options of the labels a step scores, composed of those of each source. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from xmc.errors import ConfigError
from xmc.training.batches.clusters.config import ClustersConfig
from xmc.training.batches.memory.config import MemoryConfig
from xmc.training.batches.mined.config import MinedConfig
from xmc.training.batches.pools.config import TemperedConfig
from xmc.training.options import at_least, one_of
from xmc.training.parts import PartConfig, as_parts

__all__ = ["NegativesConfig"]


@dataclass(frozen=True)
class NegativesConfig:
    """Which labels each step scores against its queries."""

    mode: Literal["all", "sampled"] = "all"
    """"all" encodes every label with a gradient each step; "sampled" a uniform draw joined by the batch's
    positives and by what the sections below add."""

    uniform: int = 4096
    """Labels drawn uniformly without replacement each step, for mode "sampled"."""

    strata: int = 1
    """Equal shards of the labels of which the uniform draw takes equal shares; 1 for one draw from all."""

    positives: int | None = None
    """Positives of each query that a step scores, drawn anew each time and weighed by one over their
    inclusion probability, for mode "sampled"; null for all."""

    filter_pairs: Literal["mask", "negative"] = "mask"
    """What a pair of the data set's filter is in training: "mask", neither positive nor negative, as
    evaluation leaves it out of rankings; or "negative", scored like any other label."""

    corrected: bool = True
    """Whether each negative is weighed by one over its inclusion probability; turn off only as a control."""

    sources: list[str | PartConfig] = field(default_factory=list)
    """Label sources of your own, each ./file.py:name or package.module:name, or {name, options}."""

    tempered: TemperedConfig = field(default_factory=TemperedConfig)
    mined: MinedConfig = field(default_factory=MinedConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    clusters: ClustersConfig = field(default_factory=ClustersConfig)

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, a draw that cannot be made and sources beside mode 'all'."""
        object.__setattr__(self, "sources", as_parts("negatives.sources", self.sources))
        one_of("negatives.mode", self.mode, ("all", "sampled"))
        one_of("negatives.filter_pairs", self.filter_pairs, ("mask", "negative"))
        at_least("negatives.strata", self.strata, 1)
        if self.positives is not None:
            at_least("negatives.positives", self.positives, 1)
            if self.clusters.largest > 1:
                raise ConfigError(
                    "negatives.positives: expected null with negatives.clusters, as the positives of a row's "
                    f"neighbours are certain for it, and drawn ones are not, got {self.positives}"
                )
        if self.mode == "all":
            self._refuse_samplers()
            return
        if self.uniform < 1:
            raise ConfigError(
                f"negatives.uniform: expected at least 1 label, got {self.uniform}; a label that can never "
                "be drawn has no inclusion probability to correct by"
            )
        if self.strata > self.uniform:
            raise ConfigError(
                f"negatives.strata: expected at most negatives.uniform = {self.uniform} shards, so that each "
                f"has a label drawn, got {self.strata}"
            )

    def _refuse_samplers(self) -> None:
        asked = {
            "positives": self.positives is not None,
            "tempered.count": self.tempered.count > 0,
            "mined.count": self.mined.count > 0,
            "memory.enabled": self.memory.enabled,
            "clusters.largest": self.clusters.largest > 1,
            "strata": self.strata > 1,
        }
        for name, is_asked in asked.items():
            if is_asked:
                raise ConfigError(
                    f"negatives.{name}: expected negatives.mode 'sampled', got 'all', which scores every "
                    "label each step and has no use for it"
                )
