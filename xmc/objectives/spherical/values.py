"""Each spherical loss as a function of scores and moments, by the name that configurations call it."""

from __future__ import annotations

from collections.abc import Callable

from xmc.objectives.spherical.runner import SphericalValue
from xmc.objectives.spherical.spherical_softmax import spherical_softmax_value
from xmc.objectives.spherical.squared_error import squared_error_value
from xmc.objectives.spherical.taylor_softmax import taylor_softmax_value
from xmc.objectives.spherical.z_loss import z_loss_value

__all__ = ["SPHERICAL_VALUES"]

SPHERICAL_VALUES: dict[str, Callable[..., SphericalValue]] = {
    "spherical_z_loss": z_loss_value,
    "taylor_softmax": taylor_softmax_value,
    "spherical_softmax": spherical_softmax_value,
    "mean_squared_error": squared_error_value,
}
"""Makers that take a loss's own keywords, such as ``a`` and ``b`` of the Z-loss, and ``decoupled``."""
