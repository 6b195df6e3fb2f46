"""Ranks objectives and methods at equal time: each gets the same processor seconds of training.

    python benchmarks/methods.py RECIPE DATASET --out FOLDER [--budget 45] [--methods softmax,arcface-0.1]
        [--seeds 0,1,2] [--teachers FILE] [--only-time] [--section.key value ...]

A method is the recipe with other options (`benchmarks/methods_list.py`). Its steps are timed first, on one
thread, by the processor's clock and not that of the wall, so that other programs matter little. The budget
over the time of a step is the number of steps it gets, and its learning rates fall to zero with the last of
them. A run that missed its budget by more than a tenth, as where other programs came or went, is made once
more with steps by its own pace, and the nearer one counts. Reading data, encoding a frozen label side,
validating and evaluating do not count. Further options go to every method, before its own. Distillation is of
a file that `xmc distill --only-file` wrote, whose making does not count either; without ``--teachers`` it is
left out.

Each run leaves one JSON file in FOLDER, and is not made again where that is there. The table has the methods
by P@1 on the test split, and what they came to on held-out rows beside it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.methods_list import METHODS, Method
from xmc.cli.config import load_train_config
from xmc.data import Dataset
from xmc.evaluation import evaluate
from xmc.files import atomic_file
from xmc.training import Callback, RunState, StepResult, TrainConfig, train
from xmc.tuning.trial import without_label_queries

__all__ = [
    "Clock",
    "configured",
    "main",
    "measure",
    "off",
    "spread",
    "step_seconds",
    "store",
    "stored",
    "table",
]

WARM_UP, STEPS, MOST_SECONDS = 3, 12, 8.0
"""Steps that are not timed, steps that are, and the seconds after which fewer of them do."""
MOST_OFF = 0.1
"""The share of its budget by which a run may miss it; one that is farther off is made once more."""
COLUMNS = ("P@1", "P@3", "P@5", "PSP@1", "PSP@5", "R@10", "R@100")
Record = dict[str, Any]


class Clock(Callback):
    """Processor seconds of a run's steps, of all threads of the process; ends it when enough are timed.

    Args:
        warm_up: First steps that do not count.
        steps: Steps that count, after which the run ends; None for all, to its own end.
        most: Seconds after which the run ends, whatever was counted.
    """

    def __init__(self, warm_up: int = 0, steps: int | None = None, most: float | None = None) -> None:
        self.warm_up, self.steps, self.most = warm_up, steps, most
        self.seconds, self.counted, self._started = 0.0, 0, 0.0

    def before_step(self, run: RunState) -> None:
        """Note the time."""
        self._started = time.process_time()

    def after_step(self, run: RunState, result: StepResult) -> None:
        """Add what the step took, but for the first."""
        if run.step <= self.warm_up:
            return
        self.seconds += time.process_time() - self._started
        self.counted += 1
        if self.counted == self.steps or (self.most is not None and self.seconds > self.most):
            run.stop("timed")


def configured(
    method: Method, recipe: str, data: Path, run: Path, given: Sequence[str], more: Sequence[str]
) -> TrainConfig:
    """The recipe on that data set, with the given options, then the method's, then ``more``."""
    name = recipe if method.recipe is None else f"{recipe}/{method.recipe}"
    ours = ["--data.path", str(data), "--run.dir", str(run), "--run.overwrite", "true"]
    ours += ["--run.trackers", "[]", "--training.checkpoint_minutes", "0", "--validation.every", "1000000"]
    # The last epoch is never reached: steps end a run.
    ours += ["--training.epochs", "100000"]
    return load_train_config([name, *given, *shlex.split(method.words), *ours, *more])


def step_seconds(method: Method, recipe: str, data: Path, out: Path, given: Sequence[str]) -> float:
    """Processor seconds of a step: the mean of some, or of one period of what comes between them.

    Where label queries join a part of the run, steps of either kind are timed.
    """
    periodic = method.period is not None
    clock = Clock(WARM_UP, method.period or STEPS, None if periodic else MOST_SECONDS)
    config = configured(method, recipe, data, out / "run", given, ["--validation.rows", "0"])
    train(config, callbacks=[clock])
    seconds, until = clock.seconds / clock.counted, config.data.label_query_until
    if until == 1:
        return seconds
    clock = Clock(WARM_UP, STEPS, MOST_SECONDS)
    train(replace(config, data=without_label_queries(config.data)), callbacks=[clock])
    return until * seconds + (1 - until) * clock.seconds / clock.counted


