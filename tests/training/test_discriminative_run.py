"""Runs with momentum means: beside another loss on samples, resumed, and over ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from torch import Tensor

from tests.distributed.ranks import Ranks
from tests.runs import losses
from tests.training.test_world import train_as_rank
from xmc.objectives.losses import discriminative as discriminative_loss
from xmc.training import TrainConfig, train
from xmc.training.batches import Batch, Batches, MemoryConfig, MinedConfig
from xmc.training.config import TermConfig
from xmc.training.run.interrupt import InterruptGuard, Verdict

Changed = Callable[..., TrainConfig]


@pytest.fixture
def both(config: TrainConfig, changed: Changed) -> TrainConfig:
    options = {"delta_v": 0.2, "gamma": 0.1}
    return changed(
        config,
        encoder={"dropout": 0.0},
        objective={"terms": [TermConfig("discriminative", 0.5, options)]},
        training={"epochs": 2},
    )


def test_it_resumes_with_the_means_that_it_had(
    both: TrainConfig, changed: Changed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(both)
    cut = changed(both, run={"dir": str(tmp_path / "cut")})
    asked = iter([Verdict.GO_ON] * 6 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    (file,) = (Path(cut.run.dir) / "checkpoints").glob("step-*/objective.safetensors")
    kept = load_file(file)
    counts = kept["1.discriminative.counts"]
    assert counts.max() > 1 and counts.min() == 1 and len(counts) == len(kept["1.discriminative.means"])
    train(changed(cut, run={"resume": True}))
    np.testing.assert_array_equal(losses(cut.run.dir), losses(both.run.dir))


def test_two_ranks_follow_the_curve_of_one(both: TrainConfig, tmp_path: Path, ranks: Ranks) -> None:
    train(both)
    shared = replace(both, run=replace(both.run, dir=str(tmp_path / "two")))
    ranks.run(train_as_rank, shared, size=2, seconds=120)
    np.testing.assert_allclose(losses(shared.run.dir), losses(both.run.dir), rtol=1e-4)


def test_it_goes_with_a_memory_and_label_queries(both: TrainConfig, changed: Changed) -> None:
    more = changed(
        both,
        data={"label_queries": 0.3, "co_labels": 0.2},
        negatives={"memory": MemoryConfig(enabled=True)},
        training={"epochs": 1},
    )
    train(more)
    assert all(np.isfinite(losses(more.run.dir)))


def test_boundaries_are_those_of_mined_labels_where_these_are_near(
    both: TrainConfig, changed: Changed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pool of positives, of mined labels and one other: many boundaries looked for are of mined ones."""
    found: list[np.ndarray] = []
    batches: list[Batch] = []
    look, draw = discriminative_loss.nearest_boundaries, Batches.next

    def noted(*given: Any) -> Tensor:
        nearest = look(*given)
        found.append(nearest.numpy())
        return nearest

    def drawn(self: Batches, *given: Any) -> Batch:
        batches.append(draw(self, *given))
        return batches[-1]

    monkeypatch.setattr(discriminative_loss, "nearest_boundaries", noted)
    monkeypatch.setattr(Batches, "next", drawn)
    mined = MinedConfig(count=2, last=6, every=4, wait=True)
    train(changed(both, negatives={"mode": "sampled", "uniform": 1, "mined": mined}, training={"epochs": 1}))
    of_mined = of_all = 0
    for nearest, batch in zip(found, batches, strict=True):
        assert batch.pool.certain is not None, "nothing is mined"
        brought = np.setdiff1d(batch.pool.certain.indices, batch.pool.positives.indices)
        of_mined += int(np.isin(nearest, brought).sum())
        of_all += len(nearest)
    assert of_mined > 0.1 * of_all
