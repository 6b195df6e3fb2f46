from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from tests.fixtures.killed import train_until_killed
from tests.runs import losses
from xmc.data import Dataset, TokenStore
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.training import TrainConfig, Trainer, train
from xmc.training.batches import Batch, Moment, SampledLabels
from xmc.training.batches.co_labels import co_label_shares
from xmc.training.batches.label_queries import LabelQueries, StepWorks, with_label_rows
from xmc.training.batches.tokens import StackedTokens
from xmc.training.config import DataConfig


def store(folder: Path, name: str, texts: list[list[int]]) -> TokenStore:
    return TokenStore.open_or_build(
        folder,
        [str(i) for i in range(len(texts))],
        lambda part: [texts[int(i)] for i in part],
        fingerprint=name,
        max_length=None,
        description=name,
        progress=False,
    )


def test_stacked_tokens_are_found_by_row(tmp_path: Path) -> None:
    queries, labels = [[1, 2], [3], []], [[7], [8, 9, 10]]
    stacked = StackedTokens(store(tmp_path, "a", queries), store(tmp_path, "b", labels))
    assert len(stacked) == 5
    ids, offsets = stacked.gather(np.array([2, 0, 3 + 1, 3 + 0]))
    found = [ids[start:stop].tolist() for start, stop in zip(offsets, offsets[1:], strict=False)]
    assert found == [[], [1, 2], [8, 9, 10], [7]]
    ids, offsets = stacked.gather(np.array([4]))
    assert ids.tolist() == [8, 9, 10] and offsets.tolist() == [0, 3]


def test_labels_join_a_batch_as_rows_of_their_own() -> None:
    relevance = sp.csr_matrix(np.array([[1, 0, 1], [0, 1, 0]], dtype=np.float32))
    drawn = LabelQueries(2, 3, 2, seed=0)
    rows = drawn.extend(np.array([1]), batch_index=4)
    assert rows[0] == 1 and len(rows) == 3 and (rows[1:] >= 2).all()
    np.testing.assert_array_equal(rows, drawn.extend(np.array([1]), batch_index=4))
    stacked = with_label_rows(relevance)
    np.testing.assert_array_equal(stacked[rows[1:]].toarray(), np.eye(3)[rows[1:] - 2])


@pytest.mark.parametrize(
    ("until", "batches", "joined"), [(0.5, 10, 5), (0.3, 10, 3), (0.01, 10, 1), (1, 4, 4)]
)
def test_labels_join_the_first_batches_of_a_run(until: float, batches: int, joined: int) -> None:
    drawn = LabelQueries(20, 30, 4, seed=0, weight=0.5, until=until)
    every = LabelQueries(20, 30, 4, seed=0)
    drawn.planned(batches)
    own = np.arange(3)
    found = [drawn.extend(own, index) for index in range(batches)]
    assert [len(rows) for rows in found] == [7] * joined + [3] * (batches - joined)
    for index, rows in enumerate(found[:joined]):
        np.testing.assert_array_equal(rows, every.extend(own, index))
    weights = [drawn.weights(rows) for rows in found]
    assert all(given is not None for given in weights[:joined])
    assert weights[joined:] == [None] * (batches - joined)


@pytest.mark.parametrize(("queries", "until"), [(0.0, 1.0), (4.0, 0.33), (0.5, 1.0), (8.0, 0.01)])
def test_what_steps_take_adds_up(queries: float, until: float) -> None:
    works = StepWorks(DataConfig("data", label_queries=queries, label_query_until=until), 10)
    each = [works.of(step) for step in range(10)]
    assert each == [1 + queries if step < until * 10 else 1.0 for step in range(10)]
    for step in range(11):
        assert works.after(step) == pytest.approx(sum(each[step:]))
    long = StepWorks(DataConfig("data", label_queries=1.0), 10**15)
    assert long.after(1) == 2 * (10**15 - 1), "nothing is made of a run's length"


