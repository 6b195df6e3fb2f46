from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import hypergeom

from xmc.training.batches import in_batch_inclusion, union_inclusion


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


def test_a_label_of_nearly_every_row_is_certain() -> None:
    assert in_batch_inclusion(np.array([98, 99, 100]), 100, 3).tolist() == [1.0, 1.0, 1.0]


def test_union_of_independent_sources() -> None:
    np.testing.assert_allclose(union_inclusion(0.5, np.array([0.0, 0.5, 1.0])), [0.5, 0.75, 1.0])
    np.testing.assert_allclose(union_inclusion(0.1, 0.2, 0.3), 1 - 0.9 * 0.8 * 0.7)
    assert union_inclusion(0.25) == 0.25
