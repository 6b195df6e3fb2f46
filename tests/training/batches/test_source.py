"""Sources of one's own: a draw with known probabilities, and one that takes part in everything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from xmc.distributed import World
from xmc.training.batches import (
    AllLabels,
    Batch,
    Batches,
    BatchSource,
    Moment,
    NegativesConfig,
    Pool,
    SampledLabels,
    build_batches,
)
from xmc.training.batches.query_sampler import QuerySampler
from xmc.training.learned.learner import ScoreParameters

NUM_QUERIES, NUM_LABELS, BATCH = 24, 30, 4


@pytest.fixture
def relevance() -> sp.csr_matrix:
    generator = np.random.default_rng(0)
    return sp.csr_matrix((generator.random((NUM_QUERIES, NUM_LABELS)) < 0.1).astype(np.float32))


def moment(batch_index: int, step: int = 0) -> Moment:
    scores = ScoreParameters.__new__(ScoreParameters)  # which no source here looks at
    return Moment(batch_index, step, None, scores)  # type: ignore[arg-type]


class EveryThird:
    """One of three sets of labels, each as likely as the others."""

    inclusion = np.full(NUM_LABELS, 1 / 3)

    def add_to(self, included: np.ndarray, batch_index: int) -> None:
        included[int(np.random.default_rng((5, batch_index)).integers(3)) :: 3] = True


def test_a_draw_of_ones_own_joins_every_pool_with_its_probabilities(
    relevance: sp.csr_matrix, tmp_path: Path
) -> None:
    def built(*draws: EveryThird) -> Batches:
        return build_batches(
            NegativesConfig(mode="sampled", uniform=3),
            relevance,
            np.arange(NUM_QUERIES),
            batch_size=BATCH,
            label_queries=0,
            dimension=2,
            seed=1,
            world=World(),
            device=torch.device("cpu"),
            folder=tmp_path,
            draws=draws,
        )

    plain, joined = built(), built(EveryThird())
    assert isinstance(plain.pools, SampledLabels) and isinstance(joined.pools, SampledLabels)
    np.testing.assert_allclose(1 - joined.pools.inclusion, (1 - plain.pools.inclusion) * 2 / 3)
    for batch_index in range(4):
        wanted = np.zeros(NUM_LABELS, dtype=bool)
        EveryThird().add_to(wanted, batch_index)
        pool = joined.next(moment(batch_index)).pool
        assert set(np.flatnonzero(wanted)) <= set(pool.label_ids)


class Recorder(BatchSource):
    """Notes what it is asked, adds query 0 to each batch, and brings one label for every query."""

    name = "recorder"

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.count = 0
        self._lists: dict[int, sp.csr_matrix] = {}

    def before(self, moment: Moment) -> None:
        self.seen.append(f"before {moment.batch_index}")

    def extend(self, queries: np.ndarray, batch_index: int) -> np.ndarray:
        return np.append(queries, 0)

    def brought(self, epoch: int) -> sp.csr_matrix:
        if epoch not in self._lists:
            columns = np.full(NUM_QUERIES, NUM_LABELS - 1 - epoch)
            pairs = (np.ones(NUM_QUERIES, dtype=bool), (np.arange(NUM_QUERIES), columns))
            self._lists[epoch] = sp.csr_matrix(pairs, shape=(NUM_QUERIES, NUM_LABELS))
        return self._lists[epoch]

    def outside(self, pool: Pool, moment: Moment) -> None:
        self.seen.append(f"outside {len(pool.label_ids)}")

    def after(self, batch: Batch, embeddings: Tensor, moment: Moment) -> None:
        self.seen.append(f"after {batch.batch_index} {tuple(embeddings.shape)}")
        self.count += 1

    def metrics(self, batch_index: int, step: int) -> dict[str, Any]:
        return {"count": self.count}

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def tensors(self) -> dict[str, Tensor]:
        return {"ones": torch.ones(self.count)}

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.count = state["count"]
        assert set(tensors) == {"ones"}, "its own, under its own names"


def test_a_source_is_asked_in_order_and_its_state_comes_back(relevance: sp.csr_matrix) -> None:
    source = Recorder()
    queries = np.arange(NUM_QUERIES)
    batches = Batches(
        relevance, QuerySampler(queries, BATCH, 0), AllLabels(NUM_LABELS), [source, silent := Silent()]
    )
    batch = batches.next(moment(7))
    batches.after(batch, torch.zeros(NUM_LABELS, 2), moment(7))
    assert source.seen == ["before 7", f"outside {NUM_LABELS}", f"after 7 ({NUM_LABELS}, 2)"]
    assert len(batch.queries) == BATCH + 1 and batch.queries[-1] == 0 and batch.outside is None
    assert batches.metrics(8, 1) == {"recorder": {"count": 1}}
    assert silent.name not in batches.metrics(8, 1)
    state, tensors = batches.state_dict(), batches.tensors()
    assert state["recorder"] == {"count": 1} and list(tensors) == ["recorder.ones"]
    other = Recorder()
    resumed = Batches(relevance, QuerySampler(queries, BATCH, 0), AllLabels(NUM_LABELS), [other])
    resumed.load(state, tensors)
    assert other.count == 1
    np.testing.assert_array_equal(resumed.next(moment(8)).queries, batches.next(moment(8)).queries)


class Silent(BatchSource):
    """Takes part in nothing."""

    name = "silent"


def test_inclusion_is_counted_anew_when_what_queries_bring_changes(relevance: sp.csr_matrix) -> None:
    sampler = QuerySampler(np.arange(NUM_QUERIES), BATCH, 0)
    pools = SampledLabels(relevance, BATCH, uniform=3)
    batches = Batches(relevance, sampler, pools, [Recorder()])
    found = []
    for batch_index in range(sampler.steps_per_epoch + 1):
        batch = batches.next(moment(batch_index))
        assert NUM_LABELS - 1 - sampler.epoch in batch.pool.label_ids
        found.append(pools.inclusion)
    assert all(inclusion is found[0] for inclusion in found[:-1]) and found[-1] is not found[0]
    assert found[0][NUM_LABELS - 1] == pytest.approx(1.0) and found[-1][NUM_LABELS - 1] < 1
