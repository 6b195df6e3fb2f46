"""Labels of several vectors: searches give each label once, as a plain loop over all texts ranks them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tests.distributed.ranks import Ranks
from xmc.distributed import current_world
from xmc.errors import ConfigError, DataError, ModelError
from xmc.retrieval import LabelIndex, Ranker
from xmc.retrieval.folding import Fold, fold_columns, folded_search
from xmc.retrieval.stores.several import fold_runs


def by_loop(scores: np.ndarray, bounds: np.ndarray, how: str) -> np.ndarray:
    """Folded scores [N, l] of [N, t]."""
    out = np.empty((len(scores), len(bounds) - 1), dtype=np.float32)
    for row in range(len(scores)):
        for label in range(out.shape[1]):
            own = sorted(scores[row, bounds[label] : bounds[label + 1]].tolist(), reverse=True)
            two = own[: 1 if how == "max" else 2]
            out[row, label] = sum(two) / len(two)
    return out


def best(folded: np.ndarray, k: int) -> np.ndarray:
    order = np.lexsort((np.broadcast_to(np.arange(folded.shape[1]), folded.shape), -folded), axis=1)[:, :k]
    return np.where(np.take_along_axis(folded, order, 1) == -np.inf, -1, order)


def case(num_labels: int = 37, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    counts = random.integers(1, 6, num_labels)
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    # Small whole numbers: many ties, and sums without rounding.
    vectors = random.integers(-2, 3, (bounds[-1], 3)).astype(np.float32)
    return random.integers(-2, 3, (11, 3)).astype(np.float32), vectors, bounds


@pytest.mark.parametrize("how", ["max", "top2"])
@pytest.mark.parametrize("tile", [1, 100, 1 << 23])
def test_an_exact_search_is_the_loop(how: str, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmc.retrieval.folding._TILE_SCORES", tile)
    queries, vectors, bounds = case()
    offsets = np.random.default_rng(1).integers(0, 3, 37).astype(np.float32)
    offsets[5] = -np.inf
    exclude = sp.csr_matrix(np.random.default_rng(2).random((11, 37)) < 0.2)
    folded = by_loop(queries @ vectors.T, bounds, how) + offsets
    folded[exclude.toarray()] = -np.inf
    ids, scores = folded_search(queries, vectors, 9, Fold(bounds, how), exclude=exclude, offsets=offsets)
    wanted = best(folded, 9)
    np.testing.assert_array_equal(ids, wanted)
    np.testing.assert_array_equal(scores, np.take_along_axis(folded, wanted, 1))
    ids, scores = folded_search(queries, vectors, 40, Fold(bounds, how))
    assert (ids[:, 37:] == -1).all() and np.isneginf(scores[:, 37:]).all()


@pytest.mark.parametrize("how", ["max", "top2"])
def test_both_folds_of_scores_agree(how: str) -> None:
    queries, vectors, bounds = case()
    scores = queries @ vectors.T
    wanted = by_loop(scores, bounds, how)
    np.testing.assert_array_equal(fold_columns(torch.from_numpy(scores), bounds, how).numpy(), wanted)
    np.testing.assert_array_equal(fold_runs(scores[3], np.diff(bounds), how), wanted[3])


def on_a_rank(how: str) -> tuple[np.ndarray, np.ndarray]:
    world = current_world()
    queries, vectors, bounds = case()
    start, stop = world.shard(37)
    first, last = world.shard(11)
    own = bounds[start : stop + 1]
    return Ranker("score", np.arange(37, dtype=np.float32) / 8).search(
        queries[first:last],
        vectors[own[0] : own[-1]],
        9,
        num_queries=11,
        num_labels=37,
        world=world,
        fold=Fold(own - own[0], how),
    )


def test_ranks_share_labels_and_agree(ranks: Ranks) -> None:
    for how in ("max", "top2"):
        [(ids, scores)] = ranks.run(on_a_rank, how, size=1)
        parts = ranks.run(on_a_rank, how, size=3)
        np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), ids)
        np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), scores)


def test_what_cannot_be_folded_is_refused() -> None:
    queries, vectors, bounds = case()
    with pytest.raises(ConfigError, match="max or top2"):
        Fold(bounds, "mean")
    with pytest.raises(ConfigError, match="some without"):
        Fold(np.array([0, 2, 2]), "max")
    with pytest.raises(ConfigError, match="vectors of labels' texts"):
        folded_search(queries, vectors[1:], 3, Fold(bounds, "max"))
    vectors[4] = np.nan
    with pytest.raises(ModelError, match="score NaN"):
        folded_search(queries, vectors, 3, Fold(bounds, "max"))
    with pytest.raises(ConfigError, match="by magnitude"):
        Ranker("magnitude", None).search(
            queries,
            vectors,
            3,
            num_queries=11,
            num_labels=37,
            world=current_world(),
            fold=Fold(bounds, "max"),
        )


def texts_of(vectors: np.ndarray, bounds: np.ndarray) -> list[str]:
    lines = [" ".join(str(int(x)) for x in vector) for vector in vectors]
    return [
        "\n".join(lines[low:high])
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]


def several(make_encoder: Any, how: str, **options: Any) -> Any:
    encoder = make_encoder(**options)
    encoder.metadata = type(encoder.metadata)(
        scale=encoder.metadata.scale, label_texts="lines", label_fold=how
    )
    return encoder


@pytest.mark.parametrize("how", ["max", "top2"])
@pytest.mark.parametrize("kind", ["exact", "flat", "hnsw"])
def test_an_index_gives_each_label_once(make_encoder: Any, tmp_path: Any, how: str, kind: str) -> None:
    queries, vectors, bounds = case(60)
    encoder = several(make_encoder, how, offsets={str(i): i % 3 for i in range(60)})
    built = LabelIndex.build(encoder, texts_of(vectors, bounds), kind=kind, progress=False)
    built.save(tmp_path / "index")
    index = LabelIndex.load(tmp_path / "index", encoder)
    assert (len(index), index.num_vectors, index.vectors_dropped) == (60, len(vectors), 0)
    assert index.manifest.format_version == 4, "which earlier versions refuse"
    folded = by_loop(queries @ vectors.T, bounds, how) + np.arange(60) % 3 / np.float32(2)
    for k in (1, 7, 70):
        ids, scores = index.search_vectors(queries, k)
        wanted = best(folded, k)
        np.testing.assert_array_equal(ids[:, :60], wanted)
        np.testing.assert_allclose(scores[:, :60], np.take_along_axis(folded, wanted, 1))
    # A label goes with all of its vectors, and gets others with another text.
    index.remove(["3", "4"])
    folded[:, [3, 4]] = -np.inf
    index.update(["2 2 2\n-1 0 0\n0 0 0", "1 1 1"], ["10", "11"])
    for label, text in ((10, [[2, 2, 2], [-1, 0, 0], [0, 0, 0]]), (11, [[1, 1, 1]])):
        own = queries @ np.array(text, dtype=np.float32).T
        folded[:, label] = by_loop(own, np.array([0, len(text)]), how)[:, 0] + label % 3 / 2
    index.add(["2 0 0\n0 2 0"], ["60"])
    more = by_loop(queries @ np.array([[2, 0, 0], [0, 2, 0]], dtype=np.float32).T, np.array([0, 2]), how)
    folded = np.hstack([folded, more + np.float32(index.manifest.default_offset)])
    index.save(tmp_path / "index", overwrite=True)
    again = LabelIndex.load(tmp_path / "index", encoder)
    for one in (index, again):
        np.testing.assert_array_equal(one.search_vectors(queries, 20)[0], best(folded, 20))
        assert len(one) == 59
        assert one.num_vectors == len(one.vectors(one.live_ids))


def test_an_index_is_made_anew_of_what_is_left(make_encoder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmc.retrieval.index_changes._FEW_DEAD", 0)
    queries, vectors, bounds = case(60)
    index = LabelIndex.build(
        several(make_encoder, "max"), texts_of(vectors, bounds), kind="exact", progress=False
    )
    index.remove([str(i) for i in range(60) if i % 3])
    assert index.vectors_dropped == 0 and len(index) == 20
    folded = by_loop(queries @ vectors.T, bounds, "max")
    folded[:, np.arange(60) % 3 > 0] = -np.inf
    np.testing.assert_array_equal(index.search_vectors(queries, 9)[0], best(folded, 9))


def test_what_an_index_of_several_texts_refuses(make_encoder: Any, tmp_path: Any) -> None:
    encoder = several(make_encoder, "max")
    with pytest.raises(ConfigError, match="keeps its vectors"):
        LabelIndex.build(encoder, ["1 0 0\n0 1 0"] * 40, kind="sq8", progress=False)
    index = LabelIndex.build(encoder, ["1 0 0\n0 1 0"], kind="exact", progress=False)
    with pytest.raises(ConfigError, match="several texts a label"):
        LabelIndex.merge([index], progress=False)
    with pytest.raises(ModelError, match="one text a label"):
        super(type(encoder), encoder).encode_labels(_ADataset())
    index.save(tmp_path / "index")
    table = next((tmp_path / "index").rglob("labels.parquet"))
    _change_counts(table)
    with pytest.raises(DataError, match="no vector"):
        LabelIndex.load(tmp_path / "index", verify=False)


def _change_counts(path: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    pq.write_table(table.set_column(4, "vectors", pa.array([0])), path)


def _ADataset() -> Any:  # noqa: N802
    from xmc.data import Dataset

    return Dataset.__new__(Dataset)
