"""The callbacks that a configuration asks for: ours, then the user's own."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.training.batches.batches import Batches
from xmc.training.callbacks.announce import Announce
from xmc.training.callbacks.callback import Callback
from xmc.training.callbacks.callbacks import build_callbacks
from xmc.training.callbacks.early_stopping import EarlyStopping
from xmc.training.callbacks.keep_best import KeepBest
from xmc.training.callbacks.log_metrics import LogMetrics
from xmc.training.callbacks.progress import Progress
from xmc.training.callbacks.skipped_steps import SkippedSteps
from xmc.training.config import TrainConfig
from xmc.training.parts import as_parts
from xmc.training.run.models import RunModels

__all__ = ["chosen_callbacks"]


def chosen_callbacks(
    config: TrainConfig, batches: Batches, models: RunModels, epochs: float, given: Sequence[Callback]
) -> list[Callback]:
    """The callbacks of a run, in the order of their calls.

    Args:
        config: The run; names some of the user's.
        batches: Whose numbers are logged.
        models: What keeps the best of them.
        epochs: What the run's steps come to.
        given: Those of the user's that a script handed over.

    Raises:
        ConfigError: When one cannot be made.
    """
    chosen: list[Callback] = [
        Announce(batches),
        LogMetrics(batches, epochs),
        SkippedSteps(config.training.max_skipped),
        KeepBest(models),
        Progress(),
    ]
    if config.training.patience is not None:
        chosen.append(EarlyStopping(config.validation.metric, config.training.patience))
    parts = as_parts("training.callbacks", config.training.callbacks)
    named = parts[: len(parts) - len(given)]  # the names of those given come last
    return [*chosen, *build_callbacks(named), *given]