def test_a_pool_that_no_label_query_joins_has_the_chances_of_one_without_them() -> None:
    generator = np.random.default_rng(0)
    relevance = sp.csr_matrix((generator.random((60, 20)) < 0.1).astype(np.float32))
    drawn = LabelQueries(60, 20, 3, seed=5, until=0.5)
    drawn.planned(10)
    plain, joined = (
        SampledLabels(relevance, 6, uniform=4, seed=5, label_rows=rows) for rows in (None, drawn.rows)
    )
    all_rows, own = with_label_rows(relevance), np.arange(6)
    for step in range(10):
        rows = drawn.extend(own, step)
        alone, found = plain.pool(relevance[own], step, own), joined.pool(all_rows[rows], step, rows)
        assert alone.log_weights is not None and found.log_weights is not None
        if step < 5:
            assert found.apart is not None
            shared = found.log_weights[np.isin(found.label_ids, alone.label_ids)]
            assert (shared < alone.log_weights).all()  # more likely in the pool, so each counts for less
        else:
            assert found.apart is None
            np.testing.assert_array_equal(found.label_ids, alone.label_ids)
            np.testing.assert_array_equal(found.log_weights, alone.log_weights)


def test_the_pool_knows_that_label_queries_bring_labels() -> None:
    generator = np.random.default_rng(0)
    relevance = sp.csr_matrix((generator.random((60, 20)) < 0.1).astype(np.float32))
    drawn = LabelQueries(60, 20, 3, seed=5)
    plain, joined = (
        SampledLabels(relevance, 6, uniform=4, seed=5, label_rows=rows) for rows in (None, drawn.rows)
    )
    np.testing.assert_allclose(1 - joined.inclusion, (1 - plain.inclusion) * (1 - 3 / 20))
    all_rows = with_label_rows(relevance)
    counts = np.zeros(20)
    for step in range(4000):
        # Row 0 is in every batch; its negatives come by the other five rows, the draw and the label queries.
        others = 1 + generator.choice(59, 5, replace=False)
        rows = drawn.extend(np.concatenate([[0], others]), step)
        counts[joined.pool(all_rows[rows], step, rows).label_ids] += 1
    negative = relevance[0].toarray()[0] == 0
    np.testing.assert_allclose(counts[negative] / 4000, joined.inclusion[negative], atol=0.03)


def test_the_labels_that_come_with_a_label_are_soft_targets_of_its_query(
    config: TrainConfig, changed: Callable[..., TrainConfig], dataset: Dataset
) -> None:
    data = {"label_queries": 1.0, "co_labels": 0.2, "label_query_weight": 0.25}
    trainer = Trainer(changed(config, data=data))
    try:
        own = np.setdiff1d(np.arange(dataset.num_train), trainer.validation_rows)
        expected = co_label_shares(dataset.relevance("train")[own], 0.2).toarray()
        assert (expected > 0).any() and not expected.diagonal().any()
        frozen = trainer.prepare_inputs().frozen
        batch = trainer.batches.next(Moment(0, 0, frozen, trainer.learner.parameters))
        labels = batch.queries >= dataset.num_train
        found = np.zeros((len(batch.queries), dataset.num_labels), np.float32)
        found[:, batch.pool.label_ids] = batch.pool.positives.toarray()
        drawn = batch.queries[labels] - dataset.num_train
        np.testing.assert_array_equal(found[labels], (expected + np.eye(len(expected)))[drawn])
        assert batch.weights is not None
        np.testing.assert_array_equal(batch.weights, np.where(labels, 0.25, 1.0))
    finally:
        trainer.batches.close()
        trainer.locks.close()


def test_a_weight_near_zero_trains_on_rows_alone(config, changed, tmp_path) -> None:
    """With all labels scored and none of them drawn, label queries change nothing but what they weigh."""

    def first_loss(**data: object) -> float:
        run = {"dir": str(tmp_path / f"run{len(data)}")}
        training = {"epochs": 1, "max_steps": 1}
        sections = {"negatives": {"mode": "all"}, "training": training, "encoder": {"dropout": 0.0}}
        train(changed(config, data=data, run=run, **sections))
        return losses(run["dir"])[0]

    alone, some = first_loss(), first_loss(label_queries=1.0)
    assert abs(some - alone) > 0.1
    assert first_loss(label_queries=1.0, label_query_weight=1e-9) == pytest.approx(alone, rel=1e-6)


