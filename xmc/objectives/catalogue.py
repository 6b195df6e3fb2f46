"""Every objective by the name that configurations call it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from xmc.objectives.binary_cross_entropy import binary_cross_entropy
from xmc.objectives.decoupled_softmax import decoupled_softmax
from xmc.objectives.soft_top_k import soft_top_k
from xmc.objectives.softmax import softmax
from xmc.objectives.spherical import (
    mean_squared_error,
    spherical_softmax,
    spherical_z_loss,
    taylor_softmax,
)
from xmc.objectives.supervised_contrastive import supervised_contrastive

__all__ = ["OBJECTIVES"]

OBJECTIVES: dict[str, Callable[..., Tensor]] = {
    "softmax": softmax,
    "decoupled_softmax": decoupled_softmax,
    "supervised_contrastive": supervised_contrastive,
    "binary_cross_entropy": binary_cross_entropy,
    "soft_top_k": soft_top_k,
    "spherical_z_loss": spherical_z_loss,
    "taylor_softmax": taylor_softmax,
    "spherical_softmax": spherical_softmax,
    "mean_squared_error": mean_squared_error,
}
"""Functions with the signature of :func:`xmc.objectives.decoupled_softmax` and keywords of their own."""
