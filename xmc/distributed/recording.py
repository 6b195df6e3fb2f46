"""What collectives cost while somebody asks: seconds, bytes and calls of this rank."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from xmc.distributed.presence import waiting

__all__ = ["CollectiveCost", "record_collectives", "recorded"]


@dataclass(eq=False)  # told apart in the list of active ones, however equal their sums
class CollectiveCost:
    """The sums over the collectives of a recording; ``num_bytes`` is what this rank put in."""

    seconds: float = 0.0
    num_bytes: int = 0
    num_calls: int = 0


_active: list[CollectiveCost] = []


@contextmanager
def record_collectives() -> Iterator[CollectiveCost]:
    """Add up the collectives of this process until the block ends. On a GPU every one is waited for."""
    cost = CollectiveCost()
    _active.append(cost)
    try:
        yield cost
    finally:
        _active.remove(cost)


@contextmanager
def recorded(tensor: Tensor) -> Iterator[None]:
    """Around one collective of ``tensor``; costs next to nothing while nobody records."""
    if not _active:
        with waiting():
            yield
        return
    # What the device was busy with before is not the collective's.
    _wait_for(tensor)
    started = time.perf_counter()
    with waiting():
        yield
    _wait_for(tensor)
    for cost in _active:
        cost.seconds += time.perf_counter() - started
        cost.num_bytes += tensor.nbytes
        cost.num_calls += 1


def _wait_for(tensor: Tensor) -> None:
    if tensor.is_cuda:
        import torch

        torch.cuda.synchronize(tensor.device)
