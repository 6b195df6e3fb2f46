"""How large the tensors are that a piece of code makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["LargestStorage", "LargestTensor"]


class LargestTensor(TorchDispatchMode):
    """Notes the elements of the largest tensor that an operation gives, except those of one shape."""

    def __init__(self, ignored: Sequence[int] = ()) -> None:
        super().__init__()
        self.elements = 0
        self.ignored = torch.Size(ignored)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.shape != self.ignored:
                self.elements = max(self.elements, tensor.numel())
        return result


class LargestStorage(TorchDispatchMode):
    """Notes the bytes of the largest storage that an operation gives."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result
