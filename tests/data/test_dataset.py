from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xmc.data import Dataset, DatasetWriter, Propensity, describe
from xmc.errors import ConfigError, DataError


def test_everything_comes_back(build: Callable[..., Dataset]) -> None:
    dataset = build([[2, 0], [], [1]], propensity=Propensity(0.6, 2.6), sources=[{"from": "a test"}])
    assert (dataset.name, dataset.num_labels, dataset.num_train, dataset.num_test) == ("toy", 4, 3, 1)
    assert dataset.propensity == Propensity(0.6, 2.6) and dataset.manifest.sources == [{"from": "a test"}]
    assert dataset.texts("labels", ["title"])[:] == ["label 0", "label 1", "label 2", "label 3"]
    assert dataset.texts("labels", ["title", "content"])[3] == "label 3 long"
    assert list(dataset.uids("train")) == ["q0", "q1", "q2"]
    train, test = dataset.relevance("train"), dataset.relevance("test")
    assert train.dtype == np.float32 and train.toarray().tolist() == [
        [1, 0, 1, 0],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
    ]
    assert test.indices.tolist() == [1, 3] and test.has_sorted_indices
    assert dataset.filter("train") is None
    filters = dataset.filter("test")
    assert filters is not None and filters.dtype == bool and filters.toarray().tolist() == [[0, 0, 1, 0]]


def test_default_fields_are_the_data_sets_own(build: Callable[..., Dataset]) -> None:
    dataset = build([[0]], query_fields=["content"], label_fields=["title", "content"])
    assert dataset.texts("train")[0] == "content 0" and dataset.texts("labels")[0] == "label 0 long"


def test_fingerprints(build: Callable[..., Dataset]) -> None:
    one, same, other = build([[0], [1]], "a"), build([[0], [1]], "b"), build([[0], [2]], "c")
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert one.label_fingerprint == other.label_fingerprint


def test_missing_files(tmp_path: Path, build: Callable[..., Dataset]) -> None:
    with pytest.raises(DataError, match="xmc data import"):
        Dataset.load(tmp_path / "nowhere")
    dataset = build([[0]])
    (dataset.path / "test.npz").unlink()
    with pytest.raises(DataError, match=r"test\.npz: expected \d+ bytes, found no such file"):
        Dataset.load(dataset.path)


def test_a_file_of_another_size(build: Callable[..., Dataset]) -> None:
    path = build([[0]]).path
    with open(path / "train.npz", "ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"train\.npz: expected \d+ bytes, found \d+ bytes"):
        Dataset.load(path)


def test_verify_reads_the_bytes(build: Callable[..., Dataset]) -> None:
    dataset = build([[0]])
    dataset.verify()
    file = dataset.path / "labels.parquet"
    data = bytearray(file.read_bytes())
    data[10] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match=r"labels\.parquet: expected SHA-256"):
        Dataset.load(dataset.path).verify()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw | {"format_version": 99}, "format version 1, got 99"),
        (lambda raw: {}, "format_version"),
        (lambda raw: {"format_version": 1}, "fields of a prepared data set"),
        (lambda raw: raw | {"num_labels": 5}, r"matrix \[1, 5\], got \[1, 4\]"),
    ],
)
def test_other_manifests(change: Callable[[dict], dict], message: str, build: Callable[..., Dataset]) -> None:  # type: ignore[type-arg]
    path = build([[0]]).path
    manifest = path / "dataset.json"
    manifest.write_text(json.dumps(change(json.loads(manifest.read_text()))))
    with pytest.raises(DataError, match=message):
        Dataset.load(path).relevance("train")


def test_malformed_manifest(build: Callable[..., Dataset]) -> None:
    path = build([[0]]).path
    (path / "dataset.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset\.json: expected a JSON object"):
        Dataset.load(path)


