"""The errors this package raises on purpose: each says what was expected, what came, and what to do."""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "DataError",
    "DependencyError",
    "IndexMismatchError",
    "ModelError",
    "NonFiniteError",
    "OutOfMemoryError",
    "RankError",
    "XMCError",
]


class XMCError(Exception):
    """Base of every error raised on purpose; the command line prints it without a traceback."""


class ConfigError(XMCError):
    """A configuration or argument that cannot work."""


class DataError(XMCError):
    """A data set or input file that is missing, malformed or inconsistent."""


class ModelError(XMCError):
    """A model folder that is missing, malformed or unfit for the request."""


class NonFiniteError(XMCError):
    """A loss that is NaN or infinite, raised alike on every rank."""


class OutOfMemoryError(XMCError):
    """Too little memory for the smallest micro-batch, raised alike on every rank."""


class RankError(XMCError):
    """Another rank of the run died, hung or failed; the text names it and the cause.

    A process that ends by it has the exit code ``exit_code``.
    """

    exit_code = 3


class IndexMismatchError(XMCError):
    """A label index used with a model that did not make it."""


class DependencyError(XMCError):
    """An optional package that is missing, or packages that exclude each other."""
