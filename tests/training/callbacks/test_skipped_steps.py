from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from xmc.distributed import current_world
from xmc.distributed.world import LateNumber
from xmc.errors import NonFiniteError
from xmc.training import Trainer, train
from xmc.training.callbacks.skipped_steps import SkippedSteps
from xmc.training.step import StepResult, optimise


def broken_at(broken: Callable[[int], bool], by: str) -> Callable[..., Tensor]:
    """A loss whose value, or whose gradient alone, is not finite at some of its calls."""
    calls = iter(range(10_000))

    def loss(queries: Tensor, labels: Tensor, positives: Tensor, scale: Tensor) -> Tensor:
        scores = scale * queries @ labels.T
        value = torch.logsumexp(scores, 1).mean() - (scores * positives).sum() / positives.sum()
        if broken(next(calls)):
            # The square root of 0 is 0, with an infinite gradient.
            value = value * torch.nan if by == "loss" else value + (0 * queries).sum().abs().sqrt()
        return value

    return loss


def strict(path: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{path} is no JSON: {constant}")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


@pytest.fixture
def plain(config: Any, changed: Any) -> Any:
    fixed = {"label_offsets": False, "learn_scale": False}
    return changed(config, objective=fixed, negatives={"mode": "all"}, training={"max_skipped": 3})


@pytest.mark.parametrize("by", ["loss", "gradient"])
@pytest.mark.parametrize("clip_norm", [1.0, None])
def test_single_ones_are_skipped_and_counted(
    by: str, clip_norm: float | None, plain: Any, changed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    config = changed(plain, training={"clip_norm": clip_norm})
    result = train(config, objective=broken_at(lambda call: call in (4, 5, 9), by))
    assert result.skipped_steps == 3 and result.num_steps == 28
    assert all(torch.isfinite(torch.tensor(list(result.validation.values()))))
    lines = strict(Path(config.run.dir) / "metrics.jsonl")
    assert [line["step"] for line in lines if "skipped" in line] == [5, 6, 10]
    assert {line["step"] for line in lines if "loss" in line} == set(range(1, 29)) - {5, 6, 10}
    assert "step 5 skipped (1 so far)" in capsys.readouterr().out
    assert json.loads((Path(config.run.dir) / "result.json").read_text())["skipped_steps"] == 3


def state_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    """What all optimisers keep."""
    optimisers = trainer.learner.optimisers.items()
    return {f"{name} {key}": x for name, optimiser in optimisers for key, x in optimiser.tensors().items()}


@pytest.mark.parametrize("by", ["loss", "gradient"])
def test_a_skipped_step_changes_nothing(by: str, plain: Any) -> None:
    trainer = Trainer(plain, objective=broken_at(lambda call: call == 1, by))
    inputs = trainer.prepare_inputs()
    assert optimise(inputs, 0).skipped is None
    before = {name: p.clone() for name, p in trainer.encoder.model.named_parameters()}
    kept = {name: x.clone() for name, x in state_of(trainer).items()}
    result = optimise(inputs, 1)
    assert result.skipped is not None and len(result.queries) == plain.training.batch_size
    assert all(torch.equal(p, before[name]) for name, p in trainer.encoder.model.named_parameters())
    after = state_of(trainer)
    assert kept and all(torch.equal(x, kept[name]) for name, x in after.items())
    assert optimise(inputs, 2).skipped is None


@pytest.mark.parametrize("by", ["loss", "gradient"])
def test_too_many_in_a_row_end_the_run(by: str, plain: Any, changed: Any) -> None:
    config = changed(plain, validation={"rows": 0})
    with pytest.raises(
        NonFiniteError, match="fewer than 3 steps in a row.*up to step 9 with the queries.*norm"
    ):
        train(config, objective=broken_at(lambda call: call >= 6, by))
    assert not (Path(config.run.dir) / "result.json").exists()
    assert len([line for line in strict(Path(config.run.dir) / "metrics.jsonl") if "skipped" in line]) == 3


class Late(LateNumber):
    """A number that is there once the next step is launched, as a GPU's."""

    is_there = False


@pytest.mark.parametrize("by", ["loss", "gradient"])
def test_a_gpus_steps_are_looked_at_one_later_and_counted_alike(
    by: str, plain: Any, changed: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = []
    for behind in (False, True):
        if behind:
            monkeypatch.setattr("xmc.training.step._runs_behind", lambda device: True)
            monkeypatch.setattr("xmc.training.learned.learner.LateNumber", Late)
        run = {"dir": f"{plain.run.dir}-{behind}"}
        # The last step of all among them.
        result = train(changed(plain, run=run), objective=broken_at(lambda call: call in (4, 5, 9, 27), by))
        assert result.skipped_steps == 4 and result.num_steps == 28
        lines = strict(Path(run["dir"]) / "metrics.jsonl")
        assert [line["step"] for line in lines if "skipped" in line] == [5, 6, 10, 28]
        losses.append([line["loss"] for line in lines if "loss" in line])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert "step 28 skipped (4 so far)" in capsys.readouterr().out
    dense = changed(plain, run={"dir": f"{plain.run.dir}-many"})
    with pytest.raises(NonFiniteError, match="got them up to step 12 with the queries"):
        train(dense, objective=broken_at(lambda call: call >= 9, by))


def test_a_step_that_waits_is_in_a_checkpoint_and_counted_at_the_end() -> None:
    skipped = StepResult(torch.zeros(()), Late(torch.tensor(torch.inf)), 1.0, None, np.arange(3))
    taken = StepResult(torch.zeros(()), Late(torch.tensor(2.0)), 1.0, None, np.arange(3))
    callback, run = SkippedSteps(3), SimpleNamespace(step=4, num_steps=9, world=current_world(), log=Silent())
    callback.after_step(run, taken)
    assert callback.largest_norm == 0.0 and callback.state_dict()["largest_norm"] == 2.0
    run.step = 5
    callback.after_step(run, skipped)
    assert callback.total == 0 and callback.state_dict() == {"total": 1, "in_a_row": 1, "largest_norm": 2.0}
    callback.on_end(run, None)
    assert callback.total == 1 and callback.state_dict()["total"] == 1


class Silent:
    def write(self, step: int, values: dict[str, Any]) -> None:
        """Nobody reads it."""
