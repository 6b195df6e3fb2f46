"""The expected P@1, P@3 and P@5 of rankings of a made-up data set, without the chance of the labels drawn.

    python benchmarks/expected_precision.py DATASET PREDICTIONS.npz [PREDICTIONS.npz ...]

DATASET is one of `xmc data synthetic`, a file of predictions one of `xmc evaluate --predictions`, or a run's
own, in its folder ``evaluations``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from xmc.corpora.synthetic.expected import expected_precision
from xmc.data import Dataset
from xmc.errors import XMCError
from xmc.evaluation import load_predictions

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each file, under one of what the best ranking reaches."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("dataset")
    parser.add_argument("predictions", nargs="+")
    options = parser.parse_args(arguments)
    try:
        dataset = Dataset.load(options.dataset)
        found = [expected_precision(dataset, load_predictions(file)[0]) for file in options.predictions]
    except XMCError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    best = dataset.manifest.ceiling or {}
    for name, row in zip(["best possible", *options.predictions], [best, *found], strict=True):
        print("  ".join(f"{metric} {value:.2f}" for metric, value in row.items()) + f"  {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
