"""Devices that an index is searched on, and vectors that are copied there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["COPIED", "empty_on", "put_rows", "search_device", "vectors_on"]

COPIED = 65_536
"""Vectors that go to a device at once: they may be on disk, and need not be in memory together."""


def search_device(name: str) -> torch.device:
    """The device of that name, as torch calls them: cuda, cuda:1, mps, cpu.

    Raises:
        ConfigError: When there is none here.
    """
    import torch

    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"expected a device that torch has here, such as {_there()}, got {name!r} "
            f"({str(error).splitlines()[0].rstrip('.')}); xmc doctor lists them"
        ) from error
    if device.type == "meta":
        raise ConfigError(f"expected a device that keeps numbers, such as {_there()}, got 'meta'")
    return device


def _there() -> str:
    import torch

    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return "cpu" if found is None else f"{found.type} or cpu"


def vectors_on(device: torch.device, vectors: NDArray[np.float32]) -> Tensor:
    """A copy [n, D] of vectors on a device.

    Raises:
        ConfigError: When they do not fit there.
    """
    copied = empty_on(device, *vectors.shape)
    for start in range(0, len(vectors), COPIED):
        put_rows(copied, start, vectors[start : start + COPIED])
    return copied


def empty_on(device: torch.device, count: int, width: int) -> Tensor:
    """Room for float32 vectors [count, width].

    Raises:
        ConfigError: When there is not so much.
    """
    import torch

    try:
        return torch.empty(count, width, device=device)
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"expected {4 * count * width / 1e9:.1f} GB of free memory on {device} for {count:,} vectors of "
            f"{width} numbers: search on the CPU, or on another device"
        ) from error


def put_rows(place: Tensor, start: int, vectors: NDArray[np.float32]) -> None:
    """Copy vectors [n, D] to the rows from ``start`` on."""
    import torch

    # A copy of their own: a memory map is read only, which torch cannot tell.
    place[start : start + len(vectors)] = torch.from_numpy(np.array(vectors, dtype=np.float32))
