"""A lock on a folder between processes, which says what it waited for."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from xmc.errors import XMCError

__all__ = ["FolderLock"]


class FolderLock(FileLock):
    """A file lock that fails with an `XMCError`."""

    def __enter__(self) -> FolderLock:
        """Take the lock; an `XMCError` after the time it is given, or where none can be made."""
        try:
            super().__enter__()
        except Timeout:
            raise XMCError(
                f"expected to change {Path(self.lock_file).parent}, but another process has been changing it "
                "for a minute: wait for it"
            ) from None
        except OSError as error:
            raise XMCError(
                f"expected to change {Path(self.lock_file).parent}, but it cannot be written "
                f"({error.strerror}: {Path(self.lock_file).name}): make it writable, or change a copy of it"
            ) from error
        return self
