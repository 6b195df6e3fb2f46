"""A Python file lent to Arrow's own thread, and taken back before the interpreter may end."""

from __future__ import annotations

import queue
import weakref
from contextlib import suppress
from types import TracebackType
from typing import IO

__all__ = ["LentFile"]

_PATIENCE_S = 60.0


class LentFile:
    """Context manager that lends ``file`` to a reader of Arrow, and at its end waits until that let go of it.

    Arrow reads ahead in a thread of its own, which goes on after an error and is told to stop only when the
    reader is gone. A thread that is in Python while the interpreter ends aborts the process ("terminate
    called without an active exception"), be it to read or to give up bytes that it has read.

    Args:
        file: Is left open.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._loans = _Loans()
        self._lent: _Lent | None = _Lent(file, self._loans)
        self._loans.add(self._lent)

    def __enter__(self) -> LentFile:
        """Itself."""
        return self

    def lend(self) -> _Lent:
        """The file as Arrow is to have it. Whoever asks keeps neither it nor the reader beyond the block."""
        assert self._lent is not None
        return self._lent

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the file for Arrow, and wait for its thread."""
        lent, self._lent = self._lent, None
        assert lent is not None
        lent.ended = True
        del lent
        self._loans.wait()


class _Loans:
    """Objects that another thread may be the last to hold."""

    def __init__(self) -> None:
        self._objects: list[weakref.ref[object]] = []
        self._returned = queue.SimpleQueue[object]()

    def add(self, lent: object) -> None:
        """One more."""
        # What is called at its end is of C alone, so that whoever hears of it finds that thread outside of
        # Python again; a function in Python might be cut short by the end of the interpreter.
        self._objects.append(weakref.ref(lent, self._returned.put))

    def wait(self) -> None:
        """Until all are gone, the file with whose reads they came included."""
        count = 0
        with suppress(queue.Empty):
            while count < len(self._objects):
                self._returned.get(timeout=_PATIENCE_S)
                count += 1


class _Lent:
    """What Arrow needs of a file; empty once it has ended."""

    closed = False

    def __init__(self, file: IO[bytes], loans: _Loans) -> None:
        self._file, self._loans = file, loans
        self.ended = False

    def read(self, size: int = -1, /) -> memoryview:
        """The next bytes, which Arrow holds on to."""
        try:
            data = memoryview(b"" if self.ended else self._file.read(size))
        except Exception as error:
            failure = error.with_traceback(None)
        else:
            self._loans.add(data)
            return data
        # Whoever handles the error, while the file is waited for, would hold it by the frame of this call.
        del self
        raise failure

    def readable(self) -> bool:
        """Yes."""
        return True

    def close(self) -> None:
        """Nothing: the file is another's."""
