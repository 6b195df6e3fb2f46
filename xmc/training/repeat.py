"""The same run with several seeds, one after another, each in a folder of its own."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xmc.errors import ConfigError
from xmc.received import read_yaml, reading
from xmc.seed_folders import seed_folder
from xmc.training.config import TrainConfig, with_encoder_choices, with_scale_rate
from xmc.training.objective import configured_objective
from xmc.training.run.changes import check_changes
from xmc.training.run.result import TrainResult, is_trained, read_result
from xmc.training.trainer import train

__all__ = ["check_seeds", "mean_and_deviation", "repeat"]

_log = logging.getLogger(__name__)


def repeat(config: TrainConfig, seeds: Sequence[int]) -> list[TrainResult]:
    """Train ``config`` with each seed, into ``seed-0``, ``seed-1``, ... of its folder; a result for each.

    A seed that is finished there is not trained again, and one that was interrupted goes on from its
    checkpoint; with ``run.overwrite`` all begin anew. The held-out rows are drawn by the seed too: validation
    metrics of two seeds are of different rows.

    Raises:
        ConfigError: For no seed, one twice or a negative one, for a folder that holds a run itself, and for a
            seed that was trained with another configuration.
        XMCError: As `train` does.
    """
    check_seeds(seeds)
    folder = Path(config.run.dir)
    if (folder / "config.yaml").is_file():
        raise ConfigError(
            f"run.dir: expected a folder for the runs of {len(seeds)} seeds, but {folder} is a run itself: "
            "choose another folder"
        )
    return [_one(replace(config, seed=seed), seed_folder(folder, seed)) for seed in seeds]


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuse seeds that are not some different numbers of 0 and more, with a ConfigError."""
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds: expected different numbers of 0 or more, got {list(seeds)}")


def mean_and_deviation(results: Sequence[TrainResult]) -> dict[str, tuple[float, float | None]]:
    """Of each validation metric that all results have; the sample deviation, None for one result."""
    shared = [name for name in results[0].validation if all(name in result.validation for result in results)]
    values = {name: [result.validation[name] for result in results] for name in shared}
    return {
        name: (statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else None)
        for name, found in values.items()
    }


def _one(config: TrainConfig, folder: Path) -> TrainResult:
    begun = (folder / "config.yaml").is_file() and not config.run.overwrite
    config = replace(config, run=replace(config.run, dir=str(folder), resume=begun))
    if not begun or not is_trained(folder):
        return train(config)
    if changes := check_changes(_as_recorded(config, folder / "config.yaml")):
        raise ConfigError(
            f"{folder} is finished with another configuration ({', '.join(changes)}): choose another folder, "
            "or give --run.overwrite true to train every seed anew"
        )
    _log.info("%s is finished and not trained again", folder)
    return read_result(folder, "train that seed again")


def _as_recorded(config: TrainConfig, file: Path) -> TrainConfig:
    """The configuration as a run records it: what it leaves open filled in, as the finished run chose."""
    with reading(file, "the configuration of a run"):
        recorded = read_yaml(file)["encoder"]["kind"]
    kind, builder = config.encoder.kind, config.encoder.builder
    config = with_encoder_choices(config, recorded if kind == "auto" or builder is not None else kind)
    return with_scale_rate(config, configured_objective(config.objective).facts)
