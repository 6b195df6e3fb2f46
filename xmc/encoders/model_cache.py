"""Where what is made from a model once and kept goes."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["model_cache"]


def model_cache() -> Path:
    """``$XMC_CACHE`` or ``~/.cache/xmc``; what is kept there has a name that tells its content."""
    return Path(os.environ.get("XMC_CACHE") or Path.home() / ".cache" / "xmc")
