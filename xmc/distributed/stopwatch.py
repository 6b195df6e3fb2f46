"""Where the time of a training step goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from xmc.distributed import record_collectives

__all__ = ["SILENT", "StepProfile", "StopWatch"]


@dataclass(eq=False)
class StopWatch:
    """Adds up the seconds of a step's parts, which do not nest, without those of the collectives within.

    A silent one, the default of training, only runs the blocks. One that measures waits for the GPU at both
    ends of a part, which slows a step a little.
    """

    device: torch.device | None = None
    """Where the step runs; None is silent."""

    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    clock: Callable[[], float] = time.perf_counter
    """``time.process_time`` counts processor time of all threads, which other processes hardly change."""

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Around one part of a step."""
        if self.device is None:
            yield
            return
        started = self._now()
        with record_collectives() as collectives:
            yield
        spent = self._now() - started - collectives.seconds
        self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def count(self, name: str, number: int) -> None:
        """Add to a number of things done, such as texts."""
        if self.device is not None:
            self.counts[name] = self.counts.get(name, 0) + number

    def _now(self) -> float:
        if self.device is not None and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.clock()


SILENT = StopWatch()


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
