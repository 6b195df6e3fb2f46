from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch.distributed as dist

from tests.distributed.ranks import Ranks
from tests.runs import losses
from xmc.encoders import DualEncoder
from xmc.training import TrainConfig, train

T = TypeVar("T")


def as_rank(work: Callable[[], T]) -> T:
    """Work as one rank of a launched run.

    It sets the environment a launcher sets, around the process group that is there already.
    """
    from accelerate.state import AcceleratorState, PartialState

    rank, size = str(dist.get_rank()), str(dist.get_world_size())
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    os.environ.update(names, ACCELERATE_USE_CPU="true", MASTER_ADDR="127.0.0.1", MASTER_PORT="29555")
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        result = work()
        assert PartialState().num_processes == int(size)
        return result
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        for name in names:
            os.environ.pop(name)


def train_as_rank(config: TrainConfig) -> float:
    return as_rank(lambda: train(config).validation["P@1"])


def test_two_and_three_ranks_follow_the_curve_of_one(config, changed, tmp_path, ranks: Ranks):
    # 14 queries and pools of odd sizes do not divide by 2 or 3; dropout differs between ranks, so it is off.
    alone = changed(config, encoder={"dropout": 0.0}, training={"epochs": 2})
    single = train(alone)
    for size in (2, 3):
        shared = replace(alone, run=replace(alone.run, dir=str(tmp_path / f"world{size}")))
        metrics = ranks.run(train_as_rank, shared, size=size, seconds=120)
        np.testing.assert_allclose(losses(shared.run.dir), losses(alone.run.dir), rtol=1e-4)
        assert len(set(metrics)) == 1
        one, many = DualEncoder.load(single.last_path), DualEncoder.load(Path(shared.run.dir) / "last")
        texts = ["query1 query2", "query7"]
        np.testing.assert_allclose(one.encode_queries(texts), many.encode_queries(texts), atol=1e-3)


def test_a_run_resumes_on_another_number_of_ranks(config, changed, tmp_path, ranks: Ranks, monkeypatch):
    from xmc.training.run.interrupt import InterruptGuard, Verdict

    whole = changed(config, encoder={"dropout": 0.0}, training={"epochs": 2})
    train(whole)
    cut = replace(whole, run=replace(whole.run, dir=str(tmp_path / "cut")))
    asked = iter([Verdict.GO_ON] * 6 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    try:
        train(cut)
    except KeyboardInterrupt:
        pass
    ranks.run(train_as_rank, changed(cut, run={"resume": True}), size=2, seconds=120)
    np.testing.assert_allclose(losses(cut.run.dir), losses(whole.run.dir), rtol=1e-4)
