"""Lower layers of a transformer that stay as they are: no gradient and no dropout.

Which layers are frozen is told by the weights themselves, as those that take no gradient, so that a copy of a
model has the same ones.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from xmc.encoders.unpadded import layers_of
from xmc.errors import ConfigError

__all__ = ["calm_frozen", "freeze_layers", "lower_parts", "num_frozen"]


def freeze_layers(model: nn.Module, count: int) -> None:
    """Take the gradient from the embeddings and the first ``count`` layers, and their dropout.

    Raises:
        ConfigError: When the model has fewer layers.
    """
    layers = layers_of(model)
    if count > len(layers):
        raise ConfigError(f"encoder.frozen_layers: expected at most the model's {len(layers)}, got {count}")
    for part in lower_parts(model, count):
        part.requires_grad_(False)
    calm_frozen(model)


def num_frozen(model: Any) -> int:
    """Layers, first to last, none of whose weights takes a gradient; 0 where the embeddings take one."""
    if any(p.requires_grad for p in model.embeddings.parameters()):
        return 0
    trained = [any(p.requires_grad for p in layer.parameters()) for layer in layers_of(model)]
    return trained.index(True) if any(trained) else len(trained)


def calm_frozen(model: nn.Module) -> None:
    """Switch off dropout in what is frozen, whose output is then one for each text."""
    if count := num_frozen(model):
        for part in lower_parts(model, count):
            part.eval()


def lower_parts(model: Any, count: int) -> list[nn.Module]:
    """The embeddings and the first ``count`` layers."""
    return [model.embeddings, *layers_of(model)[:count]]