def measure(
    method: Method, recipe: str, data: Path, out: Path, given: Sequence[str], steps: int, seed: int
) -> Record:
    """Train for that many steps, and measure on the test split and on the rows held out."""
    clock = Clock()
    more = ["--training.max_steps", str(steps), "--seed", str(seed)]
    result = train(configured(method, recipe, data, out / "run", given, more), callbacks=[clock])
    # The last model, as every method is to have had its whole budget.
    test = evaluate(result.last_path, Dataset.load(data), progress=False)
    shutil.rmtree(out / "run")
    validation = next(
        (kept["metrics"] for kept in result.kept if kept["step"] == result.num_steps), result.validation
    )
    return {
        "steps": result.num_steps,
        "seconds": clock.seconds,
        "test": test.metrics,
        "validation": validation,
    }


def off(record: Record) -> float:
    """How far from its budget a run's time was, as a share of it."""
    return abs(record["seconds"] / record["budget"] - 1.0)


def table(records: Sequence[Record]) -> str:
    """The methods by mean P@1 on the test split, as Markdown; ± is the deviation over seeds."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["title"], []).append(record)
    ranked = sorted(groups.items(), key=lambda item: -mean(one["test"]["P@1"] for one in item[1]))
    heads = ["method", "seeds", "steps", "seconds", *COLUMNS, "held out: P@1", "nDCG@5"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for title, runs in ranked:
        cells = [title, str(len(runs)), f"{mean(one['steps'] for one in runs):.0f}"]
        cells.append(f"{mean(one['seconds'] for one in runs):.0f}")
        cells += [spread([one["test"][name] for one in runs]) for name in COLUMNS]
        cells += [spread([one["validation"][name] for one in runs]) for name in ("P@1", "nDCG@5")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """The mean, and the deviation where there are several."""
    return f"{mean(values):.2f}" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


def stored(path: Path, asked: Mapping[str, Any]) -> Record | None:
    """What an earlier call left, which must have asked for the same."""
    if not path.exists():
        return None
    found: Record = json.loads(path.read_text(encoding="utf-8"))
    if {name: found.get(name) for name in asked} != dict(asked):
        raise SystemExit(
            f"{path}: expected what was asked for ({dict(asked)}), got a result of something else: name "
            "another folder, or remove the file"
        )
    return found


def store(path: Path, record: Record) -> Record:
    """Write a result and give it back."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def main(arguments: Sequence[str] | None = None) -> int:
    """Time, train and measure what is not there yet; print the table of all that is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("recipe")
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="Folder of the results; made when missing.")
    parser.add_argument(
        "--budget", type=float, default=45.0, help="Processor seconds of training (default: 45)."
    )
    parser.add_argument("--methods", help="Some of the list, by name (default: all).")
    parser.add_argument("--seeds", default="0")
    parser.add_argument(
        "--teachers", type=Path, help="What `xmc distill --only-file` wrote for the data set."
    )
    parser.add_argument("--only-time", action="store_true", help="Time the steps, and train nothing.")
    asked, given = parser.parse_known_args(arguments)
    chosen = asked.methods.split(",") if asked.methods else list(METHODS)
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    if unknown := [name for name in chosen if name not in METHODS]:
        parser.error(f"--methods: expected some of {', '.join(METHODS)}, got {', '.join(unknown)}")
    if asked.teachers is None and (taught := [name for name in chosen if METHODS[name].taught]):
        if asked.methods:
            parser.error(f"--teachers: expected a file of xmc distill for {', '.join(taught)}")
        print(f"left out, as there are no --teachers: {', '.join(taught)}", file=sys.stderr)
        chosen = [name for name in chosen if name not in taught]
    methods = {name: METHODS[name].of_teachers(asked.teachers) for name in chosen}
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    pace = {}
    for name in chosen:
        same = {"recipe": asked.recipe, "given": given, "words": methods[name].words}
        path = asked.out / f"time-{name}.json"
        found = stored(path, same)
        if found is None:
            seconds = step_seconds(methods[name], asked.recipe, asked.data, asked.out, given)
            found = store(path, {**same, "step_seconds": seconds})
        pace[name] = found["step_seconds"]
        print(f"{name}: {pace[name]:.4f} s a step", file=sys.stderr, flush=True)
    if asked.only_time:
        return 0
    for seed in seeds:
        for name in chosen:
            same = {"recipe": asked.recipe, "given": given, "words": methods[name].words}
            same |= {"budget": asked.budget, "seed": seed, "title": methods[name].title}
            path = asked.out / f"{name}-{seed}.json"
            words = (methods[name], asked.recipe, asked.data, asked.out, given)
            found = stored(path, same)
            if found is None:
                steps = max(1, round(asked.budget / pace[name]))
                found = store(path, {**same, **measure(*words, steps, seed)})
            if not found.get("again") and off(found) > MOST_OFF:
                steps = max(1, round(found["steps"] * asked.budget / found["seconds"]))
                other = {**same, **measure(*words, steps, seed)}
                store(path, {**min(found, other, key=off), "again": True})
    files = sorted(path for path in asked.out.glob("*.json") if not path.name.startswith("time-"))
    print(table([json.loads(path.read_text(encoding="utf-8")) for path in files]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
