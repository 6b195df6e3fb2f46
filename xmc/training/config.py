"""What a training run is told: one frozen dataclass a section, checked where it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from xmc.data.label_texts import FOLDS, SPLITS_OF_TEXTS
from xmc.encoders.config import EncoderConfig
from xmc.errors import ConfigError
from xmc.heads.config import HeadConfig
from xmc.objectives.catalogue import SCALE_LEARNING_RATE, ObjectiveFacts, facts_of
from xmc.objectives.distillation.config import DistillationConfig
from xmc.objectives.margins.config import MarginConfig
from xmc.plugins import is_reference
from xmc.random_streams import check_seed
from xmc.training.batches.checks import check_sources
from xmc.training.batches.config import NegativesConfig
from xmc.training.learned.config import LEARNING_RATES, OptimisationConfig, ResidualConfig
from xmc.training.options import one_of, positive
from xmc.training.run.config import RunOptions, ValidationConfig

__all__ = [
    "DataConfig",
    "DistillationConfig",
    "ObjectiveConfig",
    "OptimisationConfig",
    "ResidualConfig",
    "RunOptions",
    "ScoringConfig",
    "TermConfig",
    "TrainConfig",
    "ValidationConfig",
    "check_objective",
    "least_share",
    "with_encoder_choices",
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

    label_texts: Literal["joint", "fields", "lines"] = "joint"
    """A label's texts: one of all its fields; a text of each field (title; description); or a text of each
    line of each field, for synonyms and chunks."""

    label_fold: Literal["max", "top2"] = "max"
    """A label's score of its texts' where it has several: the best, or the mean of the two best."""

    label_text_draw: Literal["random", "first"] = "random"
    """Which of several texts of a label a step encodes: one drawn anew, or the first."""

    label_queries: float = 0.0
    """Labels that join each batch as queries for themselves, as a share of the batch; 0 for none."""

    label_query_weight: float = 1.0
    """What the loss of such a query counts for beside that of a training query, which counts 1."""

    label_query_until: float = 1.0
    """The share of the run's batches, from the first on, that labels join; the rest is training rows."""

    co_labels: float | None = None
    """The least share of a label's training rows that another label needs to be a soft target of the label's
    own query, weighed by that share; null: the label is the only target."""

    co_label_prior: float = 0.0
    """Rows without any other label that each label is taken to have besides its own, as of few rows a share
    says little: with 5, and shares of 0.3, soft targets need three rows of a label or more."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, unknown fields and a negative share."""
        for name in ("query_fields", "label_fields"):
            fields = getattr(self, name)
            if fields is not None and (
                isinstance(fields, str) or not fields or set(fields) - {"title", "content"}
            ):
                raise ConfigError(f"data.{name}: expected a list of some of title, content, got {fields!r}")
        one_of("data.label_texts", self.label_texts, SPLITS_OF_TEXTS)
        one_of("data.label_fold", self.label_fold, FOLDS)
        one_of("data.label_text_draw", self.label_text_draw, ("random", "first"))
        if self.label_queries < 0:
            raise ConfigError(f"data.label_queries: expected a share of the batch, got {self.label_queries}")
        positive("data.label_query_weight", self.label_query_weight)
        if not 0 < self.label_query_until <= 1:
            raise ConfigError(
                "data.label_query_until: expected a share of the run above 0 and at most 1, got "
                f"{self.label_query_until}"
            )
        if self.co_labels is not None and not 0 < self.co_labels <= 1:
            raise ConfigError(
                f"data.co_labels: expected a share above 0 and at most 1, or null, got {self.co_labels}"
            )
        if not 0 <= self.co_label_prior < math.inf:
            raise ConfigError(f"data.co_label_prior: expected 0 rows or more, got {self.co_label_prior}")
        if self.co_label_prior and self.label_queries and self.co_labels is None:
            raise ConfigError(
                "data.co_label_prior: expected data.co_labels with it, as it lowers shares, got null: give "
                "data.co_labels 0.3, or leave data.co_label_prior at 0"
            )
        for name, default in (
            ("label_query_weight", 1.0),
            ("label_query_until", 1.0),
            ("co_labels", None),
            ("co_label_prior", 0.0),
        ):
            if not self.label_queries and getattr(self, name) != default:
                raise ConfigError(
                    f"data.{name}: expected data.label_queries above 0 with it, as it says what labels as "
                    f"queries are, got 0: give data.label_queries 0.2, or leave data.{name} at {default}"
                )

    def num_label_queries(self, batch_size: int) -> int:
        """Labels that join a batch of that many queries as queries for themselves."""
        return round(self.label_queries * batch_size)


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
        """Refuse, with a ConfigError, an unknown objective and a weight that is not above 0."""
        check_objective_name("objective.terms", self.name)
        positive(f"objective.terms: weight of {self.name}", self.weight)


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

    margin: MarginConfig = field(default_factory=MarginConfig)
    """A margin on the positives' cosines: {kind: cosface, size: 0.1}."""

    virtual_negative: float | None = None
    """The cosine (of raw vectors, the product) of a negative that every row has besides its own, such as 0.7;
    null for none."""

    terms: list[TermConfig] = field(default_factory=list)
    """Losses added to this one, each {name, weight, options}; terms on one statistic share its cost."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, an unknown objective and a scale that is not above 0."""
        check_objective_name("objective.name", self.name)
        positive("objective.scale", self.scale)


