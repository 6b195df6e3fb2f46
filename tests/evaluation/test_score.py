from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.counted import agreeing
from xmc.data import Dataset, DatasetWriter, Propensity
from xmc.errors import ConfigError, DataError
from xmc.evaluation import load_lists, load_ranking, ranking_metrics, save_predictions, score_predictions
from xmc.evaluation.readers import detect_format

NUM_ROWS, NUM_LABELS, K = 30, 25, 8
FORMATS = ("npz", "csr", "trec", "jsonl")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("score") / "data"
    rng = np.random.default_rng(0)
    with DatasetWriter(folder, name="numbers") as writer:
        for label in range(NUM_LABELS):
            writer.add_label(f"l{label}", str(label))
        for split in ("train", "test"):
            for row in range(NUM_ROWS):
                chosen = rng.choice(NUM_LABELS, rng.integers(0, 6), replace=False)
                writer.add_row(split, f"{split[0]}{row}", str(row), "", chosen.tolist())
        for row in range(0, NUM_ROWS, 2):
            for label in rng.choice(NUM_LABELS, 5, replace=False).tolist():
                writer.add_filter("test", row, label)
    return Dataset.load(folder)


@pytest.fixture(scope="module")
def pairs():
    """Labels and scores of each row, in order of score; row 4 has none, others 0 to 8, some scores equal."""
    rng = np.random.default_rng(1)
    rows = []
    for row in range(NUM_ROWS):
        count = 0 if row == 4 else int(rng.integers(3, K + 1))
        labels = rng.choice(NUM_LABELS, count, replace=False)
        rows.append((labels, np.sort(rng.integers(-3, 4, count).astype(np.float32))[::-1]))
    return rows


def expected_lists(dataset, pairs, depth):
    """By score descending, then label id; without filtered pairs; cut."""
    excluded = dataset.filter("test").toarray()
    ids = np.full((NUM_ROWS, depth), -1)
    for row, (labels, scores) in enumerate(pairs):
        ranked = sorted(zip(-scores, labels, strict=True))
        kept = [label for _, label in ranked if not excluded[row, label]][:depth]
        ids[row, : len(kept)] = kept
    return ids


def write(folder, pairs, form, order=None):
    order = range(NUM_ROWS) if order is None else order
    path = folder / f"predictions.{form}"
    if form == "npz":
        ids, scores = np.full((NUM_ROWS, K), -1), np.full((NUM_ROWS, K), -np.inf)
        for row, (labels, values) in enumerate(pairs):
            ids[row, : len(labels)], scores[row, : len(labels)] = labels, values
        save_predictions(path, ids, scores)
    elif form == "csr":
        indptr = np.concatenate([[0], np.cumsum([len(labels) for labels, _ in pairs])])
        values = np.concatenate([scores for _, scores in pairs])
        labels = np.concatenate([labels for labels, _ in pairs]).astype(np.int32)
        path = folder / "csr.npz"
        sp.save_npz(path, sp.csr_matrix((values, labels, indptr), shape=(NUM_ROWS, NUM_LABELS)))
    elif form == "trec":
        lines = [
            f"t{row} Q0 l{label} {rank} {score} tag\n"
            for row in order
            for rank, (label, score) in enumerate(zip(*pairs[row], strict=True))
        ]
        path.write_text("".join(lines))
    else:
        path = folder / "predictions.jsonl.gz"
        with gzip.open(path, "wt") as file:
            for row in order:
                labels, scores = pairs[row]
                line = {"uid": f"t{row}", "labels": [f"l{n}" for n in labels], "scores": scores.tolist()}
                file.write(json.dumps(line) + "\n")
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_metrics_of_the_ranked_lists(dataset, pairs, tmp_path, form, caplog):
    order = np.random.default_rng(5).permutation(NUM_ROWS)
    path = write(tmp_path, pairs, form, order)
    assert detect_format(path) == form
    result = score_predictions(path, dataset, ks=(1, 3), recall_ks=(5,))
    ids = expected_lists(dataset, pairs, 5)
    from xmc.data import inverse_propensity
    from xmc.evaluation import KINDS

    weights = inverse_propensity(dataset.relevance("train"), 0.55, 1.5)
    table = ranking_metrics(dataset.relevance("test"), ids, weights, ks=(1, 3), recall_ks=(5,), kinds=KINDS)
    assert result.metrics == pytest.approx(table)
    given = np.array([len(labels) for labels, _ in pairs])
    short, shorter = int((given < 5).sum()), int((given < 3).sum())
    # What filter pairs take is not counted: the lists are as long as they should be.
    assert int(((ids >= 0).sum(1) < 5).sum()) > result.short_rows == short > shorter > 0
    none = f"{shorter} of 30 queries {agreeing(shorter, 'has', 'have')} fewer than 1 or 3"
    assert f"{none}, {short} of 30 queries have fewer than 5 predictions (" in caplog.text
    assert "fewer than" not in result.table()
    caplog.clear()
    quiet = score_predictions(path, dataset, ks=(1, 3), recall_ks=(5,), quiet=True)
    assert quiet.short_rows == short and not caplog.messages
    assert result.model.startswith(path.name) and result.propensity == {"a": 0.55, "b": 1.5}
    np.testing.assert_array_equal(load_ranking(path, dataset, depth=5), ids)


