"""The options that `xmc compare` and `xmc report` share."""

from __future__ import annotations

import jsonargparse

__all__ = ["add_comparison_options"]


def add_comparison_options(parser: jsonargparse.ArgumentParser) -> None:
    """Which queries are compared on, and the seed of the statistics."""
    parser.add_argument(
        "--dataset",
        "--data.path",
        dest="dataset",
        default=None,
        help="A prepared data set's folder; the one the runs were trained on when left out.",
    )
    parser.add_argument("--split", default="test", choices=("test", "train"), help="Whose queries.")
    parser.add_argument("--seed", type=int, default=0, help="Of the resamples and sign flips.")
