"""The checksums of a folder's files, as `sha256sum` writes and checks them."""

from __future__ import annotations

from pathlib import Path

from xmc.files import sha256_file
from xmc.received import check_name, read_text

__all__ = ["damaged", "write_checksums"]

CHECKSUMS = "SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Write ``SHA256SUMS`` of all files in ``folder``."""
    lines = [f"{sha256_file(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def damaged(folder: Path, *names: str) -> str | None:
    """Why the files of ``folder`` are not those that were written; None when they are.

    Args:
        folder: Has ``SHA256SUMS``.
        names: Files to look at; all when none is named.
    """
    try:
        lines = read_text(folder / CHECKSUMS).splitlines()
        sums = {check_name(name): digest for digest, _, name in (line.partition("  ") for line in lines)}
        for name in names or sums:
            if not (folder / name).is_file():
                return f"{name} is missing"
            if sha256_file(folder / name) != sums[name]:
                return f"{name} has another checksum"
    except (OSError, KeyError, ValueError) as error:
        return f"{CHECKSUMS}: {error!r}" if isinstance(error, KeyError) else str(error)
    return None if sums else f"{CHECKSUMS} is empty"