@pytest.mark.parametrize("form", ["csr", "npz"])
def test_small_blocks_change_nothing(dataset, pairs, tmp_path, form, monkeypatch):
    path = write(tmp_path, pairs, form)
    whole = load_ranking(path, dataset, depth=5)
    monkeypatch.setattr("xmc.evaluation.row_blocks.MAX_PAIRS", 10)
    monkeypatch.setattr("xmc.evaluation.readers.npz._BLOCK_NUMBERS", 3 * K)
    np.testing.assert_array_equal(load_ranking(path, dataset, depth=5), whole)


def test_small_blocks_of_text_change_nothing(dataset, pairs, tmp_path, monkeypatch):
    path = write(tmp_path, pairs, "trec")
    whole = load_ranking(path, dataset, depth=5)
    monkeypatch.setattr("xmc.evaluation.readers.by_uid._BLOCK_PAIRS", 11)
    np.testing.assert_array_equal(load_ranking(path, dataset, depth=5), whole)


def test_filtered_pairs_make_room_for_what_follows(dataset, tmp_path):
    """At the cut of one the first label that is not filtered counts, however many are before it."""
    excluded = dataset.filter("test").toarray()
    lists = [np.flatnonzero(row).tolist() + np.flatnonzero(~row).tolist() for row in excluded]
    ids = np.array([row[:K] for row in lists])
    save_predictions(tmp_path / "p.npz", ids, np.tile(np.arange(K, 0, -1.0), (NUM_ROWS, 1)))
    ranking = load_ranking(tmp_path / "p.npz", dataset, depth=1)
    assert ranking[:, 0].tolist() == [np.flatnonzero(~row)[0] for row in excluded]


def test_labels_without_scores_come_best_first(dataset, tmp_path):
    (tmp_path / "p.jsonl").write_text('{"uid": "t1", "labels": ["l9", "l2", "l4"]}\n')
    assert load_ranking(tmp_path / "p.jsonl", dataset, depth=3)[1].tolist() == [9, 2, 4]
    assert load_lists(tmp_path / "p.jsonl", dataset, depth=3)[1][1].tolist() == [0, -1, -2]


@pytest.mark.parametrize("form", FORMATS)
def test_scores_come_with_the_lists(dataset, pairs, tmp_path, form):
    """Also past filtered pairs: each label has the score that the file gives it."""
    path = write(tmp_path, pairs, form)
    ids, scores = load_lists(path, dataset, depth=5)
    np.testing.assert_array_equal(ids, load_ranking(path, dataset, depth=5))
    for row, (labels, theirs) in enumerate(pairs):
        given = dict(zip(np.asarray(labels).tolist(), np.float32(theirs).tolist(), strict=True))
        for label, score in zip(ids[row].tolist(), scores[row].tolist(), strict=True):
            assert score == (given[label] if label >= 0 else -np.inf)


