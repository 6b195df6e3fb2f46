"""``xmc train``: a recipe in, a run folder out; ``accelerate launch scripts/train.py`` is the same."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xmc.cli.config import parse_train, train_parser
from xmc.cli.train_help import train_help
from xmc.counted import agreeing, counted
from xmc.distributed import start_missing_processes
from xmc.errors import ConfigError
from xmc.plugins import is_reference

if TYPE_CHECKING:
    from xmc.training import TrainConfig, TrainResult
    from xmc.training.idle_options import ReadWhere

__all__ = ["notes", "run", "seeds_summary", "summary", "tell_notes"]


def run(arguments: Sequence[str]) -> None:
    """Parse the recipes and their overrides, then train; or show the help that is asked for."""
    if (text := train_help(arguments, train_parser())) is not None:
        print(text)
        return
    config, steps, seeds = parse_train(arguments)
    if seeds is not None and steps is not None:
        raise ConfigError("expected --seeds or --profile, got both")
    start_missing_processes()
    from xmc.bench.training_steps import profile_steps
    from xmc.training import train

    is_main = os.environ.get("RANK", "0") == "0"
    if is_main:
        tell_notes(config, several_seeds=seeds is not None)
    if steps is not None:
        measured = profile_steps(config, steps)
        if is_main:
            print(measured.table())
        return
    if seeds is not None:
        from xmc.training.repeat import repeat

        results = repeat(config, seeds)
        if is_main:
            print(seeds_summary(results, seeds, config))
        return
    result = train(config)
    if is_main:
        print(summary(result, config.validation.metric))


def tell_notes(config: TrainConfig, *, several_seeds: bool = False) -> None:
    """Print :func:`notes`, a line each."""
    for line in notes(config, several_seeds=several_seeds):
        print(f"note: {line}", flush=True)


def notes(config: TrainConfig, *, several_seeds: bool = False) -> list[str]:
    """What to know before the first step: a line for each option that is given and has no effect."""
    from xmc.training.idle_options import idle_options

    # What is there of several seeds is gone on with, whether or not that was said.
    run = dataclasses.replace(config.run, resume=True, overwrite=False) if several_seeds else config.run
    return idle_options(dataclasses.replace(config, run=run), _read_by_own(config))


def _read_by_own(config: TrainConfig) -> list[ReadWhere]:
    """What an objective of the user's own says of options, once it is loaded."""
    names = [config.objective.name, *(term.name for term in config.objective.terms)]
    if not any(is_reference(name) for name in names):
        return []
    from xmc.training.objective import configured_objective
    from xmc.training.objective_checks import read_where

    return read_where(configured_objective(config.objective, seed=config.seed), config)


def seeds_summary(results: Sequence[TrainResult], seeds: Sequence[int], config: TrainConfig) -> str:
    """A line for each seed, and mean and deviation of the validation metrics over them."""
    from xmc.training.callbacks.progress import SHOWN
    from xmc.training.repeat import mean_and_deviation

    lines = [
        f"seed {seed}: {summary(result, config.validation.metric)}"
        for seed, result in zip(seeds, results, strict=True)
    ]
    told = ", ".join(
        f"{name} {mean:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")
        for name, (mean, deviation) in mean_and_deviation(results).items()
        if name in {*SHOWN, config.validation.metric}
    )
    if told:
        lines.append(f"validation over {len(seeds)} seeds, each on rows of its own: {told}")
    return "\n".join([*lines, f"on the test set, with tests: xmc table {config.run.dir}"])


def summary(result: TrainResult, metric: str) -> str:
    """Where the models of a finished run are, how good the best is, and how long it took."""
    measured = f", validation {metric} {result.validation[metric]:.2f}" if result.validation else ""
    shorter = [name for name in result.validation if name.startswith("d") and name.endswith(f"/{metric}")]
    measured += "".join(f", {name} {result.validation[name]:.2f}" for name in shorter)
    pace = f"{result.seconds:,.0f} s, {result.rows_per_second:,.0f} rows/s"
    lost = (
        f"\n{result.skipped_steps:,} of {counted(result.num_steps, 'step')} "
        f"{agreeing(result.skipped_steps, 'was', 'were')} skipped"
        if result.skipped_steps
        else ""
    )
    return (
        f"model: {result.model_path} (step {result.best_step:,}{measured}); last: {result.last_path} "
        f"(step {result.num_steps:,}); {pace}{lost}"
    )
