"""What a training run is told: one frozen dataclass a section, checked where it is made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from xmc.encoders.config import EncoderConfig
from xmc.errors import ConfigError
from xmc.heads.config import HeadConfig
from xmc.objectives.catalogue import SCALE_LEARNING_RATE, ObjectiveFacts, facts_of
from xmc.plugins import is_reference
from xmc.training.batches import NegativesConfig
from xmc.training.batches.checks import check_sources

__all__ = [
    "DataConfig",
    "ObjectiveConfig",
    "OptimisationConfig",
    "ResidualConfig",
    "RunOptions",
    "ScoringConfig",
    "TermConfig",
    "TrainConfig",
    "ValidationConfig",
    "check_objective",
    "with_scale_rate",
]

# The names in xmc.scoring, which would load torch.
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
        """Refuse, with a ConfigError, fields that no data set has."""
        for name in ("query_fields", "label_fields"):
            fields = getattr(self, name)
            if fields is not None and (not fields or set(fields) - {"title", "content"}):
                raise ConfigError(f"data.{name}: expected some of title, content, got {fields}")
        if self.label_queries < 0:
            raise ConfigError(f"data.label_queries: expected a share of the batch, got {self.label_queries}")


@dataclass(frozen=True)
class TermConfig:
    """A further loss that is added to the objective."""

    name: str
    """As objective.name."""

    weight: float = 1.0
    """What it is multiplied by."""

    options: dict[str, Any] = field(default_factory=dict)
    """As objective.options."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, an unknown objective."""
        check_objective_name("objective.terms", self.name)


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is optimised."""

    name: str = "decoupled_softmax"
    """The objective: a name of docs/objectives.md, or your own as package.module:name or ./file.py:name."""

    options: dict[str, Any] = field(default_factory=dict)
    """The objective's own keywords, such as {k: 5, alpha: 2.0} for soft_top_k."""

    scale: float = 20.0
    """One over the temperature; use 1 with raw inner products."""

    learn_scale: bool = False
    """Whether the scale is trained too."""

    label_offsets: bool = False
    """Whether each label learns an offset that is added to its scores."""

    terms: list[TermConfig] = field(default_factory=list)
    """Losses added to this one, each {name, weight, options}; terms on one statistic share its cost."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, an unknown objective and a scale that is not above 0."""
        check_objective_name("objective.name", self.name)
        _positive("objective.scale", self.scale)


@dataclass(frozen=True)
class ResidualConfig:
    """A free vector a label, added to its encoded text; for labels that their texts say too little of."""

    enabled: bool = False
    """Whether residuals are learned."""

    learning_rate: float = 0.1
    """Length of the first step of a residual, at the peak of the schedule; later ones shrink (Adagrad)."""

    dropout: float = 0.5
    """Share of a step's labels that are scored by their text alone, so that labels without a residual stay
    usable."""

    clusters: int | None = None
    """This many k-means clusters of labels, by their first embeddings, share residuals; null: one a label."""

    min_points: int = 1
    """Training rows a label must have for a residual; rarer labels are known by their text alone, as
    their few rows would be learned by heart."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, values out of range and options that do not go together."""
        _positive("residuals.learning_rate", self.learning_rate)
        _positive("residuals.min_points", self.min_points)
        if self.clusters is not None and self.min_points > 1:
            raise ConfigError(
                f"residuals.min_points: expected 1 with residuals.clusters (shared rows), got "
                f"{self.min_points}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"residuals.dropout: expected a share in [0, 1), got {self.dropout}")
        if self.clusters is not None:
            _positive("residuals.clusters", self.clusters)


@dataclass(frozen=True)
class ScoringConfig:
    """How scores are computed."""

    implementation: Literal["auto", "dense", "tiled", "triton"] = "auto"
    """"tiled" never holds all scores of a step, "triton" (a GPU) none; "dense" is the oracle of the tests."""

    memory_mb: int = 256
    """Megabytes that score tiles may take on each rank."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, an unknown implementation and a budget that is not above 0."""
        _one_of("scoring.implementation", self.implementation, IMPLEMENTATIONS)
        _positive("scoring.memory_mb", self.memory_mb)


@dataclass(frozen=True)
class OptimisationConfig:
    """AdamW with warm-up and linear decay to zero."""

    epochs: float = 5.0
    """Passes over the training rows; may be a fraction."""

    batch_size: int = 512
    """Queries a scored batch, over all ranks."""

    accumulation: int = 1
    """Scored batches an optimiser step."""

    micro_batch_tokens: int | None = None
    """Tokens encoded at once on each rank; more than that are encoded twice through the gradient cache.
    The encoder's own choice when null."""

    learning_rate: float = 3e-4
    """Peak rate of the encoder."""

    offset_learning_rate: float = 3e-2
    """Peak rate of the label offsets, in units of a score."""

    scale_learning_rate: float | None = None
    """Peak rate of the log scale; the objective's own when null."""

    weight_decay: float = 0.0
    """Decoupled weight decay of the encoder's matrices."""

    warmup: float = 0.1
    """Share of the steps over which the rates rise from zero."""

    clip_norm: float | None = 1.0
    """Largest norm of the encoder's gradient; null for no clipping."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of the encoders' forward passes; auto is bf16 on a GPU that has it and fp32 elsewhere."""

    checkpoint_every: int = 0
    """Steps between checkpoints to resume from; 0 for none but the one at the end of an interrupted run."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, values out of range."""
        for name in ("epochs", "batch_size", "accumulation", "learning_rate"):
            _positive(f"training.{name}", getattr(self, name))
        if self.micro_batch_tokens is not None:
            _positive("training.micro_batch_tokens", self.micro_batch_tokens)
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"training.warmup: expected a share of the steps in [0, 1), got {self.warmup}")
        if self.clip_norm is not None:
            _positive("training.clip_norm", self.clip_norm)
        _one_of("training.precision", self.precision, ("auto", "fp32", "bf16"))