def test_own_constants_are_used_and_said(dataset, pairs, tmp_path):
    path = write(tmp_path, pairs, "npz")
    theirs = score_predictions(path, dataset)
    ours = score_predictions(path, dataset, propensity=Propensity(0.6, 2.6))
    assert ours.propensity == {"a": 0.6, "b": 2.6} and ours.propensity_source == "given for this evaluation"
    assert "numbers is not in the table" in theirs.propensity_source
    assert ours.metrics["PSP@3"] != theirs.metrics["PSP@3"] and ours.metrics["P@3"] == theirs.metrics["P@3"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("t0 Q0 l1 1 0.5\n", r"p.txt, line 1: expected 'qid Q0 docid rank score tag' \(6 words\), got 5"),
        ("\nt0 Q0 l1 1 best x\n", "line 2: expected a number as score .* got 'best'"),
        ("t0 Q0 l1 1 nan x\n", "query 't0' from line 1: expected scores to be numbers, got NaN"),
        ("q0 Q0 l1 1 1 x\n", "line 1: expected the uid of a test query of numbers, got 'q0'"),
        ("t0 Q0 x1 1 1 x\n", "query 't0' from line 1: expected the uid of a label of numbers, got 'x1'"),
        ("t0 Q0 l1 1 1 x\nt0 Q0 l1 2 0 x\n", "query 't0' from line 1 names label 1 twice"),
        ("t0 Q0 l1 1 1 x\nt1 Q0 l1 1 1 x\nt0 Q0 l2 2 0 x\n", "line 3: .*query 't0' together.*line 1"),
    ],
)
def test_bad_trec_lines_are_explained(dataset, tmp_path, text, error):
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(DataError, match=error):
        score_predictions(tmp_path / "p.txt", dataset, format="trec")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{uid: 3}", "line 1: expected .*got no JSON"),
        ('{"uid": 3, "labels": []}', "line 1: expected .*a string as uid"),
        ('{"uid": "t1", "labels": "l1"}', "line 1: expected labels to be a list of uids"),
        ('{"uid": "t1", "labels": ["l1"], "scores": [1, 2]}', "expected scores to be 1 numbers like labels"),
        ('{"uid": "t1", "labels": ["l1"], "scores": [true]}', "expected scores to be 1 numbers"),
    ],
)
def test_bad_json_lines_are_explained(dataset, tmp_path, text, error):
    (tmp_path / "p.jsonl").write_text(text + "\n")
    with pytest.raises(DataError, match=error):
        score_predictions(tmp_path / "p.jsonl", dataset)


def test_bad_arrays_are_explained(dataset, tmp_path):
    path = tmp_path / "p.npz"
    ones = np.ones((NUM_ROWS, 2), dtype=np.float32)
    good = np.tile([0, 1], (NUM_ROWS, 1))
    for ids, scores, error in (
        (good[:3], ones[:3], r"\[N, K\] of the split's 30 rows, got \[3, 2\]"),
        (np.where(np.arange(NUM_ROWS)[:, None] == 7, 1, good), ones, "p.npz, row 7 names label 1 twice"),
        (good + 24, ones, "p.npz, row 0: expected label ids from 0 to 24.*got 25"),
        (good, ones * [1, 2], "row 0: expected the best prediction first"),
    ):
        np.savez(path, ids=ids, scores=scores)
        with pytest.raises(DataError, match=error):
            score_predictions(path, dataset)
    np.savez(path, labels=good)
    with pytest.raises(DataError, match="expected the arrays ids and scores.*got the arrays labels"):
        score_predictions(path, dataset)


def test_bad_matrices_are_explained(dataset, tmp_path):
    path, shape = tmp_path / "p.npz", (NUM_ROWS, NUM_LABELS)
    doubled = sp.csr_matrix((np.ones(2), np.array([3, 3]), np.array([0] * 9 + [2] * 22)), shape=shape)
    unnumbered = sp.csr_matrix((np.array([np.nan]), ([2], [5])), shape=shape)
    for matrix, error in (
        (sp.csr_matrix((3, 4)), r"expected a matrix \(30, 25\), got \(3, 4\)"),
        (sp.csc_matrix(shape), "expected a CSR matrix, got format csc"),
        (doubled, "p.npz, row 8 names label 3 twice"),
        (unnumbered, "p.npz, row 2: expected scores to be numbers, got NaN"),
    ):
        sp.save_npz(path, matrix)
        with pytest.raises(DataError, match=error):
            score_predictions(path, dataset)


