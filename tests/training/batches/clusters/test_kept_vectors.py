from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.distributed.ranks import Ranks
from tests.fixtures.killed import train_until_killed
from tests.runs import logged, losses
from xmc.distributed import World, current_world
from xmc.errors import ConfigError
from xmc.training import train
from xmc.training.batches.batch import Batch, Moment
from xmc.training.batches.clusters.config import ClustersConfig
from xmc.training.batches.clusters.kept_vectors import KeptVectors
from xmc.training.batches.clusters.source import QueryClusters
from xmc.training.learned.frozen_encoder import FrozenEncoder

QUERIES = np.arange(24) * 2 + 1


def points(rows: np.ndarray) -> Tensor:
    """A vector for each query's id, exact in float16."""
    generator = np.random.default_rng(0)
    return torch.from_numpy(generator.integers(-8, 9, (64, 5)).astype(np.float32)[rows])


class Encoder:
    """Says which rows it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def encode_queries(self, rows: np.ndarray) -> Tensor:
        self.asked += rows.tolist()
        return points(rows)


def clustered(world: World, kept: np.ndarray, folder: Path, vectors: str = "kept") -> tuple[Any, list[int]]:
    """The order after a step that has seen some queries (and a label, which is a query too)."""
    plan = ClustersConfig(largest=4, first=2, start_epoch=0, vectors=cast(Any, vectors))
    source = QueryClusters(plan, QUERIES, 8, 0, world, torch.device("cpu"), dimension=5, folder=folder)
    rows = np.concatenate([kept, [60]])
    source.seen(Batch(3, rows, cast(Any, None), None, None), points(rows))
    encoder = Encoder()
    source.before(Moment(7, 7, cast(Any, encoder), cast(Any, None)))
    source.sampler.next()
    return source.sampler.units(), encoder.asked


def test_only_what_is_missing_is_encoded_and_the_clusters_are_the_same(tmp_path: Path) -> None:
    fresh, every = clustered(World(), QUERIES[:0], tmp_path, "fresh")
    kept, few = clustered(World(), QUERIES[::-1][:20], tmp_path)
    assert sorted(every) == QUERIES.tolist() and sorted(few) == QUERIES[:4].tolist()
    np.testing.assert_array_equal(kept, fresh)


def as_rank() -> tuple[Any, list[int]]:
    with tempfile.TemporaryDirectory() as folder:
        return clustered(current_world(), QUERIES[3:], Path(folder))


def test_ranks_cluster_as_one(ranks: Ranks, tmp_path: Path) -> None:
    units, _ = clustered(World(), QUERIES[3:], tmp_path)
    answers = ranks.run(as_rank, size=2)
    for found, _ in answers:
        np.testing.assert_array_equal(found, units)
    assert sorted(row for _, asked in answers for row in asked) == QUERIES[:3].tolist()


def test_what_is_kept_goes_through_a_checkpoint(tmp_path: Path) -> None:
    kept = KeptVectors(4, 5, tmp_path / "first", World())
    assert kept.age(3) is None and kept.missing.tolist() == [0, 1, 2, 3]
    kept.keep(np.array([3, 1]), points(np.array([7, 9])), 2)
    kept.keep(np.array([1]), points(np.array([8])), 4)
    assert kept.missing.tolist() == [0, 2] and kept.age(5) == 2.0
    other = KeptVectors(4, 5, tmp_path / "second", World())
    other.load({})
    assert len(other.missing) == 4
    other.load(kept.tensors())
    assert other.missing.tolist() == [0, 2] and other.age(5) == 2.0
    assert other.vectors is not None
    np.testing.assert_array_equal(other.vectors[[3, 1]], points(np.array([7, 8])).half().numpy())
    with pytest.raises(ConfigError, match="vectors of 3 queries, got 4"):
        KeptVectors(3, 5, tmp_path / "third", World()).load(kept.tensors())
    other.close()
    assert not list((tmp_path / "second").iterdir())


def test_a_wrong_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected fresh or kept, got 'old'"):
        ClustersConfig(vectors=cast(Any, "old"))


def test_a_run_encodes_only_what_no_step_has_and_is_resumed(
    config: Any, changed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(
        config,
        negatives={"clusters": ClustersConfig(largest=14, first=7, vectors="kept")},
        training={"epochs": 3},
        validation={"rows": 0},
    )
    asked: list[int] = []
    original = FrozenEncoder.encode_queries

    def encode(self: FrozenEncoder, rows: np.ndarray) -> Tensor:
        asked.append(len(rows))
        return original(self, rows)

    monkeypatch.setattr(FrozenEncoder, "encode_queries", encode)
    train(config)
    assert asked and max(asked) < 14  # those that the first epoch's batches left over
    told = [line["clusters"] for line in logged(config.run.dir) if "clusters" in line]
    assert told[-1]["size"] == 14 and told[-1]["stale_mean"] > 0
    assert not (Path(config.run.dir) / "query_vectors.npy").exists()

    killed = changed(config, run={"dir": str(tmp_path / "killed")}, training={"checkpoint_every": 4})

    train_until_killed(killed, 7, monkeypatch)
    train(changed(killed, run={"resume": True}))
    assert losses(config.run.dir) == losses(tmp_path / "killed")
