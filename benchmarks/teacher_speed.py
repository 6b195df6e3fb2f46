"""Prints how many test queries a second one model answers, several in turn, and their mean probabilities.

    python benchmarks/teacher_speed.py DATASET RUN RUN ... [--rounds 5]

One thread; the 100 best labels of each query, encoding included; the middle of the rounds, which take turns.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from xmc.data import Dataset
from xmc.distillation.score import averaged_blocks
from xmc.distillation.teachers import EncoderTeacher
from xmc.distributed import World
from xmc.encoders import DualEncoder
from xmc.retrieval import Ranker

__all__ = ["main", "speeds"]

DEPTH = 100


def speeds(dataset: Dataset, models: Sequence[DualEncoder], rounds: int) -> dict[str, float]:
    """Queries a second of each way, by name."""
    uids = dataset.uids("labels")
    labels = [model.encode_labels(model.label_texts(dataset), uids=uids, progress=False) for model in models]
    rankers = [Ranker.of_model(model, uids) for model in models]
    teachers = [EncoderTeacher(model, dataset, "test") for model in models]
    sizes = {"num_queries": dataset.num_test, "num_labels": dataset.num_labels}

    def ask(place: int) -> None:
        queries = models[place].encode_queries(models[place].query_texts(dataset, "test"))
        rankers[place].search(queries, labels[place], DEPTH, world=World(), exclude=None, **sizes)

    ways: dict[str, Callable[[], object]] = {
        "one": lambda: ask(0),
        "in turn": lambda: [ask(place) for place in range(len(models))],
        "mean of probabilities": lambda: list(averaged_blocks(dataset, "test", teachers, top=DEPTH)),
    }
    ask(0)  # the first fills caches
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return {name: dataset.num_test / median(times) for name, times in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    models = [DualEncoder.load(run) for run in asked.runs]
    for name, speed in speeds(Dataset.load(asked.data), models, asked.rounds).items():
        print(f"{name}: {speed:,.0f} queries a second")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
