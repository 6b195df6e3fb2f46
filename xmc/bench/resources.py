"""The time and the peak memory of a function on a CPU."""

from __future__ import annotations

import ctypes
import gc
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

__all__ = ["fastest", "mark_resident", "peak_extra_bytes", "peak_resident"]

Name = TypeVar("Name")
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def fastest(functions: Mapping[Name, Callable[[], object]], repeats: int) -> dict[Name, float]:
    """The shortest of ``repeats`` runs of each function, in seconds.

    The functions take turns, so that other work on the machine falls on all of them alike.
    """
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(repeats):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def peak_extra_bytes(function: Callable[[], object]) -> int | None:
    """How far the resident memory of this process rose while ``function`` ran; None where not Linux."""
    before = mark_resident()
    function()
    return None if before is None else max(0, peak_resident() - before)


def mark_resident() -> int | None:
    """Resident bytes of this process, from which :func:`peak_resident` counts anew; None where not Linux."""
    if not (_STATUS.exists() and _CLEAR.exists()):
        return None
    # What earlier work has freed but not given back would be reused unseen, and hide what comes.
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
    _CLEAR.write_text("5")  # resets the high-water mark
    return _resident("VmRSS")


def peak_resident() -> int:
    """The most resident bytes since the last mark."""
    return _resident("VmHWM")


def _resident(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"expected a line {field} in {_STATUS}")
