from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.data import Dataset, DatasetWriter
from xmc.distillation import EncoderTeacher, ListTeacher, open_teacher, score_teachers
from xmc.distillation.score import predict_ensemble
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError, DataError
from xmc.evaluation import load_predictions, save_predictions

QUERIES = ["1 0 0", "0 1 0", "1 1 0", "0 0 1"]
LABELS = ["2 0 0", "0 2 0", "1 1 1", "0 0 2", "1 0 1"]
FILTERED = [(0, 4), (1, 1)]


@pytest.fixture
def numbers(tmp_path: Path) -> Dataset:
    """Texts are embeddings; query 1's positive is filtered too."""
    with DatasetWriter(tmp_path / "data", name="numbers") as writer:
        for place, text in enumerate(LABELS):
            writer.add_label(f"l{place}", text)
        for split in ("train", "test"):
            for place, text in enumerate(QUERIES):
                writer.add_row(split, f"{split}{place}", text, "", [place % 3])
            for row, label in FILTERED:
                writer.add_filter(split, row, label)
    return Dataset.load(tmp_path / "data")


def matrix(texts: list[str]) -> np.ndarray:
    return np.array([[float(x) for x in text.split()] for text in texts])


def softmax_of(scale: float, offsets: np.ndarray) -> np.ndarray:
    scores = scale * matrix(QUERIES) @ matrix(LABELS).T + offsets
    scores[0, 4] = -np.inf  # filtered; query 1's is a positive of it
    return np.asarray(np.exp(scores) / np.exp(scores).sum(1, keepdims=True))


