"""Inclusion probabilities for labels that are queries of themselves, by enumeration and by simulation."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tests.training.batches.test_source import moment
from xmc.distributed import World
from xmc.errors import ConfigError
from xmc.training.batches import NegativesConfig, SampledLabels, UniformDraw, build_batches
from xmc.training.batches.label_queries import LabelQueries, with_label_rows
from xmc.training.batches.pools.sampled import LabelRows

RELEVANCE = sp.csr_matrix(
    np.array([[1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0]], dtype=np.float32)
)
N, L = RELEVANCE.shape


OTHERS = sp.csr_matrix(
    np.array([[0, 1, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
)
"""Co-labels of the five labels."""


@pytest.mark.parametrize("others", [None, OTHERS], ids=["own label", "co-labels"])
@pytest.mark.parametrize(("batch", "uniform", "joining"), [(2, 2, 2), (3, 1, 1), (1, 1, 3), (4, 2, 5)])
def test_all_pools_that_can_be_drawn(
    batch: int, uniform: int, joining: int, others: sp.csr_matrix | None
) -> None:
    """Every batch, every uniform draw and every set of label queries are equally likely."""
    label_rows = LabelQueries(N, L, joining, seed=1, co_labels=others).rows
    sampler = SampledLabels(RELEVANCE, batch, uniform=uniform, label_rows=label_rows)
    dense = RELEVANCE.toarray() > 0
    own = with_label_rows(RELEVANCE, others).toarray()[N:] > 0
    of_row, of_label = np.zeros((N, L)), np.zeros((L, L))
    rows_drawn, labels_drawn = np.zeros(N), np.zeros(L)
    draws = (combinations(range(n), k) for n, k in ((N, batch), (L, uniform), (L, joining)))
    for rows, drawn, labels in product(*map(list, draws)):
        pool = dense[list(rows)].any(0)
        pool |= own[list(labels)].any(0)
        pool[list(drawn)] = True
        rows_drawn[list(rows)] += 1
        labels_drawn[list(labels)] += 1
        of_row[list(rows)] += pool
        of_label[list(labels)] += pool
    chances = of_row / rows_drawn[:, None]
    np.testing.assert_allclose(chances[~dense], np.tile(sampler.inclusion, (N, 1))[~dense], atol=1e-12)
    chances, expected = of_label / labels_drawn[:, None], np.tile(sampler.label_inclusion, (L, 1))
    np.testing.assert_allclose(chances[~own], expected[~own], atol=1e-12)


def test_the_mean_weight_of_a_negative_is_one(tmp_path: Path) -> None:
    """In batches of 3 rows as they are drawn in training, epoch after epoch, with 2 labels as queries."""
    random, steps = np.random.default_rng(0), 1500
    relevance = sp.csr_matrix((random.random((11, 8)) < 0.2).astype(np.float32))
    batches = build_batches(
        NegativesConfig(mode="sampled", uniform=2), relevance, np.arange(11), batch_size=3, label_queries=2,
        dimension=2, seed=1, world=World(), device=torch.device("cpu"), folder=tmp_path,
    )  # fmt: skip
    sums, squares, counts = np.zeros((3, 2, 8))
    for step in range(steps):
        batch = batches.next(moment(step))
        assert batch.pool.apart is not None and batch.pool.log_weights is not None
        for row, query in enumerate(batch.queries):
            kind = int(batch.pool.apart.rows[row])
            assert kind == (query >= 11)
            chosen = batch.pool.apart.log_weights if kind else batch.pool.log_weights
            weights = np.zeros(8)
            weights[batch.pool.label_ids] = np.exp(chosen)
            negative = batches.relevance[query].toarray()[0] == 0
            sums[kind] += weights * negative
            squares[kind] += weights**2 * negative
            counts[kind] += negative
    means = sums / counts
    # Rows of a batch share its draws, which makes fewer of them independent: at least one a batch is.
    errors = np.sqrt((squares / counts - means**2) / (counts / 3))
    assert (np.abs(means - 1) < 4 * errors).all()
    assert errors.max() < 0.05


def test_rows_must_be_told_apart() -> None:
    sampler = SampledLabels(RELEVANCE, 2, uniform=2, label_rows=LabelRows(N, UniformDraw(L, 2)))
    with pytest.raises(ConfigError, match="some of its rows are labels"):
        sampler.pool(RELEVANCE[:2], 0)
    free = SampledLabels(RELEVANCE, 2, uniform=2, corrected=False, label_rows=LabelRows(N, UniformDraw(L, 2)))
    assert free.pool(RELEVANCE[:2], 0).apart is None
