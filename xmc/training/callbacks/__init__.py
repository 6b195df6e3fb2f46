"""What takes part in a run between its steps: the user's own, and early stopping, models, log, bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.training.callbacks.callback import Callback
    from xmc.training.callbacks.callbacks import Callbacks
    from xmc.training.callbacks.early_stopping import EarlyStopping
    from xmc.training.callbacks.keep_best import KeepBest
    from xmc.training.callbacks.log_metrics import LogMetrics
    from xmc.training.callbacks.progress import Progress
    from xmc.training.callbacks.run_state import RunState

__all__ = ["Callback", "Callbacks", "EarlyStopping", "KeepBest", "LogMetrics", "Progress", "RunState"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Callback": "xmc.training.callbacks.callback",
        "Callbacks": "xmc.training.callbacks.callbacks",
        "EarlyStopping": "xmc.training.callbacks.early_stopping",
        "KeepBest": "xmc.training.callbacks.keep_best",
        "LogMetrics": "xmc.training.callbacks.log_metrics",
        "Progress": "xmc.training.callbacks.progress",
        "RunState": "xmc.training.callbacks.run_state",
    },
)
