"""Lists of predictions that end before a metric's cut-off: counted, and said in one line."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from xmc.counted import agreeing, counted

__all__ = ["short_lists", "warn_of_short_lists"]

_log = logging.getLogger(__name__)


def short_lists(lengths: NDArray[np.int64], room: NDArray[np.int64], cut: int) -> int:
    """How many queries have fewer predictions than ``cut`` where there are labels for more.

    Args:
        lengths: [N], predictions of each query as they were given. Filter pairs among them count, as leaving
            these out is not the predictions' fault.
        room: [N], labels that could be predicted: all but the filtered ones.
        cut: Of a metric.
    """
    return int((lengths < np.minimum(cut, room)).sum())


def warn_of_short_lists(
    name: str, lengths: NDArray[np.int64], room: NDArray[np.int64], cuts: Sequence[int]
) -> None:
    """Log, for all cut-offs, how many queries have fewer predictions where there are labels for more.

    Args:
        name: Of the predictions.
        lengths: [N], as in `short_lists`.
        room: [N], likewise.
        cuts: Cut-offs of the metrics.
    """
    counts = {k: short_lists(lengths, room, k) for k in sorted(set(cuts))}
    short, none = {k: count for k, count in counts.items() if count}, int((lengths == 0).sum())
    if set(short.values()) == {none}:
        _log.warning(
            "%s: %s %s no predictions: metrics count what is missing as wrong",
            *(name, _of(none, len(lengths)), agreeing(none, "has", "have")),
        )
    elif short:
        parts = [
            f"{_of(count, len(lengths))} {agreeing(count, 'has', 'have')} fewer than "
            f"{_either([k for k, _ in group])}"
            for count, group in groupby(short.items(), key=itemgetter(1))
        ]
        _log.warning(
            "%s: %s predictions (%s %s none): metrics at these cut-offs count what is missing as wrong",
            *(name, ", ".join(parts), f"{none:,}", agreeing(none, "has", "have")),
        )


def _of(count: int, whole: int) -> str:
    return f"{count:,} of {counted(whole, 'query', 'queries')}"


def _either(cuts: Sequence[int]) -> str:
    *others, last = map(str, cuts)
    return f"{', '.join(others)} or {last}" if others else last
