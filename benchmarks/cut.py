"""A data set cut to few training rows and the labels they have, to see what a method does with little.

    python -m benchmarks.cut data/debian-related-30k OUT --rows 2000 [--seed 0 | --first] [--labels 3]

The rows are drawn, so that they are like the test's; ``--first`` takes the first ones instead, which in
sorted data are of few kinds. ``--labels`` keeps the labels of the most training rows, and draws from the rows
that have one. Test queries stay where one of their labels did.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from xmc.data import Dataset
from xmc.data.fewer_labels import keep_labels
from xmc.errors import ConfigError, XMCError

__all__ = ["cut", "main"]


def cut(dataset: Dataset, out: str, rows: int, *, seed: int | None = 0, labels: int | None = None) -> Dataset:
    """Write ``rows`` training rows of a data set as a data set of their own.

    Args:
        dataset: Where they are from.
        out: A folder that does not exist yet.
        rows: How many training rows stay.
        seed: Draws them; the first ones are taken when None.
        labels: How many labels stay at most, those of the most training rows; all when None.

    Raises:
        XMCError: When ``out`` is taken.
        ConfigError: When there are fewer training rows, of the labels that may stay, than asked for.
    """
    relevance = dataset.relevance("train")
    may_stay = np.ones(dataset.num_labels, dtype=bool)
    if labels is not None:
        may_stay[np.argsort(-relevance.getnnz(axis=0), kind="stable")[labels:]] = False
    candidates = np.flatnonzero(relevance[:, may_stay].getnnz(axis=1))
    if not 0 < rows <= len(candidates):
        raise ConfigError(
            f"{dataset.name} has {len(candidates):,} training rows to take, of which {rows:,} were asked for"
        )
    drawn = candidates[:rows]
    if seed is not None:
        drawn = np.random.default_rng(seed).choice(candidates, rows, replace=False)
    chosen = np.zeros(dataset.num_train, dtype=bool)
    chosen[drawn] = True
    stays = may_stay & (relevance[chosen].getnnz(axis=0) > 0)
    return keep_labels(dataset, out, stays, train=chosen, name=_name(dataset.name, rows, seed, labels))


def _name(name: str, rows: int, seed: int | None, labels: int | None) -> str:
    """What tables call a cut: no two have one name."""
    drawn = "-first" if seed is None else f"-seed-{seed}" if seed else ""
    return f"{name}-{rows}{drawn}" + (f"-of-{labels}-labels" if labels is not None else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Cut, and say what is left."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("dataset")
    parser.add_argument("out")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", action="store_true", help="the first rows instead of drawn ones")
    parser.add_argument("--labels", type=int, help="keep so many labels, those of the most training rows")
    options = parser.parse_args(arguments)
    try:
        dataset = Dataset.load(options.dataset)
        seed = None if options.first else options.seed
        left = cut(dataset, options.out, options.rows, seed=seed, labels=options.labels)
    except XMCError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    counts = f"{left.num_train:,} training rows, {left.num_labels:,} labels, {left.num_test:,} test queries"
    print(f"{options.out}: {counts}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
