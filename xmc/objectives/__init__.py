"""What is optimised: pure functions on embeddings and positives, and a thin module beside each."""

from __future__ import annotations

from xmc.objectives.binary_cross_entropy import BinaryCrossEntropy, binary_cross_entropy, prior_log_odds
from xmc.objectives.catalogue import OBJECTIVES
from xmc.objectives.decoupled_softmax import DecoupledSoftmax, decoupled_softmax
from xmc.objectives.soft_top_k import SoftTopK, soft_top_k
from xmc.objectives.softmax import Softmax, softmax
from xmc.objectives.spherical import (
    MeanSquaredError,
    SphericalSoftmax,
    SphericalZLoss,
    TaylorSoftmax,
    mean_squared_error,
    spherical_softmax,
    spherical_z_loss,
    taylor_softmax,
)
from xmc.objectives.supervised_contrastive import SupervisedContrastive, supervised_contrastive

__all__ = [
    "OBJECTIVES",
    "BinaryCrossEntropy",
    "DecoupledSoftmax",
    "MeanSquaredError",
    "SoftTopK",
    "Softmax",
    "SphericalSoftmax",
    "SphericalZLoss",
    "SupervisedContrastive",
    "TaylorSoftmax",
    "binary_cross_entropy",
    "decoupled_softmax",
    "mean_squared_error",
    "prior_log_odds",
    "soft_top_k",
    "softmax",
    "spherical_softmax",
    "spherical_z_loss",
    "supervised_contrastive",
    "taylor_softmax",
]
