"""Where a case of ``benchmarks/gpu.py`` keeps files while it runs."""

from __future__ import annotations

import tempfile

__all__ = ["case_folder", "keep_files_in"]

_place: str | None = None


def keep_files_in(folder: str) -> None:
    """Have the cases of this process keep their files in ``folder``, which another process removes."""
    global _place
    _place = folder


def case_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder of a case, removed where its ``with`` block ends."""
    return tempfile.TemporaryDirectory(prefix="xmc-gpu-", dir=_place)
