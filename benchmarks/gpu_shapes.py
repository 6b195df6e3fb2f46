"""Shapes of well-known encoders: what a step costs, and what models of random weights are made of."""

from __future__ import annotations

from dataclasses import dataclass

from xmc.bench.step_cost import TowerShape
from xmc.encoders.micro_batch_size import token_bytes

__all__ = ["SHAPES", "EncoderShape"]

VOCABULARY = 30_522


@dataclass(frozen=True)
class EncoderShape:
    """A BERT: how wide, how deep, and the tokens it knows."""

    width: int
    layers: int
    heads: int
    vocabulary: int = VOCABULARY

    @property
    def tower(self) -> TowerShape:
        """For :func:`xmc.bench.step_cost.step_cost`: 12 h^2 weights a layer that a token is multiplied by."""
        weights = 12 * self.width**2 * self.layers
        parameters = weights + (self.vocabulary + 512 + 2) * self.width + 13 * self.width * self.layers
        return TowerShape(
            parameters, self.width, weights=weights, layers=self.layers, width=self.width,
            activation_bytes=token_bytes(self.layers, self.width),
        )  # fmt: skip


SHAPES = {
    "DistilBERT": EncoderShape(768, 6, 12),
    "MiniLM": EncoderShape(384, 6, 12),
    "BERT-base": EncoderShape(768, 12, 12),
    "miniature": EncoderShape(32, 2, 4, vocabulary=1_000),
}