def test_files_of_no_format_are_explained(dataset, tmp_path):
    (tmp_path / "words").write_text("hello there\n")
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"uid": "t1", "labels": []}\n' * 99)[:-9])
    for name, error in (
        ("words", "its first line is 'hello there': `xmc predict --out` writes .* .npz, .trec or .jsonl"),
        ("empty", "empty: expected predictions, but the file is empty"),
        ("bytes", "bytes, line 1: expected UTF-8"),
        ("missing", "found no such file"),
        ("cut.jsonl.gz", "expected"),
    ):
        with pytest.raises(DataError, match=error):
            score_predictions(tmp_path / name, dataset)
    with pytest.raises(ConfigError, match="expected format among auto, npz, csr, trec, jsonl, got 'csv'"):
        score_predictions(tmp_path / "words", dataset, format="csv")


def test_uids_that_repeat_cannot_be_told_apart(tmp_path):
    with DatasetWriter(tmp_path / "data", name="twice") as writer:
        writer.add_label("a", "x")
        writer.add_row("train", "t", "x", "", [0])
        writer.add_row("test", "q", "x", "", [0])
        writer.add_row("test", "q", "y", "", [0])
    (tmp_path / "p.jsonl").write_text('{"uid": "q", "labels": ["a"]}\n')
    with pytest.raises(DataError, match="rows 0 and 1 are both 'q': give predictions by row"):
        score_predictions(tmp_path / "p.jsonl", tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"uid": "t0", "labels": ' + "[" * 100_000, "line 1: expected .* nested too deeply"),
        (
            "a.jsonl",
            '{"uid": "t0", "labels": ["l1"], "scores": [' + "9" * 400 + "]}",
            "scores that fit a float",
        ),
        ("a.jsonl", '{"uid": "t0", "labels": ["l1"], "scores": [' + "9" * 5000 + "]}", "line 1: expected"),
        ("a.run", "t0 Q0 l1 1 nan tag\n", "expected scores to be numbers, got NaN"),
        ("a.run", "t0 Q0 l1 1 " + "x" * 9000 + " tag\n", "expected a number as score"),
    ],
)
def test_hostile_lines_are_refused_in_one(dataset, tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=said) as caught:
        score_predictions(tmp_path / name, dataset)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def _csr(path, **changes):
    matrix = sp.csr_matrix((NUM_ROWS, NUM_LABELS))
    sp.save_npz(path, matrix)
    with np.load(path) as content:
        np.savez(path, **{**content, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shape": np.array([[NUM_ROWS, NUM_LABELS]])}, "a shape of two numbers"),
        ({"shape": np.array([1.5, 2.5])}, "a shape of two numbers"),
        ({"format": np.arange(3)}, "the name of a sparse format"),
        ({"indptr": np.zeros(NUM_ROWS + 1)}, "row pointers to be integers"),
        (
            {"indptr": np.array([0] * NUM_ROWS + [2**40])},
            "at most 25 predictions a row, got 1,099,511,627,776",
        ),
        ({"data": np.zeros(0, complex)}, "scores that are numbers"),
        ({"data": np.array([{}], dtype=object)}, "holds Python objects"),
    ],
)
def test_matrices_of_other_types_are_refused(dataset, tmp_path, changes, said):
    _csr(tmp_path / "a.npz", **changes)
    with pytest.raises(DataError, match=said):
        score_predictions(tmp_path / "a.npz", dataset)


def test_lists_longer_than_there_are_labels(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("xmc.evaluation.readers.npz.MAX_LIST", 40)
    ids = np.full((NUM_ROWS, 41), -1)
    np.savez(tmp_path / "a.npz", ids=ids[:, :40], scores=np.zeros((NUM_ROWS, 40)))
    score_predictions(tmp_path / "a.npz", dataset)
    np.savez(tmp_path / "a.npz", ids=ids, scores=np.zeros((NUM_ROWS, 41)))
    with pytest.raises(DataError, match="lists of at most 40 predictions, got 41"):
        score_predictions(tmp_path / "a.npz", dataset)
