"""What the main rank alone can do, and all ranks have to know of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

from xmc.distributed.world import World
from xmc.errors import XMCError

__all__ = ["from_main"]

T = TypeVar("T")


def from_main(make: Callable[[], T], world: World) -> T:
    """What ``make()`` returns on the main rank, on every rank. Over W ranks: one broadcast of objects.

    Raises:
        XMCError: Where it raises one there, the same on every rank, so that none waits for the others.
    """
    if world.size == 1:
        return make()
    said: list[Any] = [None, None]
    error: XMCError | None = None
    if world.is_main:
        try:
            said[0] = make()
        except XMCError as raised:
            error = raised
            said[1] = (type(raised), str(raised))
    dist.broadcast_object_list(said, src=0)
    if error is not None:
        raise error
    if said[1] is not None:
        kind, text = said[1]
        raise kind(text)
    made: T = said[0]
    return made
