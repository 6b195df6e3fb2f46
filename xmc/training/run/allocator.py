"""Keeps freed memory in the process: a step's large buffers are not handed back and faulted in again."""

from __future__ import annotations

import ctypes
import platform

__all__ = ["keep_freed_memory"]

# Parameters of glibc's mallopt, from malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TRIM_BYTES, PAD_BYTES = 1 << 30, 64 << 20


def keep_freed_memory() -> bool:
    """Let glibc's allocator keep up to 1 GiB of freed memory instead of returning every large block at once.

    Each step allocates gradients of whole token tables and tiles of scores; by default each is a fresh
    mapping whose pages are zeroed and faulted in one by one, which costs more than the arithmetic of a static
    tower's backward pass. Concerns the whole process; done by the trainer on a CPU.

    Returns:
        Whether the C library is glibc, the only one it is known for.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, TRIM_BYTES), (M_TOP_PAD, PAD_BYTES))
    return all(library.mallopt(parameter, value) == 1 for parameter, value in settings)
