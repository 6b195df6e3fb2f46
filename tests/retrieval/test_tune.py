"""Recall, the front, the choice, and the plot of a tuned index."""

from __future__ import annotations

import numpy as np
import pytest

from xmc.errors import ConfigError, DataError
from xmc.retrieval import LabelIndex
from xmc.retrieval.tune import Trial, cheapest, check_recall, exact_twin, front, measure_index, recall_of


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
