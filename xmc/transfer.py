"""From the host's memory to a device, without the host waiting for what the device has still to do."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["to_device"]


def to_device(values: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """``values`` on ``device``, in their type; not copied where they are there already.

    To a GPU they go through page-locked memory, from which the copy takes its turn among what was launched
    before: the host goes on at once. From other memory it waits until the copy is done, and the GPU is idle
    while the host prepares what comes next.
    """
    if isinstance(values, np.ndarray):
        # torch warns of memory it must not write to, such as a memory map opened for reading
        values = torch.from_numpy(np.require(values, requirements=["C", "W"]))
    if device.type == "cuda" and values.device.type == "cpu":
        # torch keeps the page-locked memory until the copy is done, whoever lets go of the tensor before.
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
