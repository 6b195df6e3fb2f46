"""What to build a dual encoder from: the one configuration of this room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
        for name in ("query_length", "label_length", "vocabulary"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"expected {name} to be at least 1 token, got {getattr(self, name)}")
        if self.frozen_layers < 0:
            raise ConfigError(f"expected frozen_layers to be at least 0, got {self.frozen_layers}")
        if self.frozen_layers and self.kind == "static":
            raise ConfigError('expected frozen_layers only with kind "transformer": a static model has none')
        if self.frozen_cache and not self.frozen_layers:
            raise ConfigError("frozen_cache: expected frozen_layers of at least 1, whose output it keeps")
        for name in ("dropout", "label_dropout"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise ConfigError(f"expected {name} to be at least 0 and below 1, got {value}")
