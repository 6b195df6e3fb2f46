"""Arrays as tensors without a copy, read-only memory maps too."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["to_read"]


def to_read(array: NDArray[Any]) -> Tensor:
    """The same memory as a tensor, which is only to be read; torch's warning of that is left out."""
    import torch  # an index of FAISS answers without it

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))
