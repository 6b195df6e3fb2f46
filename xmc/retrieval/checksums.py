"""The files of an index folder against the checksums in its manifest, while others of it are opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from xmc.errors import DataError
from xmc.files import sha256_in_background

__all__ = ["unchanged"]


@contextmanager
def unchanged(folder: Path, checksums: Mapping[str, str]) -> Iterator[None]:
    """Run the block, and fail at its end, with or without an error of its own, unless files are unchanged.

    Args:
        folder: Of the files, all of which are there.
        checksums: SHA-256 by name.

    Raises:
        DataError: Naming a file that has changed.
    """
    with sha256_in_background([folder / name for name in checksums]) as digests:
        try:
            yield
        except Exception:
            _check(folder, checksums, digests())
            raise
        _check(folder, checksums, digests())


def _check(folder: Path, checksums: Mapping[str, str], digests: Sequence[str]) -> None:
    for (name, expected), digest in zip(checksums.items(), digests, strict=True):
        if digest != expected:
            raise DataError(
                f"{folder / name} is damaged or was replaced (expected SHA-256 {expected[:12]}..., got "
                f"{digest[:12]}...): build the index again"
            )
