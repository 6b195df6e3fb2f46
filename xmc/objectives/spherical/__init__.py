"""Losses that know the labels by their mean and Gram matrix alone: O(D^2) a query for any L."""

from __future__ import annotations

from xmc.objectives.spherical.spherical_softmax import SphericalSoftmax, spherical_softmax
from xmc.objectives.spherical.squared_error import MeanSquaredError, mean_squared_error
from xmc.objectives.spherical.taylor_softmax import TaylorSoftmax, taylor_softmax
from xmc.objectives.spherical.values import SPHERICAL_VALUES
from xmc.objectives.spherical.z_loss import SphericalZLoss, spherical_z_loss

__all__ = [
    "SPHERICAL_VALUES",
    "MeanSquaredError",
    "SphericalSoftmax",
    "SphericalZLoss",
    "TaylorSoftmax",
    "mean_squared_error",
    "spherical_softmax",
    "spherical_z_loss",
    "taylor_softmax",
]
