"""Ctrl-C during training: the running step is finished on every rank, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

import torch

from xmc.distributed import World, all_reduce_max

__all__ = ["InterruptGuard"]


class InterruptGuard:
    """Within the block the first SIGINT or SIGTERM only asks to stop; a second SIGINT stops at once."""

    def __init__(self, world: World, device: torch.device) -> None:
        self.world, self.device = world, device
        self.asked = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> InterruptGuard:
        """Take over SIGINT and SIGTERM (main thread only: others cannot)."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True

    def stop_now(self) -> bool:
        """Whether any rank was asked to stop. Over W ranks: one all-reduce of one number."""
        if self.world.size == 1:
            return self.asked
        return bool(all_reduce_max(torch.tensor(float(self.asked), device=self.device), self.world))
