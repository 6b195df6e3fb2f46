"""What the routes of one server share, and what is started and stopped with it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmc.serving.batcher import Batcher
from xmc.serving.keeper import Keeper
from xmc.serving.limits import ServingLimits
from xmc.serving.live_index import LiveIndex, Snapshot
from xmc.serving.measures import Measures

__all__ = ["Found", "Service"]


@dataclass(frozen=True)
class Found:
    """The labels of one request's queries, and the version they were found in."""

    snapshot: Snapshot
    ids: NDArray[np.int64]
    """[N, K]; -1 where there are fewer."""
    scores: NDArray[np.float32]
    """[N, K]; -inf where there are fewer."""
    sure: NDArray[np.floating]
    """[N, K], what the snapshot's calibration goes by; without one the scores."""


class Service:
    """A live index, its two threads and what is measured of them.

    Args:
        live: The index.
        limits: The bounds on requests.
        token: What changes to the labels need; None allows none.
        watch: Seconds between two looks at the index folder.
    """

    def __init__(self, live: LiveIndex, limits: ServingLimits, token: str | None, watch: float) -> None:
        self.live, self.limits, self.token = live, limits, token
        self.measures = measures = Measures()
        self._watch = watch
        self.batcher: Batcher[Found]
        self.keeper: Keeper
        measures.observe(measures.labels, lambda: len(live.current.index))
        measures.observe(measures.generation, lambda: live.current.generation)
        measures.observe(measures.since, lambda: live.current.since)
        measures.observe(measures.stale, lambda: live.failure is not None)
        measures.observe(measures.waiting, lambda: self.batcher.num_waiting)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take requests, in the running event loop; what was begun is finished at the end."""
        limits = self.limits
        self.batcher = Batcher(
            self._search, most=limits.batch_texts, wait=limits.batch_wait, room=limits.max_waiting
        )
        self.keeper = Keeper(self.live, every=self._watch)
        self.batcher.start()
        self.keeper.start()
        try:
            yield
        finally:
            await self.batcher.stop()
            await self.keeper.stop()

    def _search(self, asked: Sequence[tuple[Sequence[str], int]]) -> list[Found]:
        """The labels of each request's texts; those of one depth are searched together."""
        started = time.perf_counter()
        snapshot = self.live.current
        alike: dict[int, list[int]] = {}
        for number, (_, k) in enumerate(asked):
            alike.setdefault(snapshot.depth(k), []).append(number)
        found: dict[int, Found] = {}
        for numbers in alike.values():
            found.update(zip(numbers, _together(snapshot, [asked[n] for n in numbers]), strict=True))
        self.measures.batch_texts.observe(sum(len(texts) for texts, _ in asked))
        self.measures.batch_seconds.observe(time.perf_counter() - started)
        return [found[number] for number in range(len(asked))]


def _together(snapshot: Snapshot, asked: Sequence[tuple[Sequence[str], int]]) -> list[Found]:
    """The labels of each request's texts, by one search."""
    texts = [text for part, _ in asked for text in part]
    ids, scores, sure = snapshot.search(texts, max(k for _, k in asked))
    found, start = [], 0
    for part, k in asked:
        rows = slice(start, start + len(part))
        found.append(Found(snapshot, ids[rows, :k], scores[rows, :k], sure[rows, :k]))
        start += len(part)
    return found
