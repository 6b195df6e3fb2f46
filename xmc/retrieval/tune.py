"""What a search costs and what it misses, over how much it looks at, and over kinds of index."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError, DataError
from xmc.retrieval.label_index import LabelIndex

__all__ = ["Trial", "cheapest", "check_recall", "exact_twin", "front", "measure_index", "recall_of", "remade"]

_SINGLE_QUERIES = 50
_REFINED = (1, 4, 16, 64)
_LEAST_SECONDS = 0.2


@dataclass(frozen=True)
class Trial:
    """One way to search, measured."""

    kind: str
    parameters: dict[str, int]
    recall: float
    """Share of the k best labels of an exact search that are among the k found; the mean over queries."""
    queries_per_second: float
    """All queries in one call."""
    milliseconds: float
    """Of one query alone, the median; its encoding not counted."""
    megabytes: float
    """Of the index on disk, which is about what it takes in memory."""
    build_seconds: float | None = None
    """From the vectors; None of an index that was there."""
    note: str = field(default="", compare=False)


def exact_twin(index: LabelIndex) -> LabelIndex:
    """An exact index of the same labels, whose ids are positions among those of ``index`` that are live.

    It ranks by the model alone. Of its vectors; of one that has only compressed ones, or several of a label,
    by encoding the texts again.
    """
    return remade(index.by_vectors_alone(), kind="exact")


def remade(index: LabelIndex, *, kind: str, storage: str = "float32", refine: bool = False) -> LabelIndex:
    """An index of the same labels as another kind, of an index that ranks by its model alone.

    As `exact_twin`: of its vectors where `LabelIndex.merge` can, else of its texts.

    Raises:
        ConfigError: When there is no such kind, or too few labels for it.
    """
    if index.has_exact_vectors and not index.manifest.has_several_texts:
        return LabelIndex.merge([index], kind=kind, storage=storage, refine=refine, progress=False)
    live = index.live_ids.tolist()
    texts, uids = [index.texts[i] for i in live], [index.uids[i] for i in live]
    return LabelIndex.build(index.encoder, texts, uids=uids, kind=kind, storage=storage, refine=refine)


def measure_index(
    index: LabelIndex,
    queries: NDArray[np.float32],
    best: NDArray[np.int64],
    *,
    megabytes: float | None = None,
    build_seconds: float | None = None,
) -> Iterator[Trial]:
    """A trial for each setting of an index, from little to all that it can look at; its own setting stays.

    Args:
        index: Its ids are those of ``best``.
        queries: [N, D] embeddings.
        best: [N, k] ids of an exact search.
        megabytes: On disk, where that is known.
        build_seconds: To be told.
    """
    own = index.parameters
    size = _megabytes(index) if megabytes is None else megabytes
    try:
        for setting in _settings(index):
            if setting:
                index.tune(**setting)
            ids, rate = _rate(index, queries, best.shape[1])
            yield Trial(
                index.manifest.described,
                setting,
                recall_of(ids, best),
                rate,
                _single(index, queries, best.shape[1]),
                size,
                build_seconds,
            )
    finally:
        if own:
            index.tune(**own)


def recall_of(ids: NDArray[np.int64], best: NDArray[np.int64]) -> float:
    """Mean share of the labels of ``best`` [N, k] that are in ``ids`` [N, k]; pads of -1 do not count."""
    shares = [
        len(set(mine) & own) / len(own)
        for mine, theirs in zip(ids.tolist(), best.tolist(), strict=True)
        if (own := set(theirs) - {-1})
    ]
    if not shares:
        raise DataError("expected at least one label to find, got none")
    return float(np.mean(shares))


def cheapest(trials: Sequence[Trial], recall: float) -> Trial | None:
    """The trial with the most queries a second of those with at least that recall; None when none has it."""
    good = [trial for trial in trials if trial.recall >= recall]
    return max(good, key=lambda trial: trial.queries_per_second, default=None)


def front(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that no other beats in both recall and queries a second, by recall ascending."""
    kept = [
        one
        for one in trials
        if not any(
            other.recall >= one.recall
            and other.queries_per_second >= one.queries_per_second
            and (other.recall, other.queries_per_second) != (one.recall, one.queries_per_second)
            for other in trials
        )
    ]
    return sorted(kept, key=lambda trial: trial.recall)


def _settings(index: LabelIndex) -> list[dict[str, int]]:
    """Every power of two of what can be set, up to all there is; the product where there are several."""
    known = index.parameters
    most = {"nprobe": max(index.lists, 1), "efSearch": 1024}
    choices: list[list[int]] = []
    for name in known:
        if name in most:
            first = 16 if name == "efSearch" else 1
            powers = [first << step for step in range(24) if first << step < most[name]]
            choices.append([*powers, most[name]])
        else:
            choices.append(list(_REFINED))
    return [dict(zip(known, values, strict=True)) for values in product(*choices)]


def _rate(index: LabelIndex, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], float]:
    """What is found, and queries a second: of the fastest of several passes where one is short."""
    fastest, spent = float("inf"), 0.0
    while True:
        started = time.perf_counter()
        ids, _ = index.search_vectors(queries, k)
        seconds = time.perf_counter() - started
        fastest, spent = min(fastest, seconds), spent + seconds
        if spent >= _LEAST_SECONDS:
            return ids, len(queries) / fastest


def _single(index: LabelIndex, queries: NDArray[np.float32], k: int) -> float:
    times = []
    for query in queries[:_SINGLE_QUERIES]:
        started = time.perf_counter()
        index.search_vectors(query, k)
        times.append(time.perf_counter() - started)
    return 1000 * float(np.median(times))


def _megabytes(index: LabelIndex) -> float:
    with TemporaryDirectory() as folder:
        index.save(Path(folder) / "index")
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6


def check_recall(recall: float) -> None:
    """Refuse what is no recall to reach.

    Raises:
        ConfigError: Unless it is above 0 and at most 1.
    """
    if not 0 < recall <= 1:
        raise ConfigError(f"expected a recall above 0 and at most 1, got {recall}")
