"""Ranks that look after one another: one that dies, hangs or fails ends the others, who name it and why.

Without it ranks wait for a lost one in a collective, which times out after half an hour. A thread of each
rank beats in a store of the main rank's every two seconds, and looks at the others:

- *died*: its process is gone (on this machine), or it beats no more (on another);
- *failed*: it left a word of its error as it ended;
- *hung*: within :func:`.presence.answering` (a step, a validation) it neither waited for others nor took any
  processor time for ``timeout`` seconds. A rank that waits in a collective, writes a model or computes for
  long does not hang; one that computes for ever is not seen.

A main thread that waits in a collective cannot be interrupted: the thread ends the process when it has not
ended by itself.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psutil
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from xmc.distributed.life import BEAT, Idle, Peer
from xmc.distributed.presence import PRESENCE
from xmc.distributed.world import World
from xmc.errors import RankError, XMCError

__all__ = ["watch_ranks"]

GRACE = 5.0
"""Seconds for a rank to end by itself, and to say why."""


@contextmanager
def watch_ranks(world: World, timeout: float) -> Iterator[None]:
    """Within the block ranks look after one another; nothing on one rank, or within another such block.

    Every rank calls it: one broadcast and one gather of objects.

    Args:
        world: The ranks.
        timeout: Seconds without a sign of life after which a rank hangs; 0 to leave ranks alone.

    Raises:
        RankError: Where this rank's block failed as another rank did.
    """
    if world.size == 1 or timeout <= 0 or PRESENCE.thread is not None:
        yield
        return
    PRESENCE.thread = threading.get_ident()
    try:
        watch = _RankWatch(world, timeout, PRESENCE.thread)
        try:
            yield
        except BaseException as error:
            cause = watch.leave(error)
            if cause is not None:
                raise RankError(cause) from error
            raise
        else:
            watch.leave(None)
    finally:
        PRESENCE.thread = None


class _RankWatch:
    def __init__(self, world: World, timeout: float, watched: int) -> None:
        self.world, self.timeout, self.watched = world, timeout, watched
        host = os.environ.get("MASTER_ADDR", "127.0.0.1")
        patience = timedelta(seconds=max(GRACE, timeout / 2))
        place: list[object] = [None]
        if world.is_main:
            self.store = TCPStore(host, 0, is_master=True, timeout=patience, wait_for_workers=False)
            place = [self.store.port]
        dist.broadcast_object_list(place, src=0)
        if not world.is_main:
            self.store = TCPStore(host, int(str(place[0])), is_master=False, timeout=patience)
        me = (os.getpid(), psutil.Process().create_time(), socket.gethostname())
        everyone: list[tuple[int, float, str]] = [me] * world.size
        dist.all_gather_object(everyone, me)
        self.peers = {
            rank: Peer(*said, here=said[2] == me[2])
            for rank, said in enumerate(everyone)
            if rank != world.rank
        }
        self.known: str | None = None  # why the run ends, once this rank has seen it
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._watch, name="rank-watch", daemon=True)
        self.thread.start()

    def leave(self, error: BaseException | None) -> str | None:
        """End the watch; why this rank fails, when that is another's fault."""
        self.stopped.set()
        self.thread.join(GRACE)
        cause = None
        # Of the ranks whose peer is lost, each gets an error of the collective that it was in.
        if isinstance(error, RuntimeError) and not isinstance(error, XMCError):
            deadline = time.monotonic() + GRACE
            while cause is None and time.monotonic() < deadline:
                cause = self._cause()
                time.sleep(0.1)
        try:
            if error is None or getattr(error, "agreed", False):
                self._done()
            elif cause is None:
                self._report(f"rank {self.world.rank} failed: {_said(error)}")
            self._keep_store()
        except RuntimeError:
            pass  # the store's rank is gone, and there is nobody to tell
        return cause

    def _watch(self) -> None:
        """The thread: beats and looks until it is stopped or a rank is lost."""
        idle, beats = Idle(), 0
        while not self.stopped.wait(BEAT):
            beats += 1
            try:
                self.store.set(f"beat/{self.world.rank}", str(beats))
            except RuntimeError:
                pass  # told by the look below
            cause = self._cause()
            if cause is None and idle.seconds(PRESENCE) > self.timeout:
                where = _innermost(self.watched)
                cause = (
                    f"rank {self.world.rank} hangs in {PRESENCE.answering}: for {self.timeout:g} s it has "
                    f"done nothing and not waited for others (run.rank_timeout); it is at {where}"
                )
                self._report(cause)
                self._keep_store()
            if cause is not None and not self.stopped.wait(GRACE):
                self._end(cause)

    def _cause(self) -> str | None:
        """What ended another rank, or is known to have ended the run."""
        if self.known is not None:
            return self.known
        try:
            if self.store.check(["failed"]):
                self.known = self.store.get("failed").decode()
                self._done()
                return self.known
            for rank, peer in self.peers.items():
                reason = peer.lost(self.store, rank, self.timeout)
                if reason is not None and not self.store.check([f"done/{rank}"]):
                    return self._report(f"rank {rank} {reason}")
        except RuntimeError:
            main = self.peers.get(0)  # it keeps the store
            who = "" if main is None else f" (process {main.pid} on {main.host})"
            return f"rank 0 died, or cannot be reached{who}"
        return None

    def _report(self, cause: str) -> str:
        """Leave a cause where all ranks see it; the first one that was left."""
        self.known = self.store.compare_set("failed", "", cause).decode() or cause
        self._done()
        return self.known

    def _done(self) -> None:
        """This rank has ended its block, or knows why the run ends: it has no more to ask of the store."""
        self.store.set(f"done/{self.world.rank}", "1")

    def _keep_store(self) -> None:
        """Rank 0, with which the store ends, waits for the others to know of the end: two beats at most."""
        if not self.world.is_main:
            return
        deadline = time.monotonic() + 2 * BEAT
        while time.monotonic() < deadline:
            if all(self.store.check([f"done/{rank}"]) for rank in self.peers):
                return
            time.sleep(0.05)

    def _end(self, cause: str) -> None:
        print(f"error (rank {self.world.rank}): {cause}", file=sys.stderr, flush=True)
        os._exit(RankError.exit_code)


def _innermost(thread: int) -> str:
    frame = sys._current_frames().get(thread)
    if frame is None:
        return "an unknown place"
    last = traceback.extract_stack(frame)[-1]
    return f"{last.filename}:{last.lineno}, in {last.name}"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
