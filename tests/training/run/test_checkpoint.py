from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xmc.distributed import World
from xmc.errors import DataError
from xmc.training.learned.optimisers.adamw import AdamW, ParameterGroup
from xmc.training.run.checkpoint import Checkpointer
from xmc.training.run.checksums import write_checksums


def adamw(layer: torch.nn.Module) -> AdamW:
    return AdamW([ParameterGroup(list(layer.parameters()), 1e-3)])


def step_once(module: torch.nn.Module, optimiser: AdamW) -> None:
    optimiser.zero_grad()
    module(torch.ones(1, 2)).sum().backward()
    optimiser.step(1.0)


class Counter:
    """A part with a state of both kinds."""

    def __init__(self) -> None:
        self.count, self.vector = 0, torch.zeros(2)

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def tensors(self) -> dict[str, Tensor]:
        return {"vector": self.vector} if self.count else {}

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.count, self.vector = state["count"], tensors["vector"]


def test_restores_weights_moments_and_parts(tmp_path: Path) -> None:
    layer, counter = torch.nn.Linear(2, 3), Counter()
    optimiser = adamw(layer)
    checkpointer = Checkpointer(tmp_path, {"encoder": layer}, {"adamw": optimiser}, {"counter": counter})
    assert checkpointer.load_latest() is None
    for step in (1, 2, 3):
        step_once(layer, optimiser)
        counter.count, counter.vector = step, counter.vector + 1
        assert checkpointer.save(step) == tmp_path / f"step-0000000{step}"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]
    other, found = torch.nn.Linear(2, 3), Counter()
    moments = adamw(other)
    assert (
        Checkpointer(tmp_path, {"encoder": other}, {"adamw": moments}, {"counter": found}).load_latest() == 3
    )
    assert found.count == 3 and found.vector.tolist() == [3.0, 3.0]
    step_once(layer, optimiser)
    step_once(other, moments)
    assert torch.equal(layer.weight, other.weight)


def test_the_size_is_that_of_the_files(tmp_path: Path) -> None:
    pair = torch.nn.ModuleList([torch.nn.Linear(200, 100), torch.nn.Linear(200, 100)])
    pair[1].weight = pair[0].weight  # tied
    optimiser, counter = adamw(pair[0]), Counter()
    step_once(torch.nn.Sequential(torch.nn.Linear(2, 200), pair[0]), optimiser)
    counter.count = 1
    made = Checkpointer(tmp_path, {"encoder": pair}, {"adamw": optimiser}, {"counter": counter})
    path = made.save(1)
    assert path is not None
    written = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    assert 0 <= written - made.num_bytes({"counter": counter.tensors()}) < 2_000  # names and shapes


def test_only_the_main_rank_writes(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 3)
    assert Checkpointer(tmp_path, {"encoder": layer}, {}, world=World(1, 2)).save(1) is None
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 3)
    optimiser = adamw(layer)
    step_once(layer, optimiser)
    Checkpointer(tmp_path, {"encoder": layer}, {"adamw": optimiser}).save(1)
    other = torch.nn.Linear(2, 4)
    with pytest.raises(DataError, match="expected a checkpoint of this configuration"):
        Checkpointer(tmp_path, {"encoder": other}, {"adamw": adamw(other)}).load_latest()


@pytest.mark.parametrize("text", ["[]", "{", '{"step": "x"}', '{"step": -1}', "[" * 100_000, '{"step": NaN}'])
def test_a_damaged_state_is_named(tmp_path: Path, text: str) -> None:
    layer = torch.nn.Linear(2, 1)
    made = Checkpointer(tmp_path, {"layer": layer}, {"adamw": adamw(layer)})
    path = made.save(3)
    assert path is not None
    (path / "state.json").write_text(text)
    (path / "SHA256SUMS").unlink()
    write_checksums(path)
    with pytest.raises(DataError, match=f"{path.name}.*: expected"):
        made.load_latest()


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 1)
    made = Checkpointer(tmp_path, {"layer": layer}, {"adamw": adamw(layer)})
    with torch.no_grad():
        layer.bias.fill_(torch.nan)
    made.save(3)
    with pytest.raises(DataError, match="its weights bias hold NaN or infinity"):
        made.load_latest()
