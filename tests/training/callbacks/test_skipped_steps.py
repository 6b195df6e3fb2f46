from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xmc.errors import NonFiniteError
from xmc.training import Trainer, train
from xmc.training.step import optimise


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
