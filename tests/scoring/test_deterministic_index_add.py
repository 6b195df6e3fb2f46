from __future__ import annotations

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from xmc.scoring.arithmetic import deterministic_index_add

INDEX = torch.tensor([2, 0, 2, 2])


def test_repeated_indices_add_up_with_gradients() -> None:
    values = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    total = deterministic_index_add(torch.ones(5, 3, dtype=torch.float64), INDEX, values)
    expected = torch.ones(5, 3, dtype=torch.float64)
    for place, value in zip(INDEX.tolist(), values.detach(), strict=True):
        expected[place] += value
    torch.testing.assert_close(total.detach(), expected)

    def added(given: Tensor) -> Tensor:
        return deterministic_index_add(torch.zeros(5, 3, dtype=torch.float64), INDEX, given)

    assert torch.autograd.gradcheck(added, values)


class Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def test_on_a_gpu_nothing_is_added_by_atomics() -> None:
    with FakeTensorMode(), Operations() as seen:
        total, values = torch.empty(5, device="cuda"), torch.empty(4, device="cuda")
        deterministic_index_add(total, torch.empty(4, dtype=torch.int64, device="cuda"), values)
    assert "index_put_" in seen.names and "index_add_" not in seen.names
