"""How a run ends before its last step: the running one is finished on every rank, so that all is whole."""

from __future__ import annotations

import enum
import signal
import threading
import time
from types import FrameType, TracebackType

import torch

from xmc.distributed import World, all_reduce_max

__all__ = ["InterruptGuard", "Interrupted", "Verdict"]

ECHO_SECONDS = 5.0
"""A launcher passes on the Ctrl-C that its terminal sent to every process already."""


class Verdict(enum.IntEnum):
    """What ranks agree on between two steps; of different wishes the larger one counts."""

    GO_ON = 0
    SAVE = 1
    """Save a checkpoint and go on."""
    STOP = 2
    """Finish the run, as after its last step."""
    INTERRUPT = 3
    """Save a checkpoint and leave, as SIGINT was sent."""
    TERMINATE = 4
    """The same, as SIGTERM was sent."""


class Interrupted(KeyboardInterrupt):
    """The run ended between two steps, on every rank, as one was sent a signal.

    Attributes:
        exit_code: Of a command that ends by it: 130 for SIGINT, 143 for SIGTERM.
    """

    agreed = True

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self.exit_code = 128 + (signal.SIGTERM if verdict is Verdict.TERMINATE else signal.SIGINT)


class InterruptGuard:
    """Within the block the first SIGINT or SIGTERM only asks to stop; a second SIGINT stops at once."""

    def __init__(self, world: World, device: torch.device) -> None:
        self.world, self.device = world, device
        self.asked: Verdict | None = None
        self._when = 0.0
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
        now = time.monotonic()
        if (
            self.asked
            and number == signal.SIGINT
            and (self.world.size == 1 or now - self._when > ECHO_SECONDS)
        ):
            raise KeyboardInterrupt
        if self.asked is None:
            self.asked = Verdict.TERMINATE if number == signal.SIGTERM else Verdict.INTERRUPT
            self._when = now

    def agree(self, wish: Verdict = Verdict.GO_ON) -> Verdict:
        """What all ranks do now, by this one's wish and whether any was interrupted.

        Over W ranks: one all-reduce of one number.
        """
        wish = self.asked or wish
        if self.world.size == 1:
            return wish
        return Verdict(int(all_reduce_max(torch.tensor(float(wish), device=self.device), self.world)))
