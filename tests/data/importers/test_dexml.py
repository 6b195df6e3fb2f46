from __future__ import annotations

import gzip
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xmc.data import Dataset, Propensity, describe
from xmc.errors import DataError

from .conftest import LABELS, TEST, TRAIN, assert_is_the_example, write_json, write_lines


def _point(uid: str, text: str, pairs: dict[int, float]) -> dict[str, Any]:
    ids, weights = list(pairs), list(pairs.values())
    return {"uid": uid, "title": text, "content": "", "target_ind": ids, "target_rel": weights}


@pytest.fixture(autouse=True)
def files(source: Path) -> None:
    write_json(source / "trn.json.gz", [_point(f"q{i}", *row) for i, row in enumerate(TRAIN)])
    write_json(source / "tst.json", [_point(f"t{i}", *row) for i, row in enumerate(TEST)])
    write_json(source / "lbl.json.gz", [{"uid": f"l{i}", "title": text} for i, text in enumerate(LABELS)])
    write_lines(source / "filter_labels_train.txt", ["0 0", "2 1"])
    write_lines(source / "filter_labels_test.txt", ["0 1"])


def test_round_trip(run: Callable[..., Dataset]) -> None:
    dataset = run(name="LF-AmazonTitles-131K")
    assert_is_the_example(dataset)
    assert list(dataset.uids("train")) == ["q0", "q1", "q2"] and list(dataset.uids("labels")) == [
        "l0",
        "l1",
        "l2",
    ]
    filters = [dataset.filter(split) for split in ("train", "test")]
    assert [list(zip(*m.nonzero(), strict=True)) for m in filters if m is not None] == [
        [(0, 0), (2, 1)],
        [(0, 1)],
    ]
    assert dataset.propensity == Propensity(0.6, 2.6)
    assert dataset.manifest.sources[0] == {"format": "dexml", "source": "source"}
    assert {entry["file"] for entry in dataset.manifest.sources[1:]} == {
        *("trn.json.gz", "tst.json", "lbl.json.gz"),
        *("filter_labels_train.txt", "filter_labels_test.txt"),
    }


def test_the_files_may_be_in_raw(source: Path, run: Callable[..., Dataset]) -> None:
    (source / "raw").mkdir()
    for path in [*source.glob("*.json*"), source / "filter_labels_test.txt"]:
        path.rename(source / "raw" / path.name)
    dataset = run()
    assert_is_the_example(dataset)
    assert [dataset.filter(split).nnz for split in ("train", "test")] == [2, 1]  # type: ignore[union-attr]


def test_name_and_propensity_by_default(run: Callable[..., Dataset]) -> None:
    assert (run().name, run(overwrite=True).propensity) == ("source", Propensity(0.55, 1.5))
    assert run(overwrite=True, propensity=Propensity(1, 2)).propensity == Propensity(1, 2)


def test_repeated_ids_are_folded_and_empty_texts_kept(
    source: Path, run: Callable[..., Dataset], caplog: pytest.LogCaptureFixture
) -> None:
    write_json(
        source / "trn.json.gz", [_point("q", "", {}) | {"target_ind": [2, 0, 2], "target_rel": [1, 1, 1]}]
    )
    (source / "filter_labels_train.txt").unlink()
    with caplog.at_level(logging.WARNING):
        dataset = run()
    assert dataset.relevance("train").toarray().tolist() == [[1, 0, 1]] and dataset.texts("train")[:] == [""]
    assert [record.getMessage() for record in caplog.records] == ["source: 1 empty texts kept (1 in train)"]


