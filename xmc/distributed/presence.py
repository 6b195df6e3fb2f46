"""What this rank is at, for the watch of the ranks: waiting for others, or expected to do something."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["PRESENCE", "Presence", "answering", "waiting"]


@dataclass
class Presence:
    """What the thread that ranks look at is at.

    Attributes:
        thread: The one that entered :func:`.watch.watch_ranks`; None where nobody looks.
        answering: What it is expected to be busy with, or None: then it may be silent as long as it likes.
        waiting: Whether it waits for other ranks.
        passed: How many collectives it has been through.
    """

    thread: int | None = None
    answering: str | None = None
    waiting: bool = False
    passed: int = 0


PRESENCE = Presence()
"""Of this process: ranks are processes."""


@contextmanager
def answering(what: str) -> Iterator[None]:
    """Around work that never stands still for long, such as a step: doing nothing in it is a hang."""
    before, PRESENCE.answering = PRESENCE.answering, what
    try:
        yield
    finally:
        PRESENCE.answering = before


@contextmanager
def waiting() -> Iterator[None]:
    """Around a collective, where a rank waits for as long as the others take."""
    if threading.get_ident() != PRESENCE.thread:
        yield
        return
    before, PRESENCE.waiting = PRESENCE.waiting, True
    try:
        yield
    finally:
        PRESENCE.waiting = before
        PRESENCE.passed += 1
