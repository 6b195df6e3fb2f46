"""Searches of several clients taken together: a batch costs little more than one query of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Batcher", "Busy"]

R = TypeVar("R")


class Busy(Exception):
    """More texts wait than may."""


@dataclass(eq=False)
class _Waiting(Generic[R]):
    texts: Sequence[str]
    k: int
    answer: asyncio.Future[R] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher(Generic[R]):
    """Hands the texts of all that wait to one worker thread, at most ``most`` at a time.

    While the worker is busy the next batch gathers by itself. A free worker waits ``wait`` seconds for more,
    but only when the batch before was of several requests: a lone client would wait for nobody.

    Args:
        work: Answers requests of (texts, k), one answer for each; called in the worker thread.
        most: Texts of a batch; a request that has more is a batch of its own.
        wait: Seconds.
        room: Texts that may wait.
    """

    def __init__(
        self,
        work: Callable[[Sequence[tuple[Sequence[str], int]]], Sequence[R]],
        *,
        most: int,
        wait: float,
        room: int,
    ) -> None:
        self._work, self._most, self._wait, self._room = work, most, wait, room
        self._waiting: deque[_Waiting[R]] = deque()
        self._num_texts = 0
        self._several = False
        self._woken = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, "xmc-search")
        self._task: asyncio.Task[None] | None = None

    @property
    def num_waiting(self) -> int:
        """Texts that wait for their batch."""
        return self._num_texts

    def start(self) -> None:
        """Begin to take batches, in the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End when the batch in work is answered; what still waits is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for request in self._waiting:
            request.answer.cancel()
        await asyncio.to_thread(self._worker.shutdown)

    async def ask(self, texts: Sequence[str], k: int) -> R:
        """The answer of the batch that these texts go into.

        Raises:
            Busy: When there is no room to wait.
        """
        if self._num_texts and self._num_texts + len(texts) > self._room:
            raise Busy
        request: _Waiting[R] = _Waiting(texts, k)
        self._waiting.append(request)
        self._num_texts += len(texts)
        self._woken.set()
        try:
            return await request.answer
        except asyncio.CancelledError:  # its client gave up: others may have its room
            if request in self._waiting:
                self._waiting.remove(request)
                self._num_texts -= len(texts)
            raise

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._woken.wait()
            if self._several and self._wait and self._num_texts < self._most:
                await asyncio.sleep(self._wait)
            batch = self._next()
            self._several = len(batch) > 1
            if not batch:
                continue
            for request, answer in zip(
                batch, await loop.run_in_executor(self._worker, self._answers, batch), strict=True
            ):
                if request.answer.done():  # its client gave up meanwhile
                    continue
                if isinstance(answer, Exception):
                    request.answer.set_exception(answer)
                else:
                    request.answer.set_result(answer)

    def _answers(self, batch: Sequence[_Waiting[R]]) -> Sequence[R | Exception]:
        """One answer for each request; what fails together is tried one by one, so that one fails alone."""
        try:
            return self._work([(request.texts, request.k) for request in batch])
        except Exception as error:
            return [error] if len(batch) == 1 else [self._answers([request])[0] for request in batch]

    def _next(self) -> list[_Waiting[R]]:
        """The requests that come first and fit a batch, without those that nobody waits for any more."""
        batch: list[_Waiting[R]] = []
        size = 0
        while self._waiting and (not batch or size + len(self._waiting[0].texts) <= self._most):
            request = self._waiting.popleft()
            self._num_texts -= len(request.texts)
            if not request.answer.done():
                batch.append(request)
                size += len(request.texts)
        if not self._waiting:
            self._woken.clear()
        return batch
