from __future__ import annotations

from pathlib import Path

import pytest
import torch

from xmc.errors import DataError
from xmc.training.learned.trained_tensors import TrainedTensors, count_parameters
from xmc.training.run.checkpoint import Checkpointer


def half_frozen() -> torch.nn.Module:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    module[0].requires_grad_(False)
    return module


def test_a_checkpoint_has_what_is_trained_alone(tmp_path: Path) -> None:
    module, other = half_frozen(), half_frozen()
    assert count_parameters(module) == (4, 13)
    with torch.no_grad():
        module[1].weight += 1
    made = Checkpointer(tmp_path, {"encoder": TrainedTensors(module)}, {})
    path = made.save(1)
    assert path is not None and (path / "encoder.safetensors").stat().st_size < 400
    assert made.num_bytes() == 4 * 4 + 32
    assert Checkpointer(tmp_path, {"encoder": TrainedTensors(other)}, {}).load_latest() == 1
    assert torch.equal(other[1].weight, module[1].weight)


def test_other_weights_or_parameters_are_refused(tmp_path: Path) -> None:
    Checkpointer(tmp_path, {"encoder": TrainedTensors(half_frozen())}, {}).save(1)
    moved, thawed, wider = half_frozen(), half_frozen().requires_grad_(True), half_frozen()
    with torch.no_grad():
        moved[0].bias += 1e-3
    wider[1] = torch.nn.Linear(3, 2)
    for module, said in (
        (moved, "trained on other weights"),
        (thawed, "other trained parameters than this model: 0.bias, 0.weight"),
        (wider, r"1.weight: expected shape \(2, 3\), got \(1, 3\)"),
    ):
        with pytest.raises(DataError, match=said):
            Checkpointer(tmp_path, {"encoder": TrainedTensors(module)}, {}).load_latest()
