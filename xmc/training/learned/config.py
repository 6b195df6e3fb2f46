"""How parameters are optimised, and what a label learns beside its text. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from xmc.errors import ConfigError
from xmc.training.options import at_least, one_of, positive
from xmc.training.parts import PartConfig, as_parts

__all__ = ["LEARNING_RATES", "OptimisationConfig", "ResidualConfig"]

LEARNING_RATES = {"static": 3e-3, "transformer": 1e-4, "lora": 1e-3}
"""Peak rates by what is trained of the encoder, where none is given: token vectors, and adapters, stand far
larger steps than a transformer's weights."""


@dataclass(frozen=True)
class OptimisationConfig:
    """AdamW, or rows of token vectors by themselves, with warm-up and linear decay to zero."""

    epochs: float = 5.0
    """Passes over the training rows; may be a fraction."""

    max_steps: int | None = None
    """Most optimiser steps, when the epochs would come to more; the rates then fall to zero with the last of
    them. Null for no bound."""

    patience: int | None = None
    """Validations in a row without a better validation.metric after which the run ends; null to go on."""

    batch_size: int = 512
    """Most queries per scored batch, over all ranks. All batches are of one size, with few rows of an epoch
    left over: 3,913 rows at 512 make 8 batches of 489."""

    accumulation: int = 1
    """Scored batches per optimiser step."""

    micro_batch_tokens: int | None = None
    """Tokens encoded at once on each rank; more than that are encoded twice through the gradient cache. The
    encoder's own choice when null."""

    learning_rate: float | None = None
    """Peak rate of the encoder; when null 0.003 for a static one, 0.0001 for a transformer, and 0.001 for
    adapters on one."""

    offset_learning_rate: float = 3e-2
    """Peak rate of the label offsets, in units of a score."""

    scale_learning_rate: float | None = None
    """Peak rate of the log scale; the objective's own when null."""

    token_optimiser: Literal["row_rmsprop", "lazy_adam", "row_adagrad", "adamw"] = "row_rmsprop"
    """What changes the token vectors of a static encoder. The first three change the rows that a step touches
    and cost nothing for the others: with two numbers kept a row (row_rmsprop), one (row_adagrad), or Adam's
    two moments (lazy_adam); adamw walks the whole table. All other parameters have AdamW."""

    table_dtype: Literal["float32", "bfloat16"] = "float32"
    """What tables that are trained by rows are kept in: token vectors of a static encoder, and residuals.
    bfloat16 takes half the memory; steps are rounded at random, unbiased. Saved models are float32."""

    weight_decay: float = 0.0
    """Decoupled weight decay of the encoder's matrices; of token vectors, when a step touches them."""

    warmup: float = 0.1
    """Share of the steps over which the rates rise from zero."""

    clip_norm: float | None = 1.0
    """Largest norm of the encoder's gradient; null for no clipping."""

    max_skipped: int = 10
    """Steps in a row whose loss or gradient is not finite, each of which is skipped, after which a run ends
    with an error."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of the encoders' forward passes; auto is bf16 on a GPU that has it and fp32 elsewhere."""

    compile: bool = False
    """Compile a transformer's layers but for their attention, for a GPU; the first step takes some 20 s more.
    Of BERT's, DistilBERT's and RoBERTa's kind."""

    deterministic: bool = False
    """Only algorithms that give the same bits each time, on one machine with as many threads and ranks; an
    operation that has none is an error. On a CPU it changes nothing but that, on a GPU it takes time."""

    checkpoint_every: int = 0
    """Steps between checkpoints to resume from, besides those by time; 0 for none."""

    checkpoint_minutes: float = 10.0
    """Minutes between checkpoints, so that a killed run loses no more; 0 for none. A run that is interrupted
    saves one in any case."""

    callbacks: list[str | PartConfig] = field(default_factory=list)
    """Callbacks of your own, each ./file.py:name or package.module:name, or {name, options}."""

    @property
    def encoder_rate(self) -> float:
        """Peak rate of the encoder; a transformer's where none is given and the kind is not known yet."""
        return LEARNING_RATES["transformer"] if self.learning_rate is None else self.learning_rate

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, numbers out of range and an unknown precision."""
        for name in ("epochs", "batch_size", "accumulation", "max_skipped"):
            positive(f"training.{name}", getattr(self, name))
        for name in ("micro_batch_tokens", "learning_rate"):
            if getattr(self, name) is not None:
                positive(f"training.{name}", getattr(self, name))
        at_least("training.checkpoint_every", self.checkpoint_every, 0)
        if self.checkpoint_minutes < 0:
            raise ConfigError(
                f"training.checkpoint_minutes: expected 0 or more, got {self.checkpoint_minutes}"
            )
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"training.warmup: expected a share of the steps in [0, 1), got {self.warmup}")
        if self.clip_norm is not None:
            positive("training.clip_norm", self.clip_norm)
        for name in ("max_steps", "patience"):
            if getattr(self, name) is not None:
                at_least(f"training.{name}", getattr(self, name), 1)
        object.__setattr__(self, "callbacks", as_parts("training.callbacks", self.callbacks))
        optimisers = ("row_rmsprop", "lazy_adam", "row_adagrad", "adamw")
        one_of("training.token_optimiser", self.token_optimiser, optimisers)
        one_of("training.table_dtype", self.table_dtype, ("float32", "bfloat16"))
        if self.table_dtype == "bfloat16" and self.token_optimiser == "adamw":
            raise ConfigError(
                "training.table_dtype: expected float32 with training.token_optimiser adamw, which does not "
                "round at random; choose row_rmsprop, row_adagrad or lazy_adam"
            )
        one_of("training.precision", self.precision, ("auto", "fp32", "bf16"))


@dataclass(frozen=True)
class ResidualConfig:
    """A free vector for each label, added to its encoded text; for labels of which texts say too little."""

    enabled: bool = False
    """Whether residuals are learned."""

    learning_rate: float = 0.1
    """Length of the first step of a residual, at the peak of the schedule; later ones shrink (Adagrad)."""

    dropout: float = 0.5
    """Share of a step's labels scored by their text alone, which keeps labels without a residual usable."""

    clusters: int | None = None
    """K-means clusters of labels, by their first embeddings, that share a residual; null: one per label."""

    min_points: int = 1
    """Training rows a label must have for a residual; rarer labels are known by their text alone, as their
    few rows would be learned by heart."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, numbers out of range and options that exclude each other."""
        positive("residuals.learning_rate", self.learning_rate)
        positive("residuals.min_points", self.min_points)
        if self.clusters is not None and self.min_points > 1:
            raise ConfigError(
                f"residuals.min_points: expected 1 with residuals.clusters (shared rows), got "
                f"{self.min_points}"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"residuals.dropout: expected a share in [0, 1), got {self.dropout}")
        if self.clusters is not None:
            positive("residuals.clusters", self.clusters)
