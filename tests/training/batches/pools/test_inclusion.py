from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import hypergeom

from xmc.training.batches import in_batch_inclusion, union_inclusion
from xmc.training.batches.pools.inclusion import thinned_in_batch_inclusion


@pytest.mark.parametrize(("num_rows", "batch_size"), [(6, 1), (6, 3), (7, 6), (5, 5), (1, 1)])
def test_in_batch_inclusion_counts_every_batch_of_a_row(num_rows: int, batch_size: int) -> None:
    others = range(num_rows - 1)
    batches = list(combinations(others, batch_size - 1))
    counts = np.arange(num_rows)  # label n is a positive of the first n other rows
    expected = [np.mean([any(row < n for row in batch) for batch in batches]) for n in counts]
    np.testing.assert_allclose(in_batch_inclusion(counts, num_rows, batch_size), expected, atol=1e-12)


@pytest.mark.parametrize(("num_rows", "batch_size"), [(1000, 100), (50_000, 512), (2_000_000, 4096)])
def test_in_batch_inclusion_is_hypergeometric_at_the_sizes_of_benchmarks(
    num_rows: int, batch_size: int
) -> None:
    counts = np.array([0, 1, 2, 10, 900])
    expected = 1 - hypergeom(num_rows - 1, counts, batch_size - 1).pmf(0)
    found = in_batch_inclusion(counts, num_rows, batch_size)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-12)
    assert found[0] == 0
    np.testing.assert_allclose(found[1], (batch_size - 1) / (num_rows - 1), rtol=1e-4)


@pytest.mark.parametrize(("num_rows", "batch_size"), [(6, 1), (6, 3), (7, 6), (5, 5), (9, 5), (12, 2)])
def test_thinned_inclusion_counts_every_batch_of_a_row(num_rows: int, batch_size: int) -> None:
    """Chances are of three kinds; label 0 is of no row, label 1 of all others for certain."""
    generator, kinds = np.random.default_rng(0), np.array([0.2, 0.75, 1.0])
    kind = generator.integers(-1, 3, size=(num_rows - 1, 12))
    kind[:, 0], kind[:, 1] = -1, 2
    missed = 1 - np.where(kind < 0, 0.0, kinds[kind])
    batches = list(combinations(range(num_rows - 1), batch_size - 1))
    expected = 1 - np.mean([missed[list(batch)].prod(0) for batch in batches], 0)
    counts = sp.csr_matrix(np.stack([(kind == value).sum(0) for value in range(3)], 1).astype(float))
    found = thinned_in_batch_inclusion(counts, kinds, num_rows, batch_size)
    np.testing.assert_allclose(found, expected, atol=1e-14)
    assert found[0] == 0


@pytest.mark.parametrize(
    ("num_rows", "batch_size"), [(1000, 100), (300, 290), (50_000, 512), (2_000_000, 48_000)]
)
def test_thinned_inclusion_at_the_sizes_of_benchmarks(num_rows: int, batch_size: int) -> None:
    """With chances of 1 it is the other; with one small chance it lies between those of none and of all."""
    labels = np.array([0, 1, 2, 10, 250, num_rows // 2, num_rows - 1])
    expected = in_batch_inclusion(labels, num_rows, batch_size)
    counts = sp.csr_matrix(labels[:, None].astype(float))
    found = thinned_in_batch_inclusion(counts, np.ones(1), num_rows, batch_size)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    # Of a label that every row has by a chance p, a batch misses each row's with 1 - p, whatever the batch.
    thinned = thinned_in_batch_inclusion(counts, np.array([1e-4]), num_rows, batch_size)
    np.testing.assert_allclose(thinned[-1], -np.expm1((batch_size - 1) * np.log1p(-1e-4)), rtol=1e-10)
    # Of two rows at most both are in the batch.
    share = (batch_size - 1) / (num_rows - 1)
    both = share * (batch_size - 2) / (num_rows - 2)
    np.testing.assert_allclose(thinned[1:3], [1e-4 * share, 2e-4 * share - 1e-8 * both], rtol=1e-7)


def test_a_label_of_nearly_every_row_is_certain() -> None:
    assert in_batch_inclusion(np.array([98, 99, 100]), 100, 3).tolist() == [1.0, 1.0, 1.0]


def test_union_of_independent_sources() -> None:
    np.testing.assert_allclose(union_inclusion(0.5, np.array([0.0, 0.5, 1.0])), [0.5, 0.75, 1.0])
    np.testing.assert_allclose(union_inclusion(0.1, 0.2, 0.3), 1 - 0.9 * 0.8 * 0.7)
    assert union_inclusion(0.25) == 0.25
