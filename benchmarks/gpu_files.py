"""What a case of ``benchmarks/gpu.py`` leaves where its process is killed: nothing that stays."""

from __future__ import annotations

import os
import tempfile
import threading

from tqdm.auto import tqdm

__all__ = ["begin_process", "case_folder"]

_place: str | None = None


def begin_process(folder: str) -> None:
    """Have the cases of this process keep their files in ``folder``, and make nothing else to be cleaned up.

    Another process removes the folder, also after this one was killed.
    """
    global _place
    _place = folder
    # A bar takes a lock for processes, whose semaphore a killed one leaves, unless it is given another.
    tqdm.set_lock(threading.RLock())
    # torch.compile else begins a pool of compilers in each process, of which several run side by side.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")


def case_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder of a case, removed where its ``with`` block ends."""
    return tempfile.TemporaryDirectory(prefix="xmc-gpu-", dir=_place)
