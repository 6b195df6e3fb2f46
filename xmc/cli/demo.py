"""``xmc demo``: data, training, index, evaluation and search on the documentation strings installed here.

What an earlier run finished is used again, and said so; what it left unfinished is made anew.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from xmc.cli.config import load_train_config
from xmc.cli.search import ranking
from xmc.cli.train import tell_notes
from xmc.errors import DataError, IndexMismatchError
from xmc.recipes import find_recipe

if TYPE_CHECKING:
    from xmc import Dataset, LabelIndex
    from xmc.training.config import TrainConfig

__all__ = ["QUERIES", "run"]

SHOWN = ("P@1", "P@3", "P@5", "nDCG@5", "PSP@1", "PSP@5", "R@10", "R@100")
QUERIES = (
    "sort the elements of an array along an axis",
    "solve a linear system of equations",
    "split arrays into random train and test subsets",
)

_HELP = """usage: xmc demo [--section.key value ...]

Data, training, index, evaluation and search on the documentation strings of installed packages, in data/ and
runs/ of this folder; what is finished is used again. Options are those of `xmc train`.

example:
  xmc demo --training.epochs 3"""


def run(arguments: Sequence[str], recipe: Path | None = None) -> None:
    """Data, training, index, evaluation and search.

    Args:
        arguments: Options of ``xmc train``, which win over the recipe; or ``--help``.
        recipe: Says where the data set and the run are kept; the index goes beside the run. By default the
            shipped recipe ``api-docs``.
    """
    if any(word in ("-h", "--help") for word in arguments):
        print(_HELP)
        return
    clock = _Clock()
    config = load_train_config(
        [str(recipe or find_recipe("api-docs")), *arguments, "--run.overwrite", "true"]
    )
    tell_notes(config)
    dataset = _data(Path(config.data.path), clock)
    _train(config, dataset, clock)
    index = _index(Path(config.run.dir), dataset, clock)
    _evaluation(config, dataset, clock)
    _searches(index, clock)
    print("\n" + clock.table())


class _Clock:
    """Prints a heading for each stage and remembers what each took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        print(f"\n== {title}", flush=True)
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin

    def table(self) -> str:
        """Stage and seconds, a line each, and their sum."""
        rows = [*self.seconds.items(), ("total", sum(self.seconds.values()))]
        return "\n".join(f"{name:<12}{seconds:8.1f} s" for name, seconds in rows)


def _data(path: Path, clock: _Clock) -> Dataset:
    from xmc import Dataset
    from xmc.corpora import build_api_docs

    with clock.stage("data", "Data: documentation strings of installed packages"):
        try:
            dataset = Dataset.load(path)
            print(f"reusing {path}")
        except DataError:
            dataset = build_api_docs(path, overwrite=True)
        rows = f"{dataset.num_train:,} training rows, {dataset.num_test:,} test rows"
        print(f"{rows}, {dataset.num_labels:,} labels")
    return dataset


def _train(config: TrainConfig, dataset: Dataset, clock: _Clock) -> None:
    from xmc.training import train

    folder = Path(config.run.dir)
    with clock.stage("training", f"Training into {folder}"):
        if _finished(config, dataset):
            print(f"reusing {folder / 'model'}")
        else:
            train(config)


def _finished(config: TrainConfig, dataset: Dataset) -> bool:
    """Whether the run's folder holds the end of a training with this recipe and these labels."""
    from xmc import DualEncoder
    from xmc.objectives.catalogue import facts_of
    from xmc.training.config import with_scale_rate

    folder = Path(config.run.dir)
    if not (folder / "result.json").is_file():  # the last file that training writes
        return False
    recipe = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    same_labels = DualEncoder.load(folder).metadata.label_fingerprint == dataset.label_fingerprint
    # As a run keeps it: what made room for it is no part of it.
    kept = dataclasses.replace(config, run=dataclasses.replace(config.run, overwrite=False))
    wanted = with_scale_rate(kept, facts_of(config.objective.name))
    return bool(recipe == dataclasses.asdict(wanted)) and same_labels


def _index(run: Path, dataset: Dataset, clock: _Clock) -> LabelIndex:
    from xmc import DualEncoder, LabelIndex

    path = run.with_name(f"{run.name}-index")
    with clock.stage("index", f"FAISS index of {dataset.num_labels:,} labels"):
        try:
            index = LabelIndex.load(path, DualEncoder.load(run))
            print(f"reusing {path}")
        except (DataError, IndexMismatchError):
            index = LabelIndex.build(run, dataset)
            index.save(path, overwrite=True)
            print(f"saved in {path}")
    return index


def _evaluation(config: TrainConfig, dataset: Dataset, clock: _Clock) -> None:
    from xmc import DualEncoder, evaluate
    from xmc.evaluation import comparison_table

    with clock.stage("evaluation", f"Test split: {dataset.num_test:,} queries against every label, percent"):
        trained = DualEncoder.load(config.run.dir)
        untrained = DualEncoder.build(config.encoder)
        # Both read the same texts, also where the recipe chooses the fields.
        untrained.metadata = dataclasses.replace(
            untrained.metadata,
            query_fields=trained.metadata.query_fields,
            label_fields=trained.metadata.label_fields,
        )
        systems = {"untrained": untrained, "trained": trained}
        print(comparison_table({name: evaluate(model, dataset) for name, model in systems.items()}, SHOWN))


def _searches(index: LabelIndex, clock: _Clock) -> None:
    with clock.stage("search", "Search"):
        for query, hits in zip(QUERIES, index.hits(list(QUERIES), k=5), strict=True):
            print(f"\n{query}\n{ranking(hits)}")
