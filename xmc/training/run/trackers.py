"""Trackers of a run: TensorBoard in its own folder, the others by project and name of the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import GeneralTracker, TensorBoardTracker, get_available_trackers

from xmc.errors import ConfigError
from xmc.training.run.config import RunOptions

__all__ = ["check_trackers", "chosen_trackers", "start_trackers"]

# What each library calls the name of a run; the first argument of all of them is the project.
_NAME_ARGUMENTS = {
    "wandb": "name",
    "trackio": "name",
    "mlflow": "run_name",
    "swanlab": "experiment_name",
}


def check_trackers(names: list[str]) -> None:
    """Refuse trackers that Accelerate does not know or that are not installed.

    Raises:
        ConfigError: Naming them and the ones that would work.
    """
    available = sorted(tracker.value for tracker in get_available_trackers())
    missing = sorted(set(names) - set(available))
    if missing:
        raise ConfigError(
            f"run.trackers: expected some of {', '.join(available) or 'none'}, which are installed here, got "
            f"{', '.join(missing)}; install what is missing or leave it out (metrics.jsonl is always written)"
        )


def chosen_trackers(options: RunOptions) -> list[str | GeneralTracker] | None:
    """For ``log_with`` of an ``Accelerator``: none is started yet.

    TensorBoard writes to ``tensorboard/`` of the run's folder, whatever trackers are beside it and whatever
    the project is called.
    """
    own = {"tensorboard": TensorBoardTracker("tensorboard", options.dir)}
    return [own.get(name, name) for name in options.trackers] or None


def start_trackers(accelerator: Accelerator, options: RunOptions, configuration: Mapping[str, Any]) -> None:
    """Start them, with the run's name and configuration.

    Args:
        accelerator: Made with :func:`chosen_trackers`.
        options: Whose ``project`` and ``name`` trackers get.
        configuration: Every option by dotted name. TensorBoard gets none: its table of them is a run of its
            own, and config.yaml stands beside it.
    """
    if not options.trackers:
        return
    name = options.name or Path(options.dir).resolve().name
    named = {tracker: {argument: name} for tracker, argument in _NAME_ARGUMENTS.items()}
    accelerator.init_trackers(options.project, init_kwargs=named)
    values = {key: value if _plain(value) else str(value) for key, value in configuration.items()}
    for tracker in accelerator.trackers:
        if tracker.name != "tensorboard":
            tracker.store_init_configuration(values)


def _plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))
