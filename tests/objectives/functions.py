"""The public function of every objective of the catalogue, by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from xmc import objectives
from xmc.objectives import CATALOGUE

__all__ = ["FUNCTIONS"]

FUNCTIONS: dict[str, Callable[..., Tensor]] = {name: getattr(objectives, name) for name in CATALOGUE}
