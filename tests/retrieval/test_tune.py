"""Recall, the front, the choice, and the plot of a tuned index."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.fixtures.tiny_models import save_static, tiny_tokenizer
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError, DataError
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble_options import EnsembleOptions
from xmc.retrieval.tune import (
    Trial,
    cheapest,
    check_recall,
    exact_twin,
    front,
    measure_index,
    recall_of,
    remade,
)


def trial(recall: float, rate: float, kind: str = "IVF8,Flat") -> Trial:
    return Trial(kind, {"nprobe": 1}, recall, rate, 1.0, 1.0)


TRIALS = [trial(0.5, 100), trial(0.9, 50), trial(0.8, 40), trial(1.0, 10), trial(1.0, 20)]


def test_recall_is_the_share_of_the_best_that_is_found():
    best = np.array([[1, 2], [3, 4], [5, -1]])
    assert recall_of(np.array([[2, 1], [3, 9], [-1, -1]]), best) == pytest.approx((1 + 0.5 + 0) / 3)
    with pytest.raises(DataError, match="at least one label"):
        recall_of(np.array([[-1]]), np.array([[-1]]))


def test_the_fastest_that_is_good_enough_is_chosen():
    assert cheapest(TRIALS, 0.85) == TRIALS[1] and cheapest(TRIALS, 1.0) == TRIALS[4]
    assert cheapest(TRIALS[:3], 0.95) is None
    assert front(TRIALS) == [TRIALS[0], TRIALS[1], TRIALS[4]]
    for recall in (0.0, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="a recall above 0"):
            check_recall(recall)


@pytest.mark.filterwarnings("ignore")
def test_more_lists_find_more_and_removed_labels_are_not_missed(make_encoder):
    texts = [" ".join(map(str, row)) for row in np.random.default_rng(0).normal(size=(400, 3)).round(3)]
    encoder = make_encoder()
    index = LabelIndex.build(encoder, texts, kind="IVF8,Flat", progress=False)
    index.remove([str(i) for i in range(0, 100)])
    index.tune(nprobe=3)
    queries = encoder.encode_queries(texts[100:200])
    rows, _ = exact_twin(index).search_vectors(queries, 5)
    trials = list(measure_index(index, queries, index.live_ids[rows]))
    assert [one.parameters["nprobe"] for one in trials] == [1, 2, 4, 8]
    recalls = [one.recall for one in trials]
    assert recalls == sorted(recalls) and recalls[0] < recalls[-1] == 1.0
    assert all(one.queries_per_second > 0 and one.milliseconds > 0 and one.megabytes > 0 for one in trials)
    assert index.parameters == {"nprobe": 3}


def test_a_compressed_index_is_compared_with_its_texts_encoded_again(make_encoder):
    texts = [" ".join(map(str, row)) for row in np.random.default_rng(0).normal(size=(300, 3)).round(3)]
    index = LabelIndex.build(make_encoder(), texts, kind="sq8", progress=False)
    twin = exact_twin(index)
    assert twin.manifest.kind == "exact" and list(twin.texts) == texts
    assert twin.hits("1 2 3", 1)[0].uid == index.hits("1 2 3", 1)[0].uid


@pytest.mark.slow
def test_the_front_is_drawn(tmp_path):
    from xmc.retrieval.tune_plot import plot_trials

    for name in ("front.svg", "front.png"):
        plot_trials([*TRIALS, trial(0.7, 500, "HNSW32")], tmp_path / name, k=10, recall=0.9)
    drawn = (tmp_path / "front.svg").read_text(encoding="utf-8")
    assert all(word in drawn for word in ("HNSW32", "IVF8,Flat", "recall 0.9", "recall@10"))
    with pytest.raises(ConfigError, match="end in .svg or .png"):
        plot_trials(TRIALS, tmp_path / "front.pdf", k=10, recall=0.9)


def test_an_index_that_ranks_with_more_than_vectors_is_measured_by_them(make_encoder):
    texts = [" ".join(map(str, row)) for row in np.random.default_rng(0).normal(size=(40, 3)).round(3)]
    index = LabelIndex.build(make_encoder(), texts, progress=False)
    index.add_ensemble(EnsembleOptions(lexical=0.5))
    index.remove(["3"])
    twin = exact_twin(index)
    assert len(twin) == 39 and twin.manifest.ensemble is None and index.manifest.ensemble is not None
    rows, _ = twin.search_vectors(np.eye(3, dtype=np.float32), 5)
    found, _ = index.search_vectors(np.eye(3, dtype=np.float32), 5)
    np.testing.assert_array_equal(index.live_ids[rows], found)
    with pytest.raises(ConfigError, match="index in memory to change"):
        index.by_vectors_alone().remove(["4"])


def test_an_index_of_several_texts_a_label_is_measured(tmp_path):
    encoder = DualEncoder.load(save_static(tmp_path / "model", tiny_tokenizer(), embedding_dim=8))
    encoder.metadata = replace(encoder.metadata, label_texts="lines")
    texts = ["red house\nblue bird", "stone", "small tree\nriver\nnight song"]
    index = LabelIndex.build(encoder, texts, kind="hnsw", progress=False)
    queries = encoder.encode_queries(["blue bird", "river"])
    rows, _ = exact_twin(index).search_vectors(queries, 3)
    assert rows[:, 0].tolist() == [0, 2]
    assert all(trial.recall == 1 for trial in measure_index(index, queries, rows))
    other = remade(exact_twin(index), kind="flat")
    assert other.num_vectors == 6 and other.search_vectors(queries, 1)[0].tolist() == [[0], [2]]