def test_wrong_words(build: Callable[..., Dataset]) -> None:
    dataset = build([[0]])
    with pytest.raises(ConfigError, match="split among train, test, labels, got 'validation'"):
        dataset.texts("validation")
    with pytest.raises(ConfigError, match="fields among title, content"):
        dataset.texts("train", ["uid"])
    assert dataset.texts("train", "title")[:] == dataset.texts("train", ["title"])[:]
    with pytest.raises(ConfigError, match="split among train, test"):
        dataset.relevance("labels")


def test_a_known_ceiling_is_kept_and_an_unknown_one_not_written(tmp_path: Path) -> None:
    for ceiling in ({}, {"P@1": 80.5}):
        with DatasetWriter(tmp_path / "d", name="d", overwrite=True) as writer:
            writer.add_label("l", "l")
            writer.ceiling = ceiling
        dataset = Dataset.load(tmp_path / "d")
        assert dataset.ceiling == describe(dataset).ceiling == ceiling
        assert ("ceiling" in json.loads((tmp_path / "d" / "dataset.json").read_text())) == bool(ceiling)
        assert ("best possible" in describe(dataset).table()) == bool(ceiling)


def changed_manifest(dataset: Dataset, change: Callable[[dict[str, Any]], object]) -> Path:
    path = dataset.path / "dataset.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return dataset.path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update(num_labels="4"), "num_labels: expected a whole number"),
        (lambda m: m.update(num_train=-1), "num_train: expected 0 to"),
        (lambda m: m.update(num_test=2**40), "num_test: expected 0 to"),
        (lambda m: m.update(propensity={"a": "x"}), "a: expected a number"),
        (lambda m: m.update(propensity=[1]), "expected a mapping"),
        (lambda m: m.update(query_fields=[3]), "query_fields: expected a text"),
        (lambda m: m.update(files=[]), "files: expected a mapping"),
        (lambda m: m["files"].pop("labels.parquet"), "it lacks 'labels.parquet'"),
        (lambda m: m["files"].update({"../a": {}}), "plain file names"),
        (lambda m: m["files"]["test.npz"].update(bytes=None), "files.test.npz: expected its bytes"),
        (lambda m: m["files"]["test.npz"].update(sha256="../" * 22), "files.test.npz: expected its bytes"),
        (lambda m: m["text_fingerprints"].pop("test"), "text_fingerprints: it lacks 'test'"),
        (lambda m: m.update(ceiling={"P@1": float("nan")}), "ceiling.P@1: expected a finite number"),
    ],
)
def test_values_of_other_types_in_the_manifest_are_named(
    build: Callable[..., Dataset], change: Callable[[dict[str, Any]], object], said: str
) -> None:
    path = changed_manifest(build([[0]]), change)
    with pytest.raises(DataError, match=rf"dataset.json: expected .*{re.escape(said)}"):
        Dataset.load(path)


def test_tables_and_matrices_of_other_sizes_than_the_manifest_says(build: Callable[..., Dataset]) -> None:
    path = changed_manifest(build([[0], [1]]), lambda m: m.update(num_train=1, num_labels=3))
    with pytest.raises(DataError, match=r"train.parquet: expected 1 texts, got 2"):
        Dataset.load(path).texts("train")
    with pytest.raises(DataError, match=r"labels.parquet: expected 3 texts, got 4"):
        Dataset.load(path).uids("labels")
    with pytest.raises(DataError, match=r"expected a matrix \[1, 3\]"):
        Dataset.load(path).relevance("train")


def test_a_damaged_cache_of_texts_is_found_before_it_is_read(build: Callable[..., Dataset]) -> None:
    dataset = build([[0], [1]])
    dataset.texts("train")
    [arrow] = (dataset.path / "cache").glob("train-*.arrow")
    data = bytearray(arrow.read_bytes())
    # The end of the second uid, which is one of the offsets of the first column.
    place = data.index(b"\x00\x00\x00\x00\x02\x00\x00\x00\x04\x00\x00\x00")
    data[place + 8 : place + 12] = b"\xff\xff\xff\x7f"
    arrow.write_bytes(data)
    with pytest.raises(DataError, match=r"arrow: expected the unpacked texts .*delete this file"):
        Dataset.load(dataset.path).texts("train")