def whole(dataset: Dataset, teachers, path: Path, **options: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    found = score_teachers(dataset, teachers, path, progress=False, **options)
    return np.asarray(sp.vstack([part for _, part in found.blocks()]).toarray())


def test_an_encoder_gives_its_softmax_and_the_rest_is_what_is_missing(
    numbers: Dataset, make_encoder: Callable[..., DualEncoder], tmp_path: Path
) -> None:
    offsets = {f"l{place}": 0.3 * place for place in range(5)}
    teachers = [
        EncoderTeacher(make_encoder(offsets=offsets), numbers),
        EncoderTeacher(make_encoder("other", scale=1.0), numbers, temperature=2.0),
    ]
    expected = (softmax_of(2.0, 0.3 * np.arange(5)) + softmax_of(0.5, np.zeros(5))) / 2
    every = whole(numbers, teachers, tmp_path / "all.parquet", top=5, sampled=0)
    np.testing.assert_allclose(every, expected, atol=1e-6)
    few = whole(numbers, teachers, tmp_path / "few.parquet", top=1, sampled=0)
    told = few > 0
    np.testing.assert_allclose(few[told], expected[told], atol=1e-6)
    assert (told.sum(1) < 4).all() and (few.sum(1) < 1).all()
    assert all(told[row, row % 3] for row in range(4)) and not told[0, 4]
    more = whole(numbers, teachers, tmp_path / "more.parquet", top=1, sampled=9)
    assert (more > 0).sum() > told.sum()


def test_a_file_of_the_same_is_left_and_one_of_others_is_not_replaced(
    numbers: Dataset, make_encoder: Callable[..., DualEncoder], tmp_path: Path
) -> None:
    path, teacher = tmp_path / "t.parquet", EncoderTeacher(make_encoder(), numbers)
    score_teachers(numbers, [teacher], path, progress=False)
    written = path.stat().st_mtime_ns
    score_teachers(numbers, [teacher], path, progress=False)
    assert path.stat().st_mtime_ns == written
    with pytest.raises(ConfigError, match="expected no file, or that of these teachers"):
        score_teachers(numbers, [teacher], path, top=3, progress=False)
    score_teachers(numbers, [teacher], path, top=3, overwrite=True, progress=False)
    assert path.stat().st_mtime_ns != written


def test_a_list_is_a_softmax_in_which_others_count_as_its_last(numbers: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    rows = [
        {"uid": "train1", "labels": ["l3", "l0"], "scores": [2.0, 1.0]},
        {"uid": "train0", "labels": ["l4", "l1", "l2"], "scores": [5.0, 3.0, 0.0]},
        {"uid": "train3", "labels": ["l0"], "scores": [-7.0]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = whole(numbers, [ListTeacher(str(path), numbers)], tmp_path / "t.parquet", top=1, sampled=0)
    # Query 0: l4 is filtered; candidates are l1 (first) and l0 (positive, low as the last), l2 is rest.
    e = np.exp([0.0, 3.0, 0.0])
    np.testing.assert_allclose(found[0], [e[0] / e.sum(), e[1] / e.sum(), 0, 0, 0], atol=1e-6)
    e = np.exp([1.0, 2.0, 1.0])
    np.testing.assert_allclose(found[1], [0, e[0] / e.sum(), 0, e[1] / e.sum(), 0], atol=1e-6)
    assert found[2].sum() == 0  # nothing is said of it
    np.testing.assert_allclose(found[3], [1, 0, 0, 0, 0], atol=1e-6)


def test_lists_of_probabilities_and_a_silent_teacher_beside_an_encoder(
    numbers: Dataset, make_encoder: Callable[..., DualEncoder], tmp_path: Path
) -> None:
    path = tmp_path / "p.npz"
    ids = np.array([[1, 0], [0, 1], [-1, -1], [2, 0]])
    save_predictions(path, ids, np.where(ids < 0, 0.0, [[0.8, 0.2]] * 4).astype(np.float32))
    teachers = [
        open_teacher(str(path), numbers, lists="probabilities"), EncoderTeacher(make_encoder(), numbers)
    ]  # fmt: skip
    found = whole(numbers, teachers, tmp_path / "t.parquet", top=5, sampled=0)
    encoder = softmax_of(2.0, np.zeros(5))
    np.testing.assert_allclose(found[2], encoder[2], atol=1e-6)
    told = np.array([0.2, 0.8, 0.2, 0.2, 0.0]) / 1.4
    np.testing.assert_allclose(found[0], (encoder[0] + told) / 2, atol=1e-6)
    save_predictions(path, ids, np.where(ids < 0, 0.0, [[1.8, 0.2]] * 4).astype(np.float32))
    with pytest.raises(DataError, match=r"expected probabilities in \[0, 1\]"):
        ListTeacher(str(path), numbers, numbers="probabilities")


def test_the_ensembles_ranking_of_the_test_split(
    numbers: Dataset, make_encoder: Callable[..., DualEncoder], tmp_path: Path
) -> None:
    teacher = EncoderTeacher(make_encoder(), numbers, "test")
    predict_ensemble(numbers, [teacher], tmp_path / "e.npz", top=5)
    ids, scores = load_predictions(tmp_path / "e.npz")
    expected = softmax_of(2.0, np.zeros(5))
    expected[1, 1] = 0  # of the test split nothing tells positives
    expected /= expected.sum(1, keepdims=True)
    order = np.lexsort((np.broadcast_to(np.arange(5), (4, 5)), -expected.round(9)), axis=1)
    ranked = np.take_along_axis(expected, order, 1)
    np.testing.assert_array_equal(ids, np.where(ranked > 0, order, -1))
    np.testing.assert_allclose(scores, ranked, atol=1e-6)


def test_what_cannot_teach_is_refused(
    numbers: Dataset, make_encoder: Callable[..., DualEncoder], tmp_path: Path
) -> None:
    from dataclasses import replace

    model = make_encoder()
    model.metadata = replace(model.metadata, ranking="magnitude")
    with pytest.raises(ConfigError, match="ranks labels by score"):
        EncoderTeacher(model, numbers)
    with pytest.raises(ConfigError, match="expected top of 1 or more"):
        score_teachers(numbers, [], tmp_path / "t.parquet", top=0)

    class Silent:
        name = fingerprint = "silent"

        def ask(self, rows, excluded):  # type: ignore[no-untyped-def]
            return self

        def proposed(self, top: int) -> None:
            return None

    with pytest.raises(ConfigError, match="to propose candidates, got cross-encoders alone"):
        score_teachers(numbers, [Silent()], tmp_path / "t.parquet", progress=False)  # type: ignore[list-item]
