"""A lock on a folder between processes, which says what it waited for."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from xmc.errors import XMCError

__all__ = ["FolderLock"]


class FolderLock(FileLock):
    """A file lock that fails with an `XMCError`."""

    def __enter__(self) -> FolderLock:
        """Take the lock; an `XMCError` after the time it is given."""
        try:
            super().__enter__()
        except Timeout:
            raise XMCError(
                f"expected to change {Path(self.lock_file).parent}, but another process has been changing it "
                "for a minute: wait for it"
            ) from None
        return self