@dataclass(frozen=True)
class ScoringConfig:
    """How scores are computed."""

    implementation: Literal["auto", "dense", "tiled", "triton"] = "auto"
    """"tiled" never holds all scores of a step, "triton" (a GPU) none; "dense" is the oracle of the tests."""

    memory_mb: int | None = None
    """Megabytes that score tiles may take on each rank; None is 256 on a CPU, more on a large GPU."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """What embeddings are multiplied in: "bf16" takes a GPU's matrix units, which add up in float32."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, unknown names and a budget that is not above 0."""
        one_of("scoring.implementation", self.implementation, IMPLEMENTATIONS)
        one_of("scoring.precision", self.precision, ("fp32", "bf16"))
        if self.memory_mb is not None:
            positive("scoring.memory_mb", self.memory_mb)


@dataclass(frozen=True)
class TrainConfig:
    """Everything a run is told."""

    data: DataConfig
    run: RunOptions
    seed: int = 0
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    training: OptimisationConfig = field(default_factory=OptimisationConfig)
    residuals: ResidualConfig = field(default_factory=ResidualConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, a seed out of range and sections that do not go together."""
        check_seed("seed", self.seed)
        if self.training.patience is not None and not self.validation.rows:
            raise ConfigError(
                "training.patience: expected validations to count, got validation.rows 0: hold some rows "
                "out, or leave patience null"
            )
        if self.encoder.frozen_labels and self.head.kind != "none":
            raise ConfigError(
                "encoder.frozen_labels: expected false with a factored head, whose label vectors are trained"
            )
        if self.data.label_query_weight != 1 and self.head.kind != "none":
            raise ConfigError(
                "data.label_query_weight: expected 1 with a factored head, whose rows count alike, got "
                f"{self.data.label_query_weight}"
            )
        size = self.training.batch_size
        if self.data.label_queries and not self.data.num_label_queries(size):
            raise ConfigError(
                f"data.label_queries: expected 0, or a share that gives a query in a batch of "
                f"training.batch_size {size}, got {self.data.label_queries}: give {least_share(size)} or more"
            )
        if self.distillation.enabled:
            _check_distillation(self)
        if self.data.label_texts != "joint" and self.head.kind != "none":
            raise ConfigError(
                "data.label_texts: expected joint with a factored head, which has one vector for each label "
                f"and encodes no text, got {self.data.label_texts}"
            )
        if self.encoder.frozen_labels and self.data.label_texts != "joint":
            raise ConfigError(
                "encoder.frozen_labels: expected false with data.label_texts "
                f"{self.data.label_texts!r}: one vector is kept for each label, not one for each of its texts"
            )
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
    virtual = config.objective.virtual_negative
    if virtual is not None and config.encoder.normalize and not -1 <= virtual <= 1:
        raise ConfigError(
            "objective.virtual_negative: expected a cosine, from -1 to 1, as embeddings have length 1 "
            f"(encoder.normalize true), got {virtual}"
        )
    if config.objective.margin.kind != "none":
        _check_margin(config)
    if config.encoder.dimensions is not None:
        _check_dimensions(config, objective)
    if config.data.label_texts != "joint" and objective.magnitude_about is not None:
        raise ConfigError(
            f"data.label_texts: expected joint with {objective.name}, which ranks by magnitudes, of which "
            f"the best score of several texts says nothing, got {config.data.label_texts}"
        )
    sampled = config.negatives.mode == "sampled" and config.negatives.corrected
    if config.distillation.enabled and config.distillation.hard_weight and sampled:
        if not objective.takes_certain:
            raise ConfigError(
                f"distillation.hard_weight: expected 0 with {config.objective.name}, which cannot weigh the "
                "candidates that teachers bring to a row, or negatives.mode 'all', got "
                f"{config.distillation.hard_weight}"
            )
    unscaled = objective.scale_learning_rate == 0 and config.training.scale_learning_rate is None
    if config.objective.learn_scale and unscaled and not config.objective.label_offsets:
        raise ConfigError(
            f"objective.learn_scale: expected false with {objective.name}, which does not depend on the "
            "scale of scores without offsets, got true"
        )


def least_share(batch_size: int) -> float:
    """A share of a batch that is one of its queries, in as many digits as say it."""
    return float(f"{1 / batch_size:.2g}")


def _check_distillation(config: TrainConfig) -> None:
    if config.head.kind != "none":
        raise ConfigError(
            "distillation.teachers: expected head.kind 'none', as a factored head has a loss of its own, got "
            f"{config.head.kind!r}"
        )
    if config.objective.margin.kind != "none" and not config.distillation.hard_weight:
        raise ConfigError(
            "objective.margin: expected kind none with distillation.hard_weight 0, which leaves it out, "
            f"got {config.objective.margin.kind!r}"
        )
    if config.negatives.positives is not None:
        raise ConfigError(
            "distillation.teachers: expected negatives.positives null, as teachers speak of them all, "
            f"got {config.negatives.positives}"
        )


def _check_dimensions(config: TrainConfig, objective: ObjectiveFacts) -> None:
    if config.head.kind != "none":
        raise ConfigError(
            "encoder.dimensions: expected null with a factored head, whose label vectors are trained as a "
            f"whole by a loss of their own, got {config.encoder.dimensions}"
        )
    if config.negatives.memory.enabled and objective.takes_moments:
        raise ConfigError(
            f"encoder.dimensions: expected null with negatives.memory and {objective.name}, as moments of "
            "whole vectors say nothing of normalised prefixes: leave the memory off, or take another "
            f"objective, got {config.encoder.dimensions}"
        )


def _check_margin(config: TrainConfig) -> None:
    if not config.encoder.normalize and config.encoder.builder is None:
        raise ConfigError(
            "objective.margin: expected embeddings of length 1, whose products are cosines, got "
            "encoder.normalize false"
        )
    if config.head.kind != "none":
        raise ConfigError("objective.margin: expected kind none with a factored head, which has no margin")


def with_scale_rate(config: TrainConfig, objective: ObjectiveFacts) -> TrainConfig:
    """The configuration with the rate of its scale: the objective's own where none is given.

    With offsets every loss depends on the scale, also one that says it does not.
    """
    if config.training.scale_learning_rate is not None:
        return config
    rate = objective.scale_learning_rate or SCALE_LEARNING_RATE
    return replace(config, training=replace(config.training, scale_learning_rate=rate))


def with_encoder_choices(config: TrainConfig, kind: Literal["transformer", "static"]) -> TrainConfig:
    """The configuration with the kind of encoder that was built, and the peak rate that suits it.

    A run records what it did: where the recipe left either open, another machine may choose otherwise.
    """
    rate = config.training.learning_rate
    if rate is None:
        rate = LEARNING_RATES["lora" if config.encoder.lora.rank else kind]
    return replace(
        config,
        encoder=replace(config.encoder, kind=kind),
        training=replace(config.training, learning_rate=rate),
    )


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
