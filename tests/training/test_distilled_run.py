"""Runs that learn from teachers: on samples, with memories, resumed, and over ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from tests.distributed.ranks import Ranks
from tests.runs import logged, losses
from tests.training.test_world import train_as_rank
from xmc.data import Dataset
from xmc.distillation.file import TeacherFacts, write_teachers
from xmc.errors import ConfigError
from xmc.objectives import MarginConfig
from xmc.training import TrainConfig, Trainer, train
from xmc.training.batches import Moment
from xmc.training.batches.memory.config import MemoryConfig
from xmc.training.learned.optimisers.adamw import AdamW
from xmc.training.run.interrupt import InterruptGuard, Verdict

Changed = Callable[..., TrainConfig]


def told(dataset: Dataset, seed: int) -> sp.csr_matrix:
    """A quarter for each positive, a hundredth for five other labels; nothing for a row without labels."""
    draw, relevance = np.random.default_rng(seed), dataset.relevance("train").toarray()
    shares = relevance * 0.25
    for row in np.flatnonzero(relevance.any(1)):
        shares[row, draw.choice(np.flatnonzero(relevance[row] == 0), 5, replace=False)] = 0.01
    return sp.csr_matrix(shares.astype(np.float32))


def teachers_file(dataset: Dataset, path: Path, seed: int = 0) -> str:
    facts = TeacherFacts(
        dataset.name, dataset.fingerprint, dataset.num_train, dataset.num_labels, ("t",), (str(seed),), 5, 0
    )
    with write_teachers(path, facts) as file:
        file.add(told(dataset, seed))
    return str(path)


@pytest.fixture
def distilled(config: TrainConfig, changed: Changed, dataset: Dataset, tmp_path: Path) -> TrainConfig:
    file = teachers_file(dataset, tmp_path / "teachers.parquet")
    options = {"teachers": file, "discriminator_warmup": 5, "discriminator_rate": 1e-2}
    return changed(config, encoder={"dropout": 0.0}, distillation=options)


def test_a_student_learns_from_teachers_alone_on_a_sample(distilled: TrainConfig) -> None:
    result = train(distilled)
    folder = Path(distilled.run.dir)
    assert result.validation["P@1"] > 40 and losses(folder)[-1] < losses(folder)[0]
    assert not (folder / "teachers").exists()


def test_the_discriminator_has_a_rate_of_its_own(distilled: TrainConfig, changed: Changed) -> None:
    optimisers = (
        Trainer(changed(distilled, training={"learning_rate": 0.5})).prepare_inputs().learner.optimisers
    )
    found = optimisers["discriminator"]
    assert isinstance(found, AdamW) and [group.peak_rate for group in found.groups] == [1e-2]
    learner = Trainer(changed(distilled, distillation={"discriminator": "none"})).prepare_inputs().learner
    assert "discriminator" not in learner.optimisers


def test_a_batch_holds_candidates_with_their_chances(distilled: TrainConfig, dataset: Dataset) -> None:
    trainer = Trainer(distilled)
    try:
        batch = trainer.batches.next(
            Moment(0, 0, trainer.prepare_inputs().frozen, trainer.learner.parameters)
        )
        expected = told(dataset, 0)[batch.queries]
        assert batch.targets is not None and batch.pool.certain is not None
        whole = np.zeros(expected.shape, np.float32)
        whole[:, batch.pool.label_ids] = batch.targets.toarray()
        np.testing.assert_array_equal(whole, expected.toarray())
        certain = np.zeros(expected.shape, bool)
        certain[:, batch.pool.label_ids] = batch.pool.certain.toarray()
        np.testing.assert_array_equal(certain, (expected.toarray() > 0) & (expected.toarray() < 0.2))
        # How many rows bring a label, as a positive or as a candidate, makes its chance.
        sampler = trainer.batches.sampler
        rows = np.asarray(trainer.batches.sources[0].queries)  # type: ignore[attr-defined]
        counts = (told(dataset, 0)[rows].toarray() > 0).sum(0)
        from xmc.training.batches.pools.inclusion import in_batch_inclusion

        np.testing.assert_allclose(
            trainer.batches.pools.batch.inclusion,  # type: ignore[attr-defined]
            in_batch_inclusion(counts, len(rows), sampler.batch_size),
        )
    finally:
        trainer.batches.close()
        trainer.locks.close()


def test_it_resumes_as_if_it_was_not_cut_and_not_with_other_teachers(
    distilled: TrainConfig,
    changed: Changed,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = changed(distilled, training={"epochs": 2})
    train(whole)
    cut = changed(whole, run={"dir": str(tmp_path / "cut")})
    asked = iter([Verdict.GO_ON] * 6 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    other = teachers_file(dataset, tmp_path / "teachers.parquet", seed=1)
    with pytest.raises(ConfigError, match="expected the file that the run began with"):
        train(changed(cut, run={"resume": True}))
    teachers_file(dataset, Path(other))
    train(changed(cut, run={"resume": True}))
    np.testing.assert_allclose(losses(cut.run.dir), losses(whole.run.dir), rtol=1e-6)


@pytest.mark.parametrize("mode", ["sampled", "all"])
def test_two_ranks_follow_the_curve_of_one(
    distilled: TrainConfig, changed: Changed, tmp_path: Path, ranks: Ranks, mode: str
) -> None:
    hard = {"hard_weight": 0.5} if mode == "all" else {}
    alone = changed(distilled, training={"epochs": 1}, negatives={"mode": mode}, distillation=hard)
    train(alone)
    shared = replace(alone, run=replace(alone.run, dir=str(tmp_path / "two")))
    ranks.run(train_as_rank, shared, size=2, seconds=120)
    np.testing.assert_allclose(losses(shared.run.dir), losses(alone.run.dir), rtol=1e-4)


def test_it_goes_with_a_memory_label_queries_and_hard_labels(
    distilled: TrainConfig, changed: Changed
) -> None:
    more = changed(
        distilled,
        data={"label_queries": 0.3},
        negatives={"memory": MemoryConfig(enabled=True)},
        distillation={"hard_weight": 1.0, "discriminator": "reference"},
        training={"epochs": 1},
    )
    train(more)
    assert all(np.isfinite(losses(more.run.dir))) and logged(more.run.dir)


def test_what_does_not_go_together_is_refused(config: TrainConfig, changed: Changed) -> None:
    teachers = {"teachers": "t.parquet"}
    for sections, text in (
        ({"negatives": {"positives": 2}}, "expected negatives.positives null"),
        (
            {"objective": {"margin": MarginConfig(kind="cosface", size=0.1)}},
            "objective.margin: expected kind none",
        ),
        (
            {"objective": {"name": "spherical_z_loss"}, "distillation": {**teachers, "hard_weight": 1.0}},
            "distillation.hard_weight: expected 0 with spherical_z_loss",
        ),
    ):
        with pytest.raises(ConfigError, match=text):
            changed(config, **{"distillation": teachers, **sections})
