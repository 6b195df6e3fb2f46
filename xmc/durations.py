"""Times as a person says them, and what work takes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from xmc.errors import ConfigError

__all__ = ["duration", "least_seconds", "seconds_of"]

_UNITS = {"h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0, "": 1.0}


def duration(seconds: float) -> str:
    """45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def least_seconds(work: Callable[[], object], times: int = 10, within: float = 2.0) -> float:
    """What work takes, the least of some times, as whatever else the machine does only adds to it.

    Args:
        work: Done at least once.
        times: At most.
        within: Seconds after which it is not done again.
    """
    found: list[float] = []
    while len(found) < times and sum(found) < within:
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


def seconds_of(text: str, option: str) -> float:
    """Seconds of "90s", "10m", "1h30m" or a plain number of seconds.

    >>> seconds_of("1h30m", "--budget")
    5400.0

    Raises:
        ConfigError: Naming ``option``, for anything else and for no time at all.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*(h|min|m|s|)", text.strip())
    whole = "".join(number + unit for number, unit in parts) == re.sub(r"\s", "", text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not whole or not seconds > 0:
        raise ConfigError(f"{option}: expected a time such as 90s, 10m or 1h30m, got {text!r}")
    return seconds
