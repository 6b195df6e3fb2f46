"""What a training run is told: one frozen dataclass a section, checked where it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from xmc.encoders.config import EncoderConfig
from xmc.errors import ConfigError
from xmc.heads.config import HeadConfig
from xmc.training.batches import NegativesConfig
from xmc.training.batches.checks import check_sources
from xmc.training.learned.config import OptimisationConfig, ResidualConfig
from xmc.training.options import one_of, positive
from xmc.training.run.config import RunOptions, ValidationConfig

__all__ = [
    "DataConfig",
    "ObjectiveConfig",
    "OptimisationConfig",
    "ResidualConfig",
    "RunOptions",
    "ScoringConfig",
    "TrainConfig",
    "ValidationConfig",
]

# The names in xmc.objectives and xmc.scoring, which would load torch.
ObjectiveName = Literal[
    "softmax",
    "decoupled_softmax",
    "supervised_contrastive",
    "binary_cross_entropy",
    "soft_top_k",
    "spherical_z_loss",
    "taylor_softmax",
    "spherical_softmax",
    "mean_squared_error",
]
OBJECTIVES: tuple[str, ...] = get_args(ObjectiveName)
IMPLEMENTATIONS = ("auto", "dense", "tiled", "triton")


@dataclass(frozen=True)
class DataConfig:
    """Which data set to train on, and which of its text fields to read."""

    path: str
    """Folder of a prepared data set (xmc data import, xmc data build)."""

    query_fields: list[str] | None = None
    """Fields that make a query's text, of title and content; the data set's own choice when null."""

    label_fields: list[str] | None = None
    """Fields that make a label's text; the data set's own choice when null."""

    label_queries: float = 0.0
    """Labels that join each batch as queries for themselves, as a share of the batch; 0 for none."""

    def __post_init__(self) -> None:
        for name in ("query_fields", "label_fields"):
            fields = getattr(self, name)
            if fields is not None and (not fields or set(fields) - {"title", "content"}):
                raise ConfigError(f"data.{name}: expected some of title, content, got {fields}")
        if self.label_queries < 0:
            raise ConfigError(f"data.label_queries: expected a share of the batch, got {self.label_queries}")

    def num_label_queries(self, batch_size: int) -> int:
        """Labels that join a batch of that many queries as queries for themselves."""
        return round(self.label_queries * batch_size)


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is optimised."""

    name: ObjectiveName = "decoupled_softmax"
    """The objective, a function of xmc.objectives."""

    options: dict[str, Any] = field(default_factory=dict)
    """The objective's own keywords, such as {k: 5, alpha: 2.0} for soft_top_k."""

    scale: float = 20.0
    """One over the temperature; use 1 with raw inner products."""

    learn_scale: bool = False
    """Whether the scale is trained too."""

    label_offsets: bool = False
    """Whether each label learns an offset that is added to its scores."""

    def __post_init__(self) -> None:
        one_of("objective.name", self.name, OBJECTIVES)
        positive("objective.scale", self.scale)


@dataclass(frozen=True)
class ScoringConfig:
    """How scores are computed."""

    implementation: Literal["auto", "dense", "tiled", "triton"] = "auto"
    """"tiled" never holds all scores of a step, "triton" (a GPU) none; "dense" is the oracle of the tests."""

    memory_mb: int = 256
    """Megabytes that score tiles may take on each rank."""

    def __post_init__(self) -> None:
        one_of("scoring.implementation", self.implementation, IMPLEMENTATIONS)
        positive("scoring.memory_mb", self.memory_mb)


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run is told."""

    data: DataConfig
    run: RunOptions
    seed: int = 0
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    training: OptimisationConfig = field(default_factory=OptimisationConfig)
    residuals: ResidualConfig = field(default_factory=ResidualConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        head = self.head.kind != "none"
        objective = self.objective
        check_sources(
            self.negatives,
            objective.name,
            self.training.batch_size,
            head,
            label_offsets=objective.label_offsets,
            implementation=self.scoring.implementation,
        )
