"""Batches that are drawn while a GPU works are those of a run that draws each when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tests.training.batches.test_source import moment
from tests.training.test_trainer import losses
from xmc.distributed import World
from xmc.encoders import DualEncoder
from xmc.training import TrainConfig, train
from xmc.training import step as training_step
from xmc.training.batches import Batch, Batches, BatchSource, MemoryConfig, NegativesConfig, build_batches
from xmc.training.batches.ahead import foreseeable
from xmc.training.batches.label_queries import LabelQueries
from xmc.training.run.interrupt import InterruptGuard, Verdict

STEPS = 20
Make = Callable[..., Batches]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Batches of 24 queries and 30 labels, 5 queries each: an epoch ends within a few of them."""
    draw = np.random.default_rng(0)
    relevance = sp.csr_matrix((draw.random((24, 30)) < 0.2).astype(np.float32))

    def made(**options: Any) -> Batches:
        given = {"mode": "sampled", "uniform": 6, "positives": 2} | options
        label_queries = given.pop("label_queries", 3)
        return build_batches(
            NegativesConfig(**given), relevance, np.arange(24), batch_size=5, label_queries=label_queries,
            dimension=4, seed=1, world=World(), device=torch.device("cpu"), folder=tmp_path,
        )  # fmt: skip

    return made


def same(first: Batch, second: Batch) -> bool:
    numbers = [
        (one.batch_index, one.queries, one.pool.label_ids, one.pool.log_weights, one.pool.positives.toarray())
        for one in (first, second)
    ]
    return all(np.array_equal(a, b) for a, b in zip(*numbers, strict=True))


@pytest.mark.parametrize("options", [{}, {"label_queries": 0, "positives": None}, {"mode": "all"}])
def test_batches_and_states_are_those_of_drawing_each_in_its_turn(
    make: Make, options: dict[str, Any]
) -> None:
    if options.get("mode") == "all":
        options = options | {"uniform": 0, "positives": None, "label_queries": 0}
    plain, early = make(**options), make(**options)
    for index in range(STEPS):
        wanted, found = plain.next(moment(index)), early.next(moment(index))
        assert same(wanted, found)
        before = early.state_dict()
        early.draw_ahead(moment(index + 1))
        assert plain.state_dict() == before == early.state_dict()


def test_a_state_is_gone_on_from(make: Make) -> None:
    """By one that has drawn ahead, which is forgotten, and by one that has not."""
    early, ran_on, fresh = make(), make(), make()
    for index in range(7):
        early.next(moment(index))
        early.draw_ahead(moment(index + 1))
        if index < 2:
            ran_on.next(moment(index))
            ran_on.draw_ahead(moment(index + 1))
    for other in (ran_on, fresh):
        other.load(early.state_dict(), {})
    for index in range(7, STEPS):
        wanted = early.next(moment(index))
        assert same(wanted, ran_on.next(moment(index))) and same(wanted, fresh.next(moment(index)))


def test_a_batch_of_another_index_is_drawn_anew(make: Make) -> None:
    plain, early = make(), make()
    early.draw_ahead(moment(5))
    assert same(plain.next(moment(0)), early.next(moment(0)))
    assert same(plain.next(moment(1)), early.next(moment(1)))


def test_what_looks_at_the_model_is_not_drawn_ahead(make: Make) -> None:
    class Own(BatchSource):
        name = "own"

        def state_dict(self) -> dict[str, Any]:
            return {"drawn": 1}

    assert foreseeable([]) and foreseeable([LabelQueries(24, 30, 3, 0)])
    assert not foreseeable([LabelQueries(24, 30, 3, 0), Own()])
    remembering = make(memory=MemoryConfig(enabled=True), positives=None)
    remembering.draw_ahead(moment(0))
    assert remembering.sampler.place == (0, 0)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_run_is_the_same_and_goes_on_as_if_it_was_not_interrupted(
    accumulation: int,
    config: TrainConfig,
    changed: Callable[..., TrainConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = changed(config, training={"accumulation": accumulation})
    few = changed(few, negatives={"mode": "sampled", "uniform": 12})
    drawn: list[int] = []
    draw_ahead = Batches.draw_ahead

    def counted(self: Batches, *given: Any) -> None:
        drawn.append(given[0].batch_index)
        draw_ahead(self, *given)

    monkeypatch.setattr(Batches, "draw_ahead", counted)
    train(few)
    assert not drawn, "on a CPU all is done when a call returns"
    monkeypatch.setattr(training_step, "_runs_behind", lambda device: True)
    cut = changed(few, run={"dir": str(tmp_path / "cut")})
    asked = iter([Verdict.GO_ON] * 7 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    result = train(changed(cut, run={"resume": True}))
    assert losses(few.run.dir) == losses(tmp_path / "cut")
    whole, resumed = (DualEncoder.load(Path(path) / "last") for path in (few.run.dir, tmp_path / "cut"))
    assert whole.fingerprint == resumed.fingerprint
    assert drawn == [step * accumulation for step in range(1, result.num_steps)], "none after the last step"
