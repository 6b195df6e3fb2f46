"""Where the time of a training step goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch

from xmc.distributed import record_collectives

__all__ = ["SILENT", "StepProfile", "StopWatch", "Watch"]


class Watch(Protocol):
    """What is told of the parts of a step."""

    @property
    def part(self) -> Callable[[str], AbstractContextManager[object]]:
        """Called with a name, around one part of a step; parts do not nest."""
        ...


@dataclass(frozen=True)
class _Silent:
    """Runs the blocks and nothing else."""

    part: Callable[[str], AbstractContextManager[object]] = nullcontext


SILENT: Watch = _Silent()
"""The watch of a step that nobody measures."""


@dataclass(eq=False)
class StopWatch:
    """Adds up the seconds of a step's parts, without those of the collectives within.

    It waits for the GPU at both ends of a part, which slows a step a little.
    """

    device: torch.device
    """Where the step runs."""

    seconds: dict[str, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.perf_counter
    """``time.process_time`` counts processor time of all threads, which other processes hardly change."""

    @contextmanager
    def part(self, name: str, /) -> Iterator[None]:
        """See :class:`Watch`."""
        started = self._now()
        with record_collectives() as collectives:
            yield
        spent = self._now() - started - collectives.seconds
        self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.clock()


@dataclass(frozen=True)
class StepProfile:
    """What some steps of a run cost on this rank.

    Attributes:
        num_steps: Optimiser steps measured.
        seconds: Their wall time.
        parts: Seconds by part; what they leave of the wall time is "rest".
        collective_bytes: Bytes this rank put into collectives.
        rows: Training rows, over all ranks.
        texts: Queries and labels encoded on this rank.
        scores: Query-label pairs scored on this rank; 0 with a head, which scores none.
        peak_bytes: Most memory of the process (GPU: of its tensors) during the steps.
    """

    num_steps: int
    seconds: float
    parts: dict[str, float]
    collective_bytes: int
    rows: int
    texts: int
    scores: int
    peak_bytes: int

    def table(self) -> str:
        """A Markdown table of the parts, and a line of rates."""
        parts = {**self.parts, "rest": self.seconds - sum(self.parts.values())}
        lines = ["| part of a step | ms | share |", "|---|---|---|"]
        lines += [
            f"| {name} | {1000 * value / self.num_steps:,.1f} | {100 * value / self.seconds:.1f} % |"
            for name, value in parts.items()
        ]
        lines.append(f"| **step** | {1000 * self.seconds / self.num_steps:,.1f} | 100 % |")
        rates = ", ".join(
            [
                f"{self.num_steps} steps: {self.rows / self.seconds:,.0f} rows/s",
                f"{self.texts / self.seconds:,.0f} texts/s",
                f"{self.scores / self.seconds / 1e6:,.1f} million scores/s",
                f"peak memory {self.peak_bytes / 2**30:.2f} GiB",
                f"{self.collective_bytes / self.num_steps / 2**20:,.1f} MiB of collectives per step",
            ]
        )
        return "\n".join([*lines, "", rates])