@dataclass(frozen=True)
class ValidationConfig:
    """Validation on rows held out of the training rows, never on the test set."""

    rows: int = 1000
    """Training rows held out; 0 for no validation, and then the last model is the best."""

    every: int = 200
    """Optimiser steps between validations; the start and the last step are validated too."""

    metric: Literal["P@1", "P@3", "P@5", "nDCG@5", "PSP@1", "PSP@5", "R@10", "R@100"] = "nDCG@5"
    """The metric that decides which model is the best."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, counts out of range."""
        if self.rows < 0:
            raise ConfigError(f"validation.rows: expected 0 or more, got {self.rows}")
        _positive("validation.every", self.every)

    def due(self, step: int, num_steps: int) -> bool:
        """Whether the model is validated after ``step`` of ``num_steps``."""
        return self.rows > 0 and (step % self.every == 0 or step == num_steps)

    def num_due(self, step: int, num_steps: int) -> int:
        """Validations after ``step``."""
        return sum(self.due(later, num_steps) for later in range(step + 1, num_steps + 1))


@dataclass(frozen=True)
class RunOptions:
    """Where the run's files go."""

    dir: str
    """The run's folder; made anew."""

    resume: bool = False
    """Go on from the latest checkpoint in the folder."""

    overwrite: bool = False
    """Remove an earlier run that is in the way."""

    log_every: int = 10
    """Optimiser steps between lines of metrics.jsonl."""

    trackers: list[str] = field(default_factory=lambda: ["tensorboard"])
    """Where metrics go besides metrics.jsonl: any tracker of Accelerate by name, such as tensorboard or
    wandb."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, a period below one step, and resuming what is to be overwritten."""
        _positive("run.log_every", self.log_every)
        if self.resume and self.overwrite:
            raise ConfigError(
                "expected run.resume or run.overwrite, got both: resume keeps what overwrite removes"
            )


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
        """Refuse, with a ConfigError, sections that do not go together."""
        # What an objective of your own takes is known when it is loaded; the trainer checks it then.
        if not is_reference(self.objective.name):
            check_objective(self, facts_of(self.objective.name))


def check_objective(config: TrainConfig, objective: ObjectiveFacts) -> None:
    """Refuse sections that do not go with the objective.

    Raises:
        ConfigError: Naming the option and what would work.
    """
    check_sources(
        config.negatives,
        objective,
        config.training.batch_size,
        config.head.kind != "none",
        label_offsets=config.objective.label_offsets,
        implementation=config.scoring.implementation,
    )
    unscaled = objective.scale_learning_rate == 0 and config.training.scale_learning_rate is None
    if config.objective.learn_scale and unscaled and not config.objective.label_offsets:
        raise ConfigError(
            f"objective.learn_scale: expected false with {objective.name}, which does not depend on the "
            "scale of scores without offsets, got true"
        )


def with_scale_rate(config: TrainConfig, objective: ObjectiveFacts) -> TrainConfig:
    """The configuration with the rate of its scale: the objective's own where none is given.

    With offsets every loss depends on the scale, also one that says it does not.
    """
    if config.training.scale_learning_rate is not None:
        return config
    rate = objective.scale_learning_rate or SCALE_LEARNING_RATE
    return replace(config, training=replace(config.training, scale_learning_rate=rate))


def check_objective_name(option: str, name: str) -> None:
    """Refuse a name that is neither in the catalogue nor a reference to code.

    Raises:
        ConfigError: Naming the option and the nearest name.
    """
    if is_reference(name):
        return
    try:
        facts_of(name)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from None


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ConfigError(f"{name}: expected a number above 0, got {value}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
