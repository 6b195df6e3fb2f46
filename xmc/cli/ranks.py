"""Joins the ranks that a launcher started a command on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from xmc.distributed import launched_size

__all__ = ["Place", "join_ranks"]


@dataclass(frozen=True)
class Place:
    """Where this process stands: its device (None: the library's choice) and whether it prints and writes."""

    device: str | None = None
    is_main: bool = True


@contextmanager
def join_ranks() -> Iterator[Place]:
    """Join the process group a launcher started this process for; a process alone joins nothing."""
    if (launched_size(os.environ) or 1) == 1:
        yield Place()
        return
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.accelerator.is_available())
    try:
        yield Place(str(state.device), state.is_main_process)
    finally:
        state.destroy_process_group()
