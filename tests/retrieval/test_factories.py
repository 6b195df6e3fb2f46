"""Every kind of FAISS index ranks by the inner product, and says whether its scores are that."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from xmc.errors import ConfigError
from xmc.retrieval import LabelIndex
from xmc.retrieval.faiss_index import add_vectors, make_index, score_error, search_index
from xmc.retrieval.faiss_training import train_index

DIMENSION, LABELS, K = 32, 1500, 10


def cloud(count: int, seed: int) -> np.ndarray:
    """Vectors of unequal lengths whose mean is far from 0, as text embeddings are."""
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((count, DIMENSION)) + 0.7
    return (vectors * generator.uniform(0.5, 1.5, (count, 1))).astype(np.float32)


def searched(factory: str) -> tuple[float, float, float]:
    """Recall at 10, the largest error of a score, and `score_error`."""
    # A rotation is learned with codes again and again, which takes seconds of more labels.
    labels, queries = cloud(LABELS // 3 if factory.startswith("OPQ") else LABELS, 0), cloud(40, 1)
    index = make_index(DIMENSION, factory)
    train_index(index, labels, factory)
    add_vectors(index, labels, np.arange(len(labels)))
    ids, scores = search_index(index, queries, K)
    exact = queries @ labels.T
    best = np.argsort(-exact, axis=1, kind="stable")[:, :K]
    recall = np.mean([len(set(a) & set(b)) / K for a, b in zip(ids, best, strict=True)])
    error = np.abs(np.take_along_axis(exact, np.maximum(ids, 0), axis=1) - scores)[ids >= 0].max()
    return float(recall), float(error), score_error(index, labels)


LOSSLESS = [
    "Flat",
    "PCA32,Flat",
    "PCAR32,Flat",
    "OPQ4_32,Flat",
    "RR32,Flat",
    "Pad64,Flat",
    "IDMap,Flat",
    "IDMap2,Flat",
    "Flat,RFlat",
    "IVF8,Flat",
    "PCA32,IVF8,Flat",
    "IVF8,Flat,RFlat",
    "PCA32,IVF8,Flat,RFlat",
]


@pytest.mark.parametrize("factory", LOSSLESS)
def test_a_lossless_index_is_exact(factory: str) -> None:
    recall, error, measured = searched(factory)
    assert recall == 1.0
    assert error < 1e-3 and measured < 1e-5  # scores are up to 100


@pytest.mark.parametrize("factory", ["HNSW16", "HNSW16,Flat", "HNSW16,RFlat"])
def test_a_graph_finds_most_and_scores_exactly(factory: str) -> None:
    recall, error, measured = searched(factory)
    assert recall > 0.9 and error < 1e-3 and measured < 1e-5


@pytest.mark.parametrize(
    ("factory", "least"),
    [
        ("SQ8", 0.9),
        ("SQfp16", 0.95),
        ("SQbf16", 0.9),
        ("IVF8,SQ8", 0.9),
        ("HNSW16_SQ8", 0.85),
        ("PCA16,Flat", 0.3),
        ("PQ8", 0.3),
        ("OPQ8,PQ8", 0.3),
        ("IVF8,PQ8", 0.3),
        ("PQ8x4fs", 0.1),
        ("Flat,Refine(SQ8)", 0.9),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_compressed_index_says_that_its_scores_are_approximate(factory: str, least: float) -> None:
    recall, error, measured = searched(factory)
    assert recall > least
    assert error > 1e-3 and measured > 1e-5


@pytest.mark.parametrize("factory", ["SQ8,RFlat", "PQ8,RFlat", "PCA16,SQ8,RFlat"])
def test_a_refined_index_scores_exactly(factory: str) -> None:
    recall, error, measured = searched(factory)
    assert recall > 0.7 and error < 1e-3 and measured < 1e-5


@pytest.mark.parametrize("factory", ["L2norm,Flat", "ITQ32,Flat", "PCAW32,Flat", "L2norm,IVF8,Flat", "LSH"])
def test_another_ranking_is_refused(factory: str) -> None:
    with pytest.raises(ConfigError, match=r"inner product|factory string"):
        make_index(DIMENSION, factory)


def test_faiss_is_held_to_one_sentence(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    index = make_index(DIMENSION, "PQ8")
    with caplog.at_level(logging.WARNING, logger="xmc"):
        train_index(index, cloud(LABELS, 0), "PQ8")
    assert [record.getMessage() for record in caplog.records] == [
        "the index PQ8 was trained on 1,500 labels, and FAISS recommends 9,984 at least for its lists or "
        "codes: Flat is exact, and fewer lists or shorter codes need fewer labels"
    ]
    assert "clustering" not in capfd.readouterr().err


def test_hits_carry_what_their_scores_are(make_encoder, tmp_path) -> None:  # type: ignore[no-untyped-def]
    texts = [" ".join(map(str, row)) for row in np.random.default_rng(0).normal(size=(300, 3)).round(3)]
    for factory, about in (("Flat", False), ("PCA3,Flat", False), ("PCA2,Flat", True), ("SQ8", True)):
        built = LabelIndex.build(make_encoder(), texts, factory=factory, progress=False)
        built.save(tmp_path / "index", overwrite=True)
        for index in (built, LabelIndex.load(tmp_path / "index", make_encoder())):
            assert {hit.approximate for hit in index.hits("1 2 3", 5)} == {about}, factory
