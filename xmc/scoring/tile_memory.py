"""How much memory score tiles take where nobody says."""

from __future__ import annotations

import torch

__all__ = ["DEFAULT_MEMORY_BYTES", "MOST_MEMORY_BYTES", "default_memory_bytes"]

DEFAULT_MEMORY_BYTES = 256 << 20
"""On a CPU, and the least on a GPU."""

MOST_MEMORY_BYTES = 1 << 30
"""On a GPU of 64 GB and more."""

SHARE_OF_DEVICE = 64


def default_memory_bytes(device: torch.device) -> int:
    """Bytes for tiles of scores or of slopes on a device: a 64th of a GPU's memory, 256 MB to 1 GB.

    Larger slabs fill a large GPU's matrix units better; results are the same with any.
    """
    if device.type != "cuda":
        return DEFAULT_MEMORY_BYTES
    share = torch.cuda.get_device_properties(device).total_memory // SHARE_OF_DEVICE
    return min(MOST_MEMORY_BYTES, max(DEFAULT_MEMORY_BYTES, share))
