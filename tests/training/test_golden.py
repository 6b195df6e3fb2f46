"""The losses of four small runs, step by step, are those recorded in ``golden/``.

They are told apart from chance by no test: a change that moves one is either a fault or a change of what
training does. The second is recorded, when it can be explained, by running these tests with the environment
variable ``XMC_RECORD_GOLDEN=1``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.runs import losses
from xmc.training import TrainConfig, train
from xmc.training.batches import MemoryConfig, MinedConfig

GOLDEN = Path(__file__).parent / "golden"

RUNS: dict[str, dict[str, dict[str, Any]]] = {
    "sampled": {"residuals": {"enabled": True}},
    "mined": {
        "objective": {"name": "soft_top_k", "options": {"k": 3}, "label_offsets": False},
        "negatives": {"mode": "sampled", "mined": MinedConfig(count=2, last=6, every=5, wait=True)},
    },
    "memory": {
        "objective": {"name": "softmax"},
        "negatives": {"memory": MemoryConfig(enabled=True, refresh=6)},
        "data": {"label_queries": 0.25},
    },
    "head": {
        "objective": {"name": "spherical_z_loss", "label_offsets": False, "learn_scale": False},
        "negatives": {"mode": "all"},
        "head": {"kind": "factored", "learning_rate": 1.0},
    },
}


@pytest.fixture
def deterministic() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


def curve(config: TrainConfig, name: str, changed: Callable[..., TrainConfig]) -> list[float]:
    training = {"deterministic": True, "epochs": 2, "learning_rate": 0.05}
    config = changed(config, training=training, validation={"rows": 0}, **RUNS[name])
    train(config)
    assert torch.are_deterministic_algorithms_enabled()
    return losses(Path(config.run.dir))


@pytest.mark.parametrize("name", RUNS)
def test_the_losses_are_those_recorded(
    name: str, config: TrainConfig, changed: Callable[..., TrainConfig], deterministic: None
) -> None:
    found = curve(config, name, changed)
    if os.environ.get("XMC_RECORD_GOLDEN"):
        (GOLDEN / f"{name}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    expected = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    # Machines sum in different orders; a step multiplies what that changes.
    assert found == pytest.approx(expected, rel=2e-4), f"the losses of the run {name} have changed"
    assert found[-1] < found[0]
