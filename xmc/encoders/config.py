"""What to build a dual encoder from: the one configuration of this room."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from xmc.encoders.lora_config import LoraConfig
from xmc.errors import ConfigError
from xmc.plugins import is_reference

__all__ = ["EncoderConfig"]


@dataclass(frozen=True)
class EncoderConfig:
    """How a dual encoder starts; ``DualEncoder.build`` turns it into one.

    Raises:
        ConfigError: When a value is out of its range.
    """

    model: str = "embedded"
    """A model folder, a run folder, a hub name, or "embedded" (all-MiniLM-L6-v2 as a PyPI package)."""

    builder: str | None = None
    """Your own builder, as package.module:name or ./file.py:name: a function of this configuration and the
    training texts that returns the model; null to build what the other keys describe."""

    kind: Literal["auto", "transformer", "static"] = "auto"
    """A fine-tuned transformer, or a bag of token vectors that trains at thousands of texts per second on a
    CPU; auto is a transformer where there is an accelerator, and static elsewhere."""

    tied: bool = True
    """One set of weights for queries and labels; false parts the towers, which start alike."""

    frozen_labels: bool = False
    """Train the query tower alone: labels are encoded once, as the model starts, and their vectors kept
    beside the data set. For towers that are not tied; label_dropout has no effect."""

    static_init: Literal["tokens", "distill"] = "tokens"
    """Where a transformer's static token vectors come from: its input table, or a forward pass per token."""

    vocabulary: int | None = None
    """Size of a WordPiece vocabulary learned from the data set's texts, whose tokens a static model gets
    beside its own: for texts of another language or trade than it was made for. None adds none."""

    query_length: int = 128
    """Tokens kept of a query, special tokens included."""

    label_length: int = 32
    """Tokens kept of a label, special tokens included."""

    normalize: bool = True
    """Unit-length embeddings (a score is scale x cosine); false leaves raw inner products."""

    dropout: float = 0.0
    """Share of embedding components zeroed in training, before normalisation."""

    label_dropout: float | None = None
    """The same for labels; None is the same as ``dropout``, 0 keeps dropout to the query vectors."""

    pooling: Literal["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] = "mean"
    """Token vectors to text vector, for a bare transformer; a sentence-transformers folder brings its own."""

    query_prompt: str | None = None
    """Text put before every query, such as "query: ", within query_length; null keeps what the model has,
    "" removes it."""

    label_prompt: str | None = None
    """The same for labels."""

    include_prompt: bool | None = None
    """Whether a transformer's pooling reads the tokens of a prompt too; null keeps what the model does."""

    lora: LoraConfig = field(default_factory=LoraConfig)
    """Adapters that are trained in place of a transformer's weights: {rank: 8}."""

    projection: int | None = None
    """Components of the vectors where they are to be fewer than the model's: a linear layer that is trained
    too, from the principal directions of the data set's texts. A static model keeps no layer. None: all."""

    dimensions: list[int] | None = None
    """Prefixes of the vectors that are trained to rank by themselves (Matryoshka), all components among them:
    [256, 128, 64]. None trains the whole vectors alone."""

    dimension_weights: list[float] | None = None
    """What the objective of each of ``dimensions`` weighs, in any unit; null for equal weights."""

    frozen_layers: int = 0
    """A transformer's embeddings and its first so many layers stay as they are: no gradient, no dropout."""

    frozen_cache: bool = False
    """Keep on disk, in float16, what the frozen layers give for the training texts, so that a step begins
    above them; 2 bytes x the transformer's width for each token."""

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, unknown choices and options that do not go together."""
        for name, choices in (
            ("kind", ("auto", "transformer", "static")),
            ("static_init", ("tokens", "distill")),
        ):
            if getattr(self, name) not in choices:
                raise ConfigError(f"expected {name} to be one of {choices}, got {getattr(self, name)!r}")
        if self.builder is not None and not is_reference(self.builder):
            raise ConfigError(
                f"expected builder as package.module:name or ./file.py:name, got '{self.builder}'"
            )
        if self.vocabulary is not None and self.kind == "transformer":
            raise ConfigError('expected vocabulary only with kind "static": a transformer keeps its tokens')
        if self.frozen_labels and self.tied:
            raise ConfigError(
                "expected frozen_labels only with tied false: tied towers are one, which is trained or is not"
            )
        if self.include_prompt is not None and self.kind == "static":
            raise ConfigError(
                "expected include_prompt only with a transformer: a static model adds up all tokens"
            )
        if self.lora.rank and self.kind == "static":
            raise ConfigError(
                'lora.rank: expected 0 with kind "static", whose token vectors are trained themselves, got '
                f"{self.lora.rank}"
            )
        if self.projection is not None and self.projection < 1:
            raise ConfigError(f"expected projection to be at least 1 component, got {self.projection}")
        for name in ("query_length", "label_length", "vocabulary"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"expected {name} to be at least 1 token, got {getattr(self, name)}")
        if self.frozen_layers < 0:
            raise ConfigError(f"expected frozen_layers to be at least 0, got {self.frozen_layers}")
        if self.frozen_layers and self.kind == "static":
            raise ConfigError('expected frozen_layers only with kind "transformer": a static model has none')
        if self.frozen_layers and self.lora.rank:
            raise ConfigError(
                "frozen_layers: expected 0 with lora.rank, whose adapters are trained in every layer while "
                f"all other weights stay as they are, got {self.frozen_layers}"
            )
        if self.frozen_cache and not self.frozen_layers:
            raise ConfigError("frozen_cache: expected frozen_layers of at least 1, whose output it keeps")
        for name in ("dropout", "label_dropout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ConfigError(f"expected {name} to be at least 0 and below 1, got {value}")
        _check_dimensions(self.dimensions, self.dimension_weights)


def _check_dimensions(dimensions: list[int] | None, weights: list[float] | None) -> None:
    if dimensions is not None:
        whole = all(isinstance(d, int) and not isinstance(d, bool) for d in dimensions)
        if not dimensions or not whole or min(dimensions) < 1 or len(set(dimensions)) < len(dimensions):
            raise ConfigError(
                f"expected dimensions to be different numbers of components above 0, got {dimensions}"
            )
    if weights is not None:
        if dimensions is None:
            raise ConfigError(
                f"expected dimension_weights only with dimensions, which they weigh, got {weights}: "
                "give dimensions too, or leave dimension_weights null"
            )
        if len(weights) != len(dimensions):
            raise ConfigError(
                f"expected dimension_weights to be a number for each of {dimensions}, got {weights}"
            )
        if not all(0 < weight < math.inf for weight in weights):
            raise ConfigError(f"expected dimension_weights above 0, got {weights}")
