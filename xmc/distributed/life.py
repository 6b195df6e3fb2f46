"""Signs of life: of another rank its process or its beats, of this one its processor time and collectives."""

from __future__ import annotations

import time

import psutil
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from xmc.distributed.presence import Presence

__all__ = ["BEAT", "Idle", "Peer"]

BEAT = 2.0
"""Seconds between two beats, and two looks."""

IDLE = 0.01
"""Share of a core below which a process does nothing: threads that only wait take far less."""


class Peer:
    """Another rank: its process, where this one can look at it, and the last sign of it.

    Args:
        pid: Its process.
        created: When that began, as psutil tells it there; seconds since 1970.
        host: The name of its machine.
        here: Whether that is this machine's name.
    """

    def __init__(self, pid: int, created: float, host: str, here: bool) -> None:
        self.pid, self.host = pid, host
        self.process = _process(pid, created) if here else None
        self.beat, self.seen, self.silent = b"", time.monotonic(), 0.0

    def lost(self, store: TCPStore, rank: int, timeout: float) -> str | None:
        """Why it is taken for lost, or None."""
        if self.process is not None:
            return None if _runs(self.process) else f"died (process {self.pid} on {self.host} is gone)"
        now, key = time.monotonic(), f"beat/{rank}"
        beat = store.get(key) if store.check([key]) else b""
        # Of a process that was suspended itself, no more than its own looks count.
        self.silent = 0.0 if beat != self.beat else self.silent + min(now - self.seen, 2 * BEAT)
        self.beat, self.seen = beat, now
        if self.silent <= timeout:
            return None
        return f"gave no sign of life for {timeout:g} s (process {self.pid} on {self.host})"


def _process(pid: int, created: float) -> psutil.Process | None:
    """The process that began then, or None where that cannot be told: its beats say whether it lives.

    Two containers may share the name of a host and not its processes.
    """
    try:
        process = psutil.Process(pid)
        same: bool = process.create_time() == created
    except psutil.Error:
        return None
    return process if same else None


def _runs(process: psutil.Process) -> bool:
    # The time it began moves with the system's clock and is compared once; psutil's own mark of it does not.
    try:
        runs: bool = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return runs
    except psutil.NoSuchProcess:
        return False


class Idle:
    """For how long this process should have done something and has done nothing."""

    def __init__(self) -> None:
        self.since, self.used, self.passed = time.monotonic(), _used(), 0
        self.total = 0.0

    def seconds(self, presence: Presence) -> float:
        """Seconds in a row, up to now."""
        now, used, passed = time.monotonic(), _used(), presence.passed
        span = min(now - self.since, 2 * BEAT)
        busy = used - self.used > IDLE * span or passed != self.passed
        self.since, self.used, self.passed = now, used, passed
        idle = presence.answering is not None and not presence.waiting and not busy
        self.total = self.total + span if idle else 0.0
        return self.total


def _used() -> float:
    # Of all threads but the one that asks.
    return time.process_time() - time.thread_time()
