"""What the keys of a recipe are when it says nothing of them."""

from __future__ import annotations

import dataclasses
from typing import Any

from xmc.nested import flat
from xmc.training.config import DataConfig, RunOptions, TrainConfig

__all__ = ["recipe_defaults"]

_REQUIRED = ("data.path", "run.dir")


def recipe_defaults() -> dict[str, Any]:
    """Value by dotted name; without the keys that every recipe must give."""
    options = flat(dataclasses.asdict(TrainConfig(data=DataConfig(path=""), run=RunOptions(dir=""))))
    return {name: value for name, value in options.items() if name not in _REQUIRED}
