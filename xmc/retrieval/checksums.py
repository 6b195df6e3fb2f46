"""The files of an index folder against the checksums in its manifest, while others of it are opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from xmc.errors import DataError
from xmc.hashing import sha256_in_background

__all__ = ["unchanged"]


@contextmanager
def unchanged(folder: Path, checksums: Mapping[str, str]) -> Iterator[Callable[[Sequence[str]], None]]:
    """Run the block, and fail at its end, with or without an error of its own, unless files are unchanged.

    What is yielded waits for files by name, and fails at once where one has changed: for those that must not
    be read before they are known to be whole.

    Args:
        folder: Of the files, all of which are there.
        checksums: SHA-256 by name.

    Raises:
        DataError: Naming a file that has changed.
    """
    with sha256_in_background([folder / name for name in checksums]) as digest_of:

        def check(names: Sequence[str]) -> None:
            for name in names:
                _check(folder / name, checksums[name], digest_of(folder / name))

        try:
            yield check
        except Exception:
            check(list(checksums))
            raise
        check(list(checksums))


def _check(path: Path, expected: str, digest: str) -> None:
    if digest != expected:
        raise DataError(
            f"{path} is damaged or was replaced (expected SHA-256 {expected[:12]}..., got {digest[:12]}...): "
            "build the index again"
        )
