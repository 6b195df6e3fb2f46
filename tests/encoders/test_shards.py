"""Shards of embeddings: the same bits from any number of processes, and a second run goes on."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.encoders import DualEncoder
from xmc.encoders.shards import EncodedShards, shards_of_rank
from xmc.errors import ConfigError, DataError

WORDS = ("red", "green", "blue", "house", "tree")


class CountingEncoder:
    """A text's embedding is how often it has each word; a call is counted."""

    dimension = len(WORDS)

    def __init__(self, name: str = "counts") -> None:
        self.fingerprint = name
        self.calls: list[int] = []

    def query_texts(self, dataset: Dataset, split: str):
        return dataset.texts(split)

    def label_texts(self, dataset: Dataset):
        return dataset.texts("labels")

    def encode_queries(self, texts, cuts=None, uids=None) -> np.ndarray:
        self.calls.append(len(texts))
        return np.array([[text.split().count(word) for word in WORDS] for text in texts], dtype=np.float32)

    encode_labels = encode_queries


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    place = tmp_path_factory.mktemp("data") / "words"
    with DatasetWriter(place, name="words") as writer:
        writer.add_label("l0", "red house", "")
        writer.add_label("l1", "blue tree", "")
        for row in range(23):
            writer.add_row("train", f"q{row}", " ".join(WORDS[: row % 5]) + " red", "", [row % 2])
    return Dataset.load(place)


def vectors(out) -> np.ndarray:
    tables = [pq.read_table(file) for file in sorted(out.glob("shard-*.parquet"))]
    assert [row for table in tables for row in table["row"].to_pylist()] == list(range(23))
    assert [uid for table in tables for uid in table["uid"].to_pylist()] == [f"q{i}" for i in range(23)]
    return np.array([vector for table in tables for vector in table["vector"].to_pylist()], dtype=np.float32)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_each_shard_is_one_ranks(size: int) -> None:
    given = [shards_of_rank(5, rank, size) for rank in range(size)]
    assert sorted(shard for own in given for shard in own) == list(range(5))
    assert max(map(len, given)) - min(map(len, given)) <= 1
    with pytest.raises(ConfigError, match="rank"):
        shards_of_rank(5, size, size)


def test_ranks_that_die_and_others_that_go_on(dataset: Dataset, tmp_path) -> None:
    out = tmp_path / "out"
    first = EncodedShards(CountingEncoder(), dataset, "train", out, rows=5)
    assert first.facts.shards == 5 and list(first.missing()) == [0, 1, 2, 3, 4]
    for shard in shards_of_rank(5, 1, 3):  # of three ranks only one lives
        first.write(shard)
    assert list(first.missing()) == [0, 2, 3]
    (out / ".shard-00000.parquet.0.partial").write_bytes(b"cut off")
    first.place(4).write_bytes(b"PAR1 damaged")
    encoder = CountingEncoder()
    for rank in range(2):  # two ranks go on
        again = EncodedShards(encoder, dataset, "train", out, rows=5)
        for shard in shards_of_rank(5, rank, 2):
            if not again.is_there(shard):
                again.write(shard)
    assert sorted(encoder.calls) == [3, 5, 5, 5] and not list(again.missing())
    expected = CountingEncoder().encode_queries(dataset.texts("train")[:])
    assert (vectors(out) == expected).all()


def test_labels_bring_their_uids(dataset: Dataset, tmp_path) -> None:
    shards = EncodedShards(CountingEncoder(), dataset, "labels", tmp_path / "out", rows=8)
    shards.write(0)
    table = pq.read_table(shards.place(0))
    assert table["uid"].to_pylist() == ["l0", "l1"] and table.schema.field("vector").type.list_size == 5
    assert json.loads(table.schema.metadata[b"xmc"])["split"] == "labels"


def test_what_is_of_another_run_or_making(dataset: Dataset, tmp_path) -> None:
    out = tmp_path / "out"
    EncodedShards(CountingEncoder(), dataset, "train", out, rows=5)
    with pytest.raises(ConfigError, match="another rows: 5, and this is 6"):
        EncodedShards(CountingEncoder(), dataset, "train", out, rows=6)
    with pytest.raises(ConfigError, match="another model fingerprint"):
        EncodedShards(CountingEncoder("other"), dataset, "train", out, rows=5)
    with pytest.raises(ConfigError, match="1 or more texts"):
        EncodedShards(CountingEncoder(), dataset, "train", out, rows=0)
    with pytest.raises(DataError, match="no rows of test"):
        EncodedShards(CountingEncoder(), dataset, "test", tmp_path / "none")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    with pytest.raises(DataError, match="left alone"):
        EncodedShards(CountingEncoder(), dataset, "train", tmp_path / "mine")


def test_a_transformer_gives_one_calls_vectors_to_rounding(bert_folder, dataset: Dataset, tmp_path) -> None:
    encoder = DualEncoder.load(bert_folder, device="cpu")
    shards = EncodedShards(encoder, dataset, "train", tmp_path / "out", rows=5)
    for shard in range(shards.facts.shards):
        shards.write(shard)
    np.testing.assert_allclose(vectors(tmp_path / "out"), encoder.encode_queries(dataset, "train"), atol=1e-6)
