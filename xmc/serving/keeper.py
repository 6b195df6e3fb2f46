"""Looks after an index while it is searched: changes are saved together, new versions taken up."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from xmc.counted import counted
from xmc.errors import XMCError
from xmc.serving.batcher import Busy
from xmc.serving.changes import Change, Outcome
from xmc.serving.live_index import LiveIndex, Snapshot

__all__ = ["Keeper"]

_log = logging.getLogger(__name__)
_MOST_WAITING = 64
_Asked = tuple[Change, "asyncio.Future[tuple[Outcome, Snapshot]]"]


class Keeper:
    """One thread that changes and reopens a live index, beside the one that searches it.

    Saving writes the whole index, so all changes that came during a save go into the next one together.

    Args:
        live: The index.
        every: Seconds between two looks at the folder.
    """

    def __init__(self, live: LiveIndex, *, every: float) -> None:
        self.live = live
        self._every = every
        self._thread = ThreadPoolExecutor(1, "xmc-keeper")
        self._asked: list[_Asked] = []
        self._come = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look at the folder and to take changes, in the running event loop."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._watch()), loop.create_task(self._change())]

    async def stop(self) -> None:
        """End when what is being saved or opened is done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)

    async def change(self, change: Change) -> tuple[Outcome, Snapshot]:
        """Make a change; what it did, and the version that has it.

        Raises:
            Busy: When too many changes wait already.
            XMCError: When it cannot be made, or the index cannot be saved.
        """
        if len(self._asked) >= _MOST_WAITING:
            raise Busy
        answer: asyncio.Future[tuple[Outcome, Snapshot]] = asyncio.get_running_loop().create_future()
        self._asked.append((change, answer))
        self._come.set()
        return await answer

    async def reload(self) -> bool:
        """Take up the version in the folder now, if it is another; whether it was.

        Raises:
            XMCError: When it cannot be opened.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: self.live.refresh(again=True)
        )

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._every)
            try:
                if await loop.run_in_executor(self._thread, self.live.refresh):
                    _log.info("searching another version: %s", counted(len(self.live.current.index), "label"))
            except Exception as error:
                # Whatever it is, the version before is searched on, and the next look is a new try.
                _log.error("the new version in %s cannot be searched: %s", self.live.folder, error)

    async def _change(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._come.wait()
            asked, self._asked = self._asked, []
            self._come.clear()
            changes = [change for change, _ in asked]
            try:
                outcomes = await loop.run_in_executor(self._thread, self.live.apply, changes)
            except Exception as error:
                outcomes = [error if isinstance(error, XMCError) else _unforeseen(error)] * len(asked)
            snapshot = self.live.current
            for (_, answer), outcome in zip(asked, outcomes, strict=True):
                if answer.done():  # its client gave up: the change was made all the same
                    continue
                if isinstance(outcome, Outcome):
                    answer.set_result((outcome, snapshot))
                else:
                    answer.set_exception(outcome)


def _unforeseen(error: Exception) -> XMCError:
    _log.exception("a change to the labels failed")
    return XMCError(f"expected to change and save the index, got {type(error).__name__}: {error}")
