"""Checks of single options, which name the key of the recipe. Imports no torch."""

from __future__ import annotations

import math

from xmc.errors import ConfigError

__all__ = ["at_least", "one_of", "positive"]


def positive(key: str, value: float) -> None:
    """Raise a `ConfigError` unless ``value`` is above 0 and finite."""
    if not 0 < value < math.inf:
        raise ConfigError(f"{key}: expected a number above 0, got {value}")


def at_least(key: str, value: float, lowest: int) -> None:
    """Raise a `ConfigError` unless ``value`` is a whole number of at least ``lowest``."""
    if not lowest <= value < math.inf or value != int(value):
        raise ConfigError(f"{key}: expected a whole number of at least {lowest}, got {value}")


def one_of(key: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise a `ConfigError` unless ``value`` is among ``choices``."""
    if value not in choices:
        raise ConfigError(f"{key}: expected one of {', '.join(choices)}, got {value!r}")
