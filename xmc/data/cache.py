"""Where what is made from a data set once and kept goes: beside it, or into the user's cache."""

from __future__ import annotations

import logging
import os
from pathlib import Path

__all__ = ["user_cache", "writable_folder"]

_log = logging.getLogger(__name__)
_told: set[Path] = set()


def user_cache() -> Path:
    """``xmc`` in the folder that the XDG base directory specification gives to caches."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    return (Path(given) if os.path.isabs(given) else Path.home() / ".cache") / "xmc"


def writable_folder(preferred: Path) -> Path:
    """``preferred``, or the folder of the same name in :func:`user_cache` where it cannot be written.

    The second is logged, once a process. What is kept there must have a name that tells its content, as data
    sets share that folder.
    """
    existing = next(place for place in (preferred, *preferred.absolute().parents) if place.exists())
    if os.access(existing, os.W_OK):
        return preferred
    fallback = user_cache() / preferred.name
    if preferred not in _told:
        _told.add(preferred)
        _log.warning("%s cannot be written: kept in %s instead", preferred, fallback)
    return fallback
