from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tests.distributed.ranks import Ranks
from xmc.distributed import World, current_world
from xmc.errors import ConfigError
from xmc.objectives.statistics.log_partition import LogPartition
from xmc.scoring import Positives, ScoreInputs, reduce_scores
from xmc.scoring.inputs import FrozenLabels
from xmc.training.batches import LabelMemory, MemoryConfig

L, D, B = 29, 5, 4


def filled(folder: Path | None = None, world: World | None = None, **options: Any) -> LabelMemory:
    memory = LabelMemory(MemoryConfig(enabled=True, **options), L, D, world=world, folder=folder)
    memory.write(np.arange(L), vectors(), 0)
    return memory


def vectors(seed: int = 0) -> torch.Tensor:
    return torch.randn(L, D, generator=torch.Generator().manual_seed(seed))


def partition(frozen: FrozenLabels, queries: torch.Tensor) -> torch.Tensor:
    nothing = torch.empty(0, dtype=torch.int64)
    none = Positives(nothing, nothing, None, len(queries), frozen.shard.total)
    return reduce_scores(
        ScoreInputs(
            queries,
            frozen.embeddings,
            none,
            scale=1.0,
            offsets=frozen.offsets,
            log_weights=frozen.log_weights,
            shard=frozen.shard,
            masked=frozen.masked,
        ),
        LogPartition(),
    )[1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("storage", ["device", "disk"])
def test_the_labels_outside_the_pool_are_scored(dtype: str, storage: str, tmp_path: Path) -> None:
    memory = filled(tmp_path, dtype=dtype, storage=storage)
    assert memory.embeddings.dtype == getattr(torch, dtype)
    assert (tmp_path / "label_memory-0.bin").exists() == (storage == "disk")
    queries, offsets = torch.randn(B, D), torch.randn(L)
    pool = np.array([0, 3, 17, 28])
    found = partition(memory.frozen(pool, 1, 0, offsets), queries)
    scores = queries @ vectors().T + offsets
    scores[:, pool] = -torch.inf
    torch.testing.assert_close(found, scores.logsumexp(1), rtol=2e-2, atol=2e-2)
    memory.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sample", [pytest.param(1, marks=pytest.mark.slow), 7, L])
def test_a_sample_estimates_the_partition_function_without_bias(sample: int) -> None:
    memory = filled(dtype="float32", sample=sample)
    queries, pool = torch.randn(B, D) * 0.5, np.array([1, 2, 20])
    scores = queries @ vectors().T
    scores[:, pool] = -torch.inf
    dropped = sp.csr_matrix(np.random.default_rng(0).random((B, L)) < 0.3)
    scores[torch.from_numpy(dropped.toarray())] = -torch.inf
    expected = scores.exp().sum(1)
    found = torch.stack(
        [partition(memory.frozen(pool, step, 0, None, dropped), queries).exp() for step in range(1500)]
    )
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - expected).abs() < 4 * error + 1e-4 * expected).all()
    assert memory.frozen(pool, 3, 0).embeddings.shape == (sample, D)


def test_every_label_has_its_turn() -> None:
    memory = filled()
    for count in (1, 4, 7, L, 100):
        rounds = [memory.turn(batch, count) for batch in range(3, 3 + -(-L // count))]
        assert all(len(set(part)) == len(part) == min(count, L) for part in rounds)
        assert set(np.concatenate(rounds)) == set(range(L))
    assert len(memory.turn(5, 0)) == 0


def test_staleness_and_drift() -> None:
    memory = filled()
    stale = memory.staleness(4)
    assert (stale.mean, stale.oldest, stale.drift) == (4.0, 4, 0.0)
    ids, old = np.arange(10), vectors()[:10].half().float()
    fresh = vectors(1)[:10]
    memory.write(ids, fresh, 4, measure=True)
    stale = memory.staleness(6)
    assert stale.mean == pytest.approx((10 * 2 + 19 * 6) / L) and stale.oldest == 6
    expected = (1 - torch.nn.functional.cosine_similarity(old, fresh)).mean()
    assert stale.drift == pytest.approx(float(expected), abs=1e-5)
    assert memory.staleness(6).drift == 0
    torch.testing.assert_close(memory.embeddings[:10].float(), fresh, rtol=1e-3, atol=1e-3)


def test_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="memory.sample: expected at most the 29 labels, got 30"):
        filled(sample=30)
    with pytest.raises(ConfigError, match="memory.refresh: expected at most the 29 labels, got 30; 29"):
        filled(refresh=30)
    assert filled(refresh=29).num_labels == 29 == filled().num_labels < MemoryConfig().refresh
    with pytest.raises(ConfigError, match="needs memory.sample"):
        LabelMemory(MemoryConfig(storage="disk"), L, D, device="cuda", folder=tmp_path)
    empty = LabelMemory(MemoryConfig(), L, D)
    with pytest.raises(ConfigError, match="29 were never written"):
        empty.frozen(np.array([0]), 0, 0)


def on_a_rank(sample: int | None) -> tuple[torch.Tensor, float, int]:
    memory = filled(world=current_world(), dtype="float32", sample=sample)
    memory.write(np.array([28, 3, 11]), vectors(1)[[28, 3, 11]], 2, measure=True)
    queries = torch.randn(B, D, generator=torch.Generator().manual_seed(5))
    dropped = sp.csr_matrix(np.arange(B * L).reshape(B, L) % 4 == 0)
    found = partition(memory.frozen(np.array([0, 9, 10, 28]), 1, 0, None, dropped), queries)
    stale = memory.staleness(3)
    return found, stale.mean, stale.oldest


def test_ranks_share_the_memory(ranks: Ranks) -> None:
    expected = on_a_rank(None)
    for size in (2, 3):
        for found in ranks.run(on_a_rank, None, size=size):
            torch.testing.assert_close(found[0], expected[0])
            assert found[1:] == expected[1:]
        sampled = ranks.run(on_a_rank, L, size=size)
        for found in sampled:
            torch.testing.assert_close(found[0], expected[0])


def test_what_is_not_finite_is_not_remembered(tmp_path: Path) -> None:
    config = MemoryConfig(enabled=True, dtype="float32")
    memory = LabelMemory(config, L, D, folder=tmp_path, keeps_moments=True)
    memory.write(np.arange(L), vectors(), 0)
    ids, fresh = np.array([3, 5]), torch.stack([torch.full((D,), torch.nan), torch.ones(D)])
    memory.write(ids, fresh, 9)
    assert torch.equal(memory.embeddings[3], vectors()[3]) and torch.equal(memory.embeddings[5], fresh[1])
    assert memory.written[ids].tolist() == [0, 9]
    assert memory.moments is not None
    expected = memory.embeddings.double().sum(0) - L * memory.moments.reference
    torch.testing.assert_close(memory.moments.total, expected, rtol=1e-5, atol=1e-5)
