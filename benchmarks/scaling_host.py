"""Measures the host's work in one step at the shapes of LF-AmazonTitles-1.3M: its batch, pool and positives.

    python benchmarks/scaling_host.py [--batch 3000 48000] [--exponent 0.8]

Relevance is random: 22 labels a row, with frequencies that fall as the rank to a power.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from xmc.scoring import as_positives
from xmc.training.batches import SampledLabels

__all__ = ["host_line", "main", "random_relevance"]

LABELS, POSITIVES, ROWS, UNIFORM = 1_305_265, 22, 200_000, 65_536


def random_relevance(rows: int, labels: int, exponent: float) -> sp.csr_matrix:
    """[rows, labels], 22 draws a row with chances that go with ``rank ** -exponent``; repeated ones merge."""
    generator = np.random.default_rng(0)
    chances = np.cumsum((np.arange(labels) + 1.0) ** -exponent)
    # Inverse of the cumulated chances at uniform numbers: a draw from a million labels in one call.
    ids = np.searchsorted(chances, generator.random(rows * POSITIVES) * chances[-1])
    starts = np.arange(0, rows * POSITIVES + 1, POSITIVES)
    matrix = sp.csr_matrix((np.ones(len(ids), dtype=np.float32), ids, starts), shape=(rows, labels))
    matrix.sum_duplicates()
    return matrix


def host_line(relevance: sp.csr_matrix, batch: int, uniform: int) -> str:
    """A line of the table: the pool's size, the pairs, and seconds of each part."""
    sampler = SampledLabels(relevance, batch, uniform=uniform)
    rows = np.random.default_rng(1).choice(relevance.shape[0], batch, replace=False)
    # Host work alone: what a step does before anything is encoded.
    times = [time.perf_counter()]
    positives = relevance[rows]
    times.append(time.perf_counter())
    pool = sampler.pool(positives, 0, rows)
    times.append(time.perf_counter())
    as_positives(pool.positives, batch, len(pool.label_ids))
    times.append(time.perf_counter())
    seconds = " | ".join(f"{late - soon:.3f}" for soon, late in zip(times, times[1:], strict=False))
    return f"| {batch:,} | {len(pool.label_ids):,} | {positives.nnz:,} | {seconds} |"


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[3_000, 48_000], help="queries per step")
    parser.add_argument("--exponent", type=float, default=0.8, help="0 for labels of equal frequency")
    parser.add_argument("--labels", type=int, default=LABELS)
    parser.add_argument("--rows", type=int, default=ROWS, help="training rows that batches are drawn from")
    parser.add_argument("--uniform", type=int, default=UNIFORM)
    options = parser.parse_args(words)
    relevance = random_relevance(options.rows, options.labels, options.exponent)
    print("| queries | pool | pairs | s: batch | pool | positives |\n|---|---|---|---|---|---|")
    for batch in options.batch:
        print(host_line(relevance, batch, options.uniform))


if __name__ == "__main__":
    main()
