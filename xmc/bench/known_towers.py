"""Shapes of the towers that recipes name, for their cost on paper."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xmc.bench.step_shape import TowerShape
from xmc.encoders.config import EncoderConfig
from xmc.encoders.micro_batch_size import token_bytes
from xmc.errors import ConfigError

__all__ = ["DISTILBERT", "tower_shape"]

DISTILBERT = TowerShape(
    66_362_880, 768, weights=42_467_328, layers=6, width=768, activation_bytes=token_bytes(6, 768)
)
"""``distilbert-base-uncased``; what a token leaves for the way back was measured under bf16 autocast."""

_EMBEDDED_TOKENS, _EMBEDDED_DIMENSION = 30_522, 384  # the input table of all-MiniLM-L6-v2


@dataclass(frozen=True)
class Decoder:
    """A decoder with grouped keys and a gated layer, as its published configuration has it.

    Attributes:
        width: Components of a token.
        keys: Components of its key, and of its value, in all groups.
        inner: Components within the gated layer.
        layers: Their number.
        tokens: Of the vocabulary.
        activation_bytes: What a token leaves for the way back, adapters of rank 256 in all linear layers;
            measured on one and two layers of this shape under bf16 autocast.
    """

    width: int
    keys: int
    inner: int
    layers: int
    tokens: int
    activation_bytes: int

    @property
    def linears(self) -> list[tuple[int, int]]:
        """Inputs and outputs of a layer's matrices: four of attention, three of the gated layer."""
        attention = [(self.width, self.width), (self.width, self.keys)] * 2
        return [*attention, (self.width, self.inner), (self.width, self.inner), (self.inner, self.width)]

    def tower(self, rank: int) -> TowerShape:
        """With adapters of a rank in all linear layers; 0 trains every weight."""
        weights = self.layers * sum(a * b for a, b in self.linears)
        adapters = self.layers * rank * sum(a + b for a, b in self.linears)
        # Token vectors; norms, and the offsets of queries, keys and values.
        rest = (self.tokens + 1) * self.width + self.layers * (3 * self.width + 2 * self.keys)
        trained, frozen = (adapters, weights + rest) if rank else (weights + rest, 0)
        return TowerShape(
            trained,
            self.width,
            weights=weights + adapters,
            layers=self.layers,
            width=self.width,
            activation_bytes=self.activation_bytes,
            frozen=frozen,
            frozen_weights=weights if rank else 0,
        )


_DECODERS = {
    "Qwen/Qwen2.5-3B-Instruct": Decoder(2048, 256, 11_008, 36, 151_936, 5_110_000),
    "Qwen/Qwen2.5-7B-Instruct": Decoder(3584, 512, 18_944, 28, 152_064, 6_810_000),
}


def tower_shape(encoder: EncoderConfig) -> TowerShape:
    """What a recipe's towers are made of; trained parameters of both where they are separate.

    Raises:
        ConfigError: For an encoder whose shape is not known here.
    """
    towers = 1 if encoder.tied else 2
    if encoder.kind == "static" and encoder.model == "embedded":
        rows = (_EMBEDDED_TOKENS + (encoder.vocabulary or 0),) * towers
        return TowerShape(
            sum(rows) * _EMBEDDED_DIMENSION, _EMBEDDED_DIMENSION, activation_bytes=40, token_rows=rows
        )
    known = ["distilbert-base-uncased", *_DECODERS]
    if encoder.kind == "transformer" and encoder.model in known:
        decoder, rank = _DECODERS.get(encoder.model), encoder.lora.rank
        if (decoder is None and rank) or encoder.lora.target_modules is not None:
            raise ConfigError(
                f"encoder.lora: expected adapters in all linear layers of {' or '.join(_DECODERS)}, which "
                f"the cost on paper knows, got rank {rank} in {encoder.lora.target_modules or 'all'} of "
                f"{encoder.model}"
            )
        tower = decoder.tower(rank) if decoder else DISTILBERT
        # The weights that adapters leave as they are stand once for both towers.
        return replace(tower, parameters=towers * tower.parameters)
    raise ConfigError(
        f"encoder: expected kind static with model embedded, or kind transformer with one of "
        f"{', '.join(known)}, whose shapes are known, got {encoder.kind} with {encoder.model}"
    )
