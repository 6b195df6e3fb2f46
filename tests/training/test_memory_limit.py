"""Memory that runs out in the middle of a step, by a tower that takes no more than so many tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.distributed.ranks import Ranks
from tests.runs import losses
from tests.training.learned.test_head import with_objective
from tests.training.test_world import as_rank
from xmc.encoders import DualEncoder
from xmc.encoders.tower import Tower
from xmc.errors import NonFiniteError, OutOfMemoryError
from xmc.training import TrainConfig, Trainer, train
from xmc.training.memory_limit import is_out_of_memory
from xmc.training.step import optimise

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
]


def short_of_memory(most: int, error: Exception, graph_only: bool = False) -> Callable[..., torch.Tensor]:
    """A tower's pass that fails above ``most`` tokens; with ``graph_only`` in the replay alone."""
    whole = Tower.__call__

    def called(self: Tower, ids: np.ndarray, offsets: np.ndarray) -> torch.Tensor:
        if self.modules[0].training and len(ids) > most and (torch.is_grad_enabled() or not graph_only):
            raise error
        return whole(self, ids, offsets)

    return called


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_the_allocators_say_is_known(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shape mismatch")) and not is_out_of_memory(ValueError())


@pytest.mark.parametrize("graph_only", [False, True], ids=["first pass", "replay"])
def test_a_halved_run_is_the_run_that_was_small_from_the_start(
    config: TrainConfig, changed: Callable[..., TrainConfig], tmp_path, monkeypatch, capsys, graph_only: bool
) -> None:
    # Dropout is on: its draws depend on the micro-batches. Accumulation: gradients of the batch before stay.
    training = {"epochs": 1, "accumulation": 2, "micro_batch_tokens": 10}
    small = changed(config, training=training, residuals={"enabled": True})
    train(small)
    large = changed(small, training={"micro_batch_tokens": 40}, run={"dir": str(tmp_path / "halved")})
    capsys.readouterr()
    monkeypatch.setattr(Tower, "__call__", short_of_memory(10, ERRORS[0], graph_only))
    train(large)
    said = capsys.readouterr().out
    assert said.count("micro-batches are halved") == 2 and "1/4 of training.micro_batch_tokens" in said
    assert losses(small.run.dir) == losses(large.run.dir)
    one, other = (DualEncoder.load(Path(c.run.dir) / "last").fingerprint for c in (small, large))
    assert one == other


def test_the_smallest_micro_batch_is_a_text(config, changed, monkeypatch) -> None:
    monkeypatch.setattr(Tower, "__call__", short_of_memory(2, ERRORS[1]))
    with pytest.raises(OutOfMemoryError, match="lower training.batch_size"):
        train(config)


def train_short_on_rank_1(config: TrainConfig, graph_only: bool) -> list[str]:
    import torch.distributed as dist

    said: list[str] = []
    whole = Tower.__call__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xmc.training.memory_limit.tqdm.write", said.append)
        if dist.get_rank() == 1:
            patch.setattr(Tower, "__call__", short_of_memory(10, ERRORS[2], graph_only))
        as_rank(lambda: train(config))
    assert Tower.__call__ is whole
    return said


@pytest.mark.parametrize("graph_only", [False, True], ids=["first pass", "replay"])
def test_ranks_stay_in_step_when_one_is_short(config, changed, tmp_path, ranks: Ranks, graph_only) -> None:
    small = changed(config, training={"epochs": 1, "micro_batch_tokens": 10})
    ranks.run(train_short_on_rank_1, small, graph_only, size=2, seconds=120)
    large = changed(small, training={"micro_batch_tokens": 20}, run={"dir": str(tmp_path / "halved")})
    said = ranks.run(train_short_on_rank_1, large, graph_only, size=2, seconds=120)
    halved = [[line for line in lines if "out of memory" in line] for lines in said]
    assert not halved[0] and len(halved[1]) == 1 and halved[1][0].startswith("rank 1 is out of memory")
    assert losses(small.run.dir) == losses(large.run.dir)


def step_short_on_rank_1(config: TrainConfig, finite: bool) -> tuple[int, bool, float]:
    """The halvings after one step, whether it was skipped, and a sum over a head's table."""
    import torch.distributed as dist

    def raised(*given: object) -> None:
        raise NonFiniteError("the loss is not finite")

    def step() -> tuple[int, bool, float]:
        trainer = Trainer(config)
        inputs, head = trainer.prepare_inputs(), trainer.learner.head
        skipped = optimise(inputs, 0).skipped is not None
        trainer.locks.close()
        return inputs.limit.halvings, skipped, 0.0 if head is None else float(head.table().double().sum())

    with pytest.MonkeyPatch.context() as patch:
        if not finite:
            patch.setattr("xmc.training.step._loss", raised)
        if dist.get_rank() == 1:
            patch.setattr(Tower, "__call__", short_of_memory(10, ERRORS[0]))
        return as_rank(step)


def test_ranks_agree_after_a_batch_that_is_skipped(config, changed, ranks: Ranks) -> None:
    halved = changed(config, training={"micro_batch_tokens": 20})
    assert ranks.run(step_short_on_rank_1, halved, False, size=2) == [(1, True, 0.0)] * 2


def test_ranks_agree_before_a_head_steps(config, changed, tmp_path, ranks: Ranks) -> None:
    """With dropout, whose draws depend on the micro-batches."""
    small = changed(with_objective(config, "spherical_z_loss"), training={"micro_batch_tokens": 10})
    large = changed(small, training={"micro_batch_tokens": 20}, run={"dir": str(tmp_path / "halved")})
    expected = ranks.run(step_short_on_rank_1, small, True, size=2)
    found = ranks.run(step_short_on_rank_1, large, True, size=2)
    assert expected[0] == expected[1] and expected[0][0] == 0
    assert found == [(1, *expected[0][1:])] * 2
