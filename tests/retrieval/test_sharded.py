"""Every number of ranks gives what one process gives, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from tests.distributed.ranks import Ranks
from xmc.distributed import World, current_world
from xmc.errors import ConfigError
from xmc.retrieval import exact_search, sharded_search

Case = dict[str, Any]


def case(num_queries: int, num_labels: int, *, ties: bool, extras: bool, seed: int = 0) -> Case:
    rng = np.random.default_rng(seed)
    if ties:
        queries = rng.integers(-1, 2, (num_queries, 4)).astype(np.float32)
        labels = rng.integers(-1, 2, (num_labels, 4)).astype(np.float32)
    else:
        queries = rng.normal(size=(num_queries, 24)).astype(np.float32)
        labels = rng.normal(size=(num_labels, 24)).astype(np.float32)
    exclude = sp.random(num_queries, num_labels, 0.1, "csr", rng=rng).astype(bool) if extras else None
    offsets = rng.integers(-1, 2, num_labels).astype(np.float32) if extras else None
    return {"queries": queries, "labels": labels, "exclude": exclude, "offsets": offsets}


def shard_of(data: Case) -> dict[str, Any]:
    """What this rank gives to a search."""
    world, queries, labels = current_world(), data["queries"], data["labels"]
    return {
        "queries": queries[slice(*world.shard(len(queries)))],
        "labels": labels[slice(*world.shard(len(labels)))],
        "num_queries": len(queries),
        "num_labels": len(labels),
        "world": world,
        "exclude": data["exclude"],
    }


def search_shard(data: Case, k: int) -> tuple[np.ndarray, np.ndarray]:
    return sharded_search(k=k, offsets=data["offsets"], **shard_of(data))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize(
    ("num_queries", "num_labels", "k", "ties", "extras"),
    [
        (50, 1000, 20, False, False),
        (50, 1001, 20, False, True),
        (7, 100, 9, True, True),
        (7, 50, 80, True, False),
        (2, 2, 3, True, True),
        (1, 1, 1, False, False),
    ],
)
def test_ranks_find_what_one_process_finds(
    ranks: Ranks, size: int, num_queries: int, num_labels: int, k: int, ties: bool, extras: bool
) -> None:
    data = case(num_queries, num_labels, ties=ties, extras=extras)
    expected = exact_search(
        data["queries"], data["labels"], k, exclude=data["exclude"], offsets=data["offsets"]
    )
    answers = ranks.run(search_shard, data, k, size=size)
    ids = np.concatenate([answer[0] for answer in answers])
    scores = np.concatenate([answer[1] for answer in answers])
    assert ids.dtype == np.int32 and scores.dtype == np.float32
    np.testing.assert_array_equal(ids, expected[0])
    np.testing.assert_array_equal(scores, expected[1])


def test_another_shard_of_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match="labels 0:3 of 3 on rank 0, got 2"):
        sharded_search(np.ones((1, 2)), np.ones((2, 2)), 1, num_queries=1, num_labels=3, world=World())
