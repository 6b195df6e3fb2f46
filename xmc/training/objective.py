"""From the objective's name and options to the function a step calls."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import partial

from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives import OBJECTIVES, decoupled_softmax
from xmc.training.config import ObjectiveConfig

__all__ = ["build_objective"]

COMMON = frozenset(inspect.signature(decoupled_softmax).parameters)


def build_objective(config: ObjectiveConfig) -> Callable[..., Tensor]:
    """The objective with its own options bound; the arguments every objective takes are left to the step.

    Raises:
        ConfigError: When the objective has no such option; the text names the nearest one it has.
    """
    function = OBJECTIVES[config.name]
    own = sorted(set(inspect.signature(function).parameters) - COMMON)
    for name in config.options:
        if name not in own:
            near = difflib.get_close_matches(name, own, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"expected one of {', '.join(own) or 'none'}"
            raise ConfigError(f"objective.options: {config.name} has no option '{name}': {hint}")
    return partial(function, **config.options)
