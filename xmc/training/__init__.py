"""The training loop and what it is told. Imported on first use: the configuration needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.training.callbacks import Callback, RunState
    from xmc.training.config import ResidualConfig, TrainConfig
    from xmc.training.step import StepResult
    from xmc.training.trainer import Trainer, TrainResult, train

__all__ = [
    "Callback",
    "ResidualConfig",
    "RunState",
    "StepResult",
    "TrainConfig",
    "TrainResult",
    "Trainer",
    "train",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Callback": "xmc.training.callbacks.callback",
        "ResidualConfig": "xmc.training.config",
        "RunState": "xmc.training.callbacks.run_state",
        "StepResult": "xmc.training.step",
        "TrainConfig": "xmc.training.config",
        "TrainResult": "xmc.training.trainer",
        "Trainer": "xmc.training.trainer",
        "train": "xmc.training.trainer",
    },
)
