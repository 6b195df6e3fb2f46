"""What the runner knows of a system: its script, its environment and its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Environment", "Peer"]


@dataclass(frozen=True)
class Environment:
    """Packages of one virtual environment, pinned as pip reads them."""

    name: str
    packages: tuple[str, ...]
    bare: tuple[str, ...] = ()
    """Installed without what they ask for: of a large package a small part may be all that is used."""
    pythons: tuple[str, ...] = ()
    """Versions, the best first, where not every Python will do: "3.11"."""
    pip: tuple[str, ...] = ()
    """More of pip's options."""


@dataclass(frozen=True)
class Peer:
    """A system in one setting."""

    name: str
    title: str
    """In the table."""
    script: Path
    environment: Environment | None
    """None: the one that the runner is in."""
    options: tuple[str, ...] = ()
    random: bool = True
    """Whether seeds differ: one that is not random is run with the first of them."""
