from __future__ import annotations

import numpy as np
import pytest
import torch

from xmc.distributed.world import to_device


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.bool_])
def test_arrays_keep_type_and_values(dtype: type) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    made = to_device(values[:, ::2], torch.device("cpu"))
    assert made.is_contiguous() and np.array_equal(made.numpy(), values[:, ::2])
    assert made.numpy().dtype == dtype


def test_what_must_not_be_written_is_copied_and_other_memory_is_not() -> None:
    values = np.arange(3)
    assert to_device(values, torch.device("cpu")).numpy().base is not None
    shared = to_device(values, torch.device("cpu"))
    shared[0] = 7
    assert values[0] == 7
    values.flags.writeable = False
    to_device(values, torch.device("cpu"))[0] = 9
    assert values[0] == 7


def test_a_gpu_is_given_page_locked_memory_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[torch.device, bool]] = []
    pinned: list[torch.Tensor] = []
    original = torch.Tensor.to

    def to(self: torch.Tensor, device: torch.device, non_blocking: bool = False) -> torch.Tensor:
        asked.append((device, non_blocking))
        return original(self, "cpu")

    def pin(self: torch.Tensor) -> torch.Tensor:
        pinned.append(self)
        return self

    monkeypatch.setattr(torch.Tensor, "to", to)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    to_device(np.arange(3), torch.device("cuda"))
    assert len(pinned) == 1 and asked == [(torch.device("cuda"), True)]
    to_device(np.arange(3), torch.device("cpu"))
    assert len(pinned) == 1 and asked[-1] == (torch.device("cpu"), False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu() -> None:
    assert to_device(np.arange(3), torch.device("cuda")).tolist() == [0, 1, 2]
