"""The options that `xmc compare` and `xmc report` share."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["add_comparison_options"]


def add_comparison_options(add: Callable[..., object]) -> None:
    """Add which queries are compared on, and the seed of the statistics, with ``add_argument``."""
    add(
        "--dataset",
        "--data.path",
        dest="dataset",
        default=None,
        help="A prepared data set's folder; the one the runs were trained on when left out.",
    )
    add("--split", default="test", choices=("test", "train"), help="Whose queries.")
    add("--seed", type=int, default=0, help="Of the resamples and sign flips.")