def test_the_query_tower_learns_the_words_of_labels(config, changed, dataset, tmp_path) -> None:
    def moved(**data: object) -> float:
        run = {"dir": str(tmp_path / f"run{len(data)}")}
        result = train(changed(config, data=data, run=run, training={"epochs": 1}))
        texts = list(dataset.texts("labels"))
        before = DualEncoder.build(config.encoder).encode_queries(texts)
        return float(np.abs(DualEncoder.load(result.last_path).encode_queries(texts) - before).max())

    # No training query has a label's word.
    assert moved() < 1e-6 < 0.01 < moved(label_queries=1.0)


def test_a_run_ends_with_training_rows_alone_and_resumes_as_if_it_was_not_cut(
    config: TrainConfig,
    changed: Callable[..., TrainConfig],
    tmp_path: Path,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = {"label_queries": 1.0, "label_query_until": 0.5, "label_query_weight": 0.5}
    run = changed(config, data=data, training={"accumulation": 2, "checkpoint_every": 1})
    trainer = Trainer(run)
    sizes: list[int] = []
    draw = trainer.batches.next

    def noted(*given: Any) -> Batch:
        batch = draw(*given)
        sizes.append(int((batch.queries >= dataset.num_train).sum()))
        return batch

    monkeypatch.setattr(trainer.batches, "next", noted)
    result = trainer.fit()
    count = run.data.num_label_queries(run.training.batch_size)
    half = trainer.num_steps  # half of its batches, which are two a step
    assert trainer.num_steps > 3 and sizes == [count] * half + [0] * half

    again = changed(run, run={"dir": str(tmp_path / "again")})
    train_until_killed(again, trainer.num_steps // 2 + 1, monkeypatch)
    resumed = train(changed(again, run={"resume": True}))
    assert losses(str(tmp_path / "again")) == losses(run.run.dir)
    first, second = (DualEncoder.load(one.last_path).fingerprint for one in (result, resumed))
    assert first == second


def test_what_it_cannot_be_joined_with_is_refused(config, changed) -> None:
    mined = changed(config, data={"label_queries": 0.5})
    with pytest.raises(ConfigError, match="data.label_queries: expected neither"):
        train(changed(mined, negatives={"mined": type(mined.negatives.mined)(count=2)}))
    with pytest.raises(ConfigError, match="data.label_queries: expected a share"):
        changed(config, data={"label_queries": -1.0})
    some = {"label_queries": 0.5}
    for data, text in (
        ({"co_labels": 0.1}, "data.co_labels: expected data.label_queries above 0"),
        ({"label_query_weight": 0.1}, "data.label_query_weight: expected data.label_queries above 0"),
        ({"label_query_until": 0.5}, "data.label_query_until: expected data.label_queries above 0"),
        ({**some, "label_query_until": 0.0}, "data.label_query_until: expected a share of the run above 0"),
        ({**some, "label_query_until": 1.5}, "data.label_query_until: expected a share of the run above 0"),
        ({**some, "co_labels": 1.5}, "data.co_labels: expected a share above 0 and at most 1"),
        ({**some, "label_query_weight": 0.0}, "data.label_query_weight: expected"),
    ):
        with pytest.raises(ConfigError, match=text):
            changed(config, data=data)
    kept = changed(config, data={**some, "co_labels": 0.1}, negatives={"positives": 1})
    with pytest.raises(ConfigError, match="negatives.positives: expected null with data.co_labels"):
        train(kept)
    head = {"kind": "factored", "learning_rate": 1.0}
    objective = {"name": "spherical_z_loss", "label_offsets": False, "learn_scale": False}
    with pytest.raises(ConfigError, match="data.label_query_weight: expected 1 with a factored head"):
        changed(
            config, data={**some, "label_query_weight": 0.5}, objective=objective,
            negatives={"mode": "all"}, head=head,
        )  # fmt: skip
