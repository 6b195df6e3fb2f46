from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from xmc.errors import ConfigError
from xmc.training.batches import MinedConfig, MinedLabels, draw_mined, mine_labels
from xmc.training.batches.mined import search as mining

N, L, D = 23, 41, 6


class Case:
    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.queries = random.normal(size=(N, D)).astype(np.float32)
        self.labels = random.normal(size=(L, D)).astype(np.float32)
        self.offsets = random.normal(size=L).astype(np.float32)
        dense = random.random((N, L)) < 0.1
        dense[3] = False
        dense[4, :20] = True
        self.positives = sp.csr_matrix(dense)

    def ranked(self, row: int, offsets: bool = False) -> list[int]:
        """All labels but the row's positives, best first, by a plain loop."""
        scores = self.queries[row] @ self.labels.T + (self.offsets if offsets else 0)
        own = set(self.positives[row].indices.tolist())
        return [j for j in np.argsort(-scores, kind="stable").tolist() if j not in own]

    def mine(self, config: MinedConfig, **options: object) -> MinedLabels:
        labels = torch.from_numpy(self.labels)
        return mine_labels(config, self.encode, labels, self.positives, **options)  # type: ignore[arg-type]

    def encode(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self.queries[rows])


@pytest.mark.parametrize("factory", ["exact", "Flat"])
@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("chunk", [4, 100])
def test_lists_are_the_window_without_positives(
    factory: str, offsets: bool, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mining, "QUERY_CHUNK", chunk)
    monkeypatch.setattr(mining, "LABEL_CHUNK", 7)
    case = Case()
    config = MinedConfig(count=2, first=3, last=9, factory=factory)
    mined = case.mine(config, offsets=case.offsets if offsets else None)
    for row in range(N):
        assert mined.ids[row].tolist() == case.ranked(row, offsets)[3:9]
        scores = case.queries[row] @ case.labels[mined.ids[row]].T
        expected = scores + (case.offsets[mined.ids[row]] if offsets else 0)
        np.testing.assert_allclose(mined.scores[row], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factory", ["exact", "Flat"])
def test_rows_with_few_negatives_have_pads(factory: str) -> None:
    case = Case()
    mined = case.mine(MinedConfig(count=1, first=10, last=40, factory=factory))
    found = [(mined.ids[row] >= 0).sum() for row in range(N)]
    assert found == [min(30, len(case.ranked(row)) - 10) for row in range(N)]
    assert (np.isneginf(mined.scores) == (mined.ids < 0)).all()


def test_the_guard_drops_what_scores_above_the_best_positive_less_the_margin() -> None:
    case = Case()
    every = case.mine(MinedConfig(count=1, last=10))
    guarded = case.mine(MinedConfig(count=1, last=10, margin=0.5))
    dropped = 0
    for row in range(N):
        own = case.positives[row].indices
        limit = (case.queries[row] @ case.labels[own].T).max() - 0.5 if len(own) else np.inf
        kept = [j for j, s in zip(every.ids[row], every.scores[row], strict=True) if s <= limit]
        assert guarded.ids[row][guarded.ids[row] >= 0].tolist() == kept
        dropped += 10 - len(kept)
    assert dropped > 5 and (guarded.ids[3] >= 0).all(), "a row without positives has nothing to guard by"


@pytest.mark.parametrize("factory", ["exact", "Flat"])
def test_masked_pairs_are_not_mined_and_guard_nothing(factory: str) -> None:
    case = Case()
    config = MinedConfig(count=1, last=10, margin=0.5, factory=factory)
    best = np.array([case.ranked(row)[:2] for row in range(N)])
    masked = np.zeros((N, L), dtype=bool)
    np.put_along_axis(masked, best, True, 1)
    found = case.mine(config, masked=sp.csr_matrix(masked))
    every = case.mine(MinedConfig(count=1, last=12, margin=0.5, factory=factory))
    for row in range(N):
        kept = every.ids[row][2:]
        assert found.ids[row].tolist() == kept.tolist(), "the window without them, by the guard of positives"
    assert (every.ids[:, 2:] < 0).any()


def test_half_precision_labels_and_an_approximate_index() -> None:
    case = Case()
    window, labels = MinedConfig(count=1, last=5), torch.from_numpy(case.labels).half()
    half = mine_labels(window, case.encode, labels, case.positives)
    exact = case.mine(MinedConfig(count=1, last=5))
    assert (half.ids == exact.ids).mean() > 0.9
    pytest.importorskip("faiss")
    found = case.mine(MinedConfig(count=1, last=5, factory="IVF2,Flat"))
    assert (found.ids == exact.ids).mean() > 0.9
    with pytest.raises(ConfigError, match="factory string"):
        case.mine(MinedConfig(count=1, last=5, factory="Nonsense"))


def test_mining_stops_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mining, "QUERY_CHUNK", 5)
    asked = iter([False, False, True])
    mined = Case().mine(MinedConfig(count=1, last=4), stop=lambda: next(asked))
    assert (mined.ids[:10] >= 0).all() and (mined.ids[10:] == -1).all()


@pytest.mark.parametrize("draw", ["rank", "score"])
def test_a_draw_is_of_the_window_and_the_seed_decides(draw: str) -> None:
    mined = Case().mine(MinedConfig(count=1, first=10, last=40))
    config = MinedConfig(count=3, first=10, last=40, draw=draw)  # type: ignore[arg-type]
    drawn = draw_mined(config, mined, L, np.random.default_rng((1, 2)))
    for row in range(N):
        listed = set(mined.ids[row].tolist()) - {-1}
        assert set(drawn[row].indices.tolist()) <= listed
        assert drawn[row].nnz == min(3, len(listed))
    assert (drawn != draw_mined(config, mined, L, np.random.default_rng((1, 2)))).nnz == 0
    assert (drawn != draw_mined(config, mined, L, np.random.default_rng((1, 3)))).nnz > 0


def test_chances_of_a_draw() -> None:
    """One of three with scores 0, 1, 2: evenly by rank; as exp(score) by score."""
    mined = MinedLabels(
        np.tile([2, 1, 0], (30_000, 1)).astype(np.int32), np.tile([2.0, 1.0, 0.0], (30_000, 1))
    )
    by_rank = draw_mined(MinedConfig(count=1, last=3), mined, 3, np.random.default_rng(0)).mean(0)
    np.testing.assert_allclose(np.asarray(by_rank)[0], 1 / 3, atol=0.01)
    by_score = draw_mined(
        MinedConfig(count=1, last=3, draw="score", sharpness=1.0), mined, 3, np.random.default_rng(0)
    ).mean(0)
    np.testing.assert_allclose(
        np.asarray(by_score)[0], np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum(), atol=0.01
    )
