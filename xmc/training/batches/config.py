"""Options of the labels a step scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from xmc.errors import ConfigError

__all__ = ["ClustersConfig", "MemoryConfig", "MinedConfig", "NegativesConfig", "TemperedConfig"]


@dataclass(frozen=True)
class TemperedConfig:
    """Labels drawn by their training frequency, tempered."""

    count: int = 0
    """Labels drawn a step, on average (Poisson sampling); 0 for none."""

    alpha: float = 0.5
    """A label's chance goes with its number of training rows to this power: 1 is the frequency itself, 0
    uniform."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, a negative count and a power outside [0, 1]."""
        _at_least("tempered.count", self.count, 0)
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"negatives.tempered.alpha: expected a power in [0, 1], got {self.alpha}")


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
    """Guard against false negatives: leave out labels whose inner product with the query is above that of
    its best-scoring positive minus this margin; null keeps all."""

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
            _at_least(f"mined.{name}", getattr(self, name), lowest)
        if self.last < self.first + max(self.count, 1):
            raise ConfigError(
                f"negatives.mined: expected a window of at least count={self.count} ranks, got "
                f"first={self.first} and last={self.last}"
            )
        _one_of("mined.draw", self.draw, ("rank", "score"))
        if not self.sharpness > 0:
            raise ConfigError(f"negatives.mined.sharpness: expected a number above 0, got {self.sharpness}")


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
    """Labels encoded anew each step, in turn and over all ranks, besides those of the pool."""

    sample: int | None = None
    """Labels of the memory that a step scores, drawn evenly and weighted; null for all of them."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, unknown choices and counts out of range."""
        _one_of("memory.dtype", self.dtype, ("float16", "bfloat16", "float32"))
        _one_of("memory.storage", self.storage, ("device", "disk"))
        _at_least("memory.refresh", self.refresh, 0)
        if self.sample is not None:
            _at_least("memory.sample", self.sample, 1)


@dataclass(frozen=True)
class ClustersConfig:
    """Batches of neighbouring queries, so that one's positives are hard negatives of the next."""

    largest: int = 1
    """Neighbouring queries that share a batch in the end; it divides training.batch_size. 1 for batches at
    random."""

    first: int = 2
    """Neighbours that share a batch at first; doubled up to the largest."""

    start_epoch: int = 1
    """Whole epochs of batches at random before the first clustering."""

    double_every: int = 1
    """Epochs between doublings."""

    refresh_every: int = 1
    """Epochs between clusterings of the current embeddings."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, counts out of range and blocks that cannot grow."""
        for name, lowest in (("largest", 1), ("double_every", 1), ("refresh_every", 1), ("start_epoch", 0)):
            _at_least(f"clusters.{name}", getattr(self, name), lowest)
        if self.largest > 1:
            _at_least("clusters.first", self.first, 2)
            ratio = self.largest / self.first
            if ratio < 1 or ratio != 2 ** (int(ratio).bit_length() - 1):
                raise ConfigError(
                    "negatives.clusters.largest: expected first doubled some times over "
                    f"({self.first}, {2 * self.first}, {4 * self.first}, ...), got {self.largest}"
                )


@dataclass(frozen=True)
class NegativesConfig:
    """Which labels each step scores against its queries."""

    mode: Literal["all", "sampled"] = "all"
    """"all" encodes every label with a gradient each step; "sampled" a uniform draw joined by the
    batch's positives and by what the sections below add."""

    uniform: int = 4096
    """Labels drawn uniformly without replacement each step, for mode "sampled"."""

    strata: int = 1
    """Equal shards of the labels of which the uniform draw takes equal shares; 1 for one draw from all."""

    corrected: bool = True
    """Whether each negative is weighed by one over its inclusion probability; turn off only as a control."""

    tempered: TemperedConfig = field(default_factory=TemperedConfig)
    mined: MinedConfig = field(default_factory=MinedConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    clusters: ClustersConfig = field(default_factory=ClustersConfig)

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, unknown choices and samplers that ``mode: all`` has no use for."""
        _one_of("mode", self.mode, ("all", "sampled"))
        _at_least("strata", self.strata, 1)
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


def _at_least(name: str, value: float, lowest: int) -> None:
    if value < lowest or value != int(value):
        raise ConfigError(f"negatives.{name}: expected a whole number of at least {lowest}, got {value}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        listed = " or ".join(repr(choice) for choice in choices)
        raise ConfigError(f"negatives.{name}: expected {listed}, got {value!r}")
