"""The same bits from the same run: operations without a fixed order are refused."""

from __future__ import annotations

import os

import torch

__all__ = ["compute_deterministically"]


def compute_deterministically() -> None:
    """Make torch use, in this process from now on, only algorithms that give the same bits each time.

    The machine and its number of threads and ranks still matter: sums are cut differently. On a CPU runs are
    as fast as ever, and alike without this; on a GPU some operations are slower, and one that has no such
    algorithm raises ``RuntimeError``. See "Reproducibility" in PyTorch's notes.
    """
    # cuBLAS reads it when it starts; both values that it takes fix the order of sums.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
