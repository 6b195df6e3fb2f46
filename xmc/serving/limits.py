"""How much a server takes from whoever can reach it: every bound, its default and its unit."""

from __future__ import annotations

from dataclasses import dataclass, fields

from xmc.errors import ConfigError

__all__ = ["ServingLimits"]


@dataclass(frozen=True)
class ServingLimits:
    """Bounds on requests; each is an option of ``xmc serve`` and is told by ``GET /info``."""

    max_text: int = 10_000
    """Characters of a query or of a label's text."""

    max_texts: int = 256
    """Queries of a request."""

    max_k: int = 1_000
    """Labels of a query."""

    max_changes: int = 1_000
    """Labels of a request that adds, puts or removes them."""

    max_body: int = 16 << 20
    """Bytes of a request's body."""

    max_seconds: float = 10.0
    """Seconds until a search is given up, and until a request's body has to be there."""

    max_change_seconds: float = 120.0
    """Seconds that a change to the labels is waited for; it is encoded, and the whole index written."""

    max_waiting: int = 1_024
    """Queries that wait to be searched: more are refused until there is room."""

    batch_texts: int = 64
    """Queries encoded and searched at once; a request that has more is a batch of its own."""

    batch_wait: float = 0.002
    """Seconds that a batch waits for more queries, while they come from several clients."""

    def __post_init__(self) -> None:
        """Refuse bounds that let nothing pass.

        Raises:
            ConfigError: Naming the bound.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if not (value > 0 or (value == 0 and field.name == "batch_wait")):
                raise ConfigError(f"{field.name}: expected more than 0, got {value}")
