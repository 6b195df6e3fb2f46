"""Runs a command in a time and watches what memory it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Ended", "run_within"]

EVERY = 0.05
"""Seconds between two looks at its memory."""

LIBRARIES = ("OMP", "MKL", "OPENBLAS", "RAYON", "NUMEXPR")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int | None
    """Its exit code; None where its time was over."""
    seconds: float
    peak_bytes: int
    """Most resident memory of it and its children together, as looked at 20 times a second."""


def run_within(
    command: Sequence[str], limit: float, threads: int, log: Path, more: Mapping[str, str] | None = None
) -> Ended:
    """Run ``command`` with that many threads a library, ``limit`` seconds at most; ``log`` takes its words.

    It is given this process's environment variables without the path of modules, and ``more``.
    """
    settings = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    settings |= {f"{library}_NUM_THREADS": str(threads) for library in LIBRARIES} | dict(more or {})
    started, peak = time.perf_counter(), 0
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=settings,
            start_new_session=True,
        )
        try:
            while process.poll() is None and time.perf_counter() - started < limit:
                peak = max(peak, _resident(process.pid))
                time.sleep(EVERY)
            code = process.poll()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return Ended(code, time.perf_counter() - started, peak)


def _resident(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for member in family:
        try:
            total += member.memory_info().rss
        except psutil.Error:
            continue
    return total