@pytest.mark.parametrize(
    ("file", "records", "message"),
    [
        (
            "trn.json.gz",
            [_point("a", "x", {0: 1}), _point("b", "y", {3: 1})],
            "line 2: .* between 0 and 2, .* got 3",
        ),
        ("trn.json.gz", [_point("b", "y", {-1: 1})], "line 1: .* between 0 and 2, .* got -1"),
        ("tst.json", [{"uid": "a", "title": "x"}], "line 1: expected a list of labels under"),
        (
            "tst.json",
            [_point("a", "x", {}) | {"target_ind": "many"}],
            "line 1: .* the uid of a label, got 'many'",
        ),
        ("tst.json", [_point("a", "x", {}) | {"target_ind": [True]}], "line 1: expected labels to be ids"),
        ("tst.json", [_point("a", "x", {0: 1}) | {"target_rel": []}], "line 1: expected one relevance"),
        (
            "tst.json",
            [_point("a", "x", {0: 1}) | {"target_rel": ["1"]}],
            "line 1: expected a list of numbers",
        ),
        ("tst.json", [_point("a", "x", {0: float("nan")})], "line 1: expected a finite relevance"),
        ("tst.json", [_point("a", "x", {}), ["a"]], "line 2: expected a JSON object"),
        ("tst.json", [{"uid": "a", "target_ind": []}], "line 1: expected text, or title and content"),
        ("tst.json", [_point("a", "x", {}) | {"title": 3}], "line 1: expected title to be text, got 3"),
        ("tst.json", [_point("a", "x", {}) | {"uid": []}], "line 1: expected uid to be text"),
        ("lbl.json.gz", [{"uid": "a", "title": "x"}] * 2, "line 2: expected each label uid once, got 'a'"),
        ("lbl.json.gz", [], "between 0 and -1, as there are 0 labels"),
    ],
)
def test_bad_records(
    file: str, records: list[Any], message: str, source: Path, run: Callable[..., Dataset], nothing_left: Any
) -> None:
    write_json(source / file, records)
    with pytest.raises(DataError, match=message) as caught:
        run()
    assert nothing_left()
    if records:
        assert f"{source / file}, line" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"title": "x", "target_ind": []}\n{"title": \n', "line 2: expected one JSON object per line"),
        (b"\n", "line 1: expected one JSON object per line"),
        (b'{"title": "caf\xe9", "target_ind": []}\n', "line 1: expected UTF-8, got 0xe9 at byte 15: .*iconv"),
        (
            gzip.compress(b'{"title": "x", "target_ind": []}\n' * 9, mtime=0)[:-9],
            "line 1.*expected a complete gzip file",
        ),
        (b'{"title": "\\ud800", "target_ind": []}\n', "line 1: expected text that fits UTF-8"),
    ],
)
def test_bad_bytes(
    data: bytes, message: str, source: Path, run: Callable[..., Dataset], nothing_left: Callable[[], bool]
) -> None:
    (source / "tst.json").write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        run()
    assert str(source / "tst.json") in str(caught.value) and nothing_left()


def test_a_byte_order_mark_and_windows_line_ends(source: Path, run: Callable[..., Dataset]) -> None:
    (source / "tst.json").write_bytes(b'\xef\xbb\xbf{"title": "car", "target_ind": [2]}\r\n')
    assert_is_the_example(run())


@pytest.mark.parametrize("file", ["tst.json", "lbl.json.gz"])
def test_missing_files(file: str, source: Path, run: Callable[..., Dataset], nothing_left: Any) -> None:
    (source / file).unlink()
    with pytest.raises(DataError, match=f"expected a file {file[:3]}.json or .* found none"):
        run()
    assert nothing_left()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 0", "line 2: expected a row between 0 and 0, got 1"),
        ("0 3", "line 2: expected a label between 0 and 2, got 3"),
        ("0", "line 2: expected two numbers, row and label, got '0'"),
        ("0 -1", "line 2: expected two numbers"),
        ("a b", "line 2: expected two numbers"),
    ],
)
def test_bad_filters(
    line: str, message: str, source: Path, run: Callable[..., Dataset], nothing_left: Callable[[], bool]
) -> None:
    write_lines(source / "filter_labels_test.txt", ["0 0", line])
    with pytest.raises(DataError, match=r"filter_labels_test\.txt, " + message):
        run()
    assert nothing_left()


def test_renamed_filters_and_raw_json(source: Path, run: Callable[..., Dataset]) -> None:
    (source / "filter_labels_test.txt").rename(source / "tst_filter_labels.txt")
    (source / "trn.json.gz").rename(source / "trn.raw.json.gz")
    dataset = run()
    assert_is_the_example(dataset)
    assert describe(dataset).filter_pairs == {"train": 2, "test": 1}
