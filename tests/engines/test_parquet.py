from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.engines.agreement import assert_same, export_and_change_texts, goes_through_its_life
from tests.engines.conftest import numbers
from xmc.engines import export_labels, open_engine, search_engine
from xmc.errors import ConfigError, DataError, IndexMismatchError


@pytest.fixture
def opened(tmp_path):
    return lambda: open_engine("parquet", str(tmp_path / "out"))


@pytest.mark.parametrize("offsets", [False, True])
def test_its_life(make_index, opened, offsets):
    other = make_index(20, offsets=offsets, name="fedcba9876543210")
    goes_through_its_life(make_index(offsets=offsets), opened, other)


def test_what_the_files_hold(make_index, opened, tmp_path):
    index = make_index(20, offsets=True)
    index.remove(["u3"])
    export_labels(index, opened(), batch=8, progress=False)
    files = sorted((tmp_path / "out" / "labels").glob("*.parquet"))
    assert [int(file.stem.split("-")[1]) for file in files] == [0, 8, 16]
    table = pq.read_table(files[0])
    assert table["label"].to_pylist() == [0, 1, 2, 4, 5, 6, 7]
    assert table["uid"].to_pylist()[3] == "u4" and table.schema.field("vector").type.list_size == 3
    whole = index.vectors(np.array([4]))[0]
    assert table["vector"].to_pylist()[3] + [table["offset"].to_pylist()[3]] == whole.tolist()
    said = json.loads(table.schema.metadata[b"xmc"])
    assert said["model_fingerprint"] == index.manifest.model_fingerprint and said["offset_dimension"] is True
    assert said == json.loads((tmp_path / "out" / "labels" / "manifest.json").read_text())


def test_only_files_of_what_changed_are_written_anew(make_index, opened, tmp_path):
    index = make_index(20)
    export_labels(index, opened(), batch=8, progress=False)
    files = sorted((tmp_path / "out" / "labels").glob("*.parquet"))
    before = [file.stat().st_ino for file in files]
    index.update(["1 1 1"], uids=["u9"])
    export_labels(index, opened(), progress=False)
    assert [file.stat().st_ino == inode for file, inode in zip(files, before, strict=True)] == [
        True,
        False,
        True,
    ]
    index.remove([f"u{i}" for i in range(16, 20)])
    export_labels(index, opened(), progress=False)
    assert [file.is_file() for file in files] == [True, True, False]


def test_magnitudes_are_ranked_from_both_ends(make_index, opened):
    index = make_index(offsets=True)
    index._changes.manifest = replace(index.manifest, ranking="magnitude")
    export_labels(index, opened(), progress=False)
    assert_same(index, opened())


def test_fewer_labels_than_asked_for(make_index, opened):
    index = make_index(4)
    export_labels(index, opened(), progress=False)
    (hits,) = search_engine(opened(), index.manifest, np.ones((1, 3), dtype=np.float32), 9)
    assert len(hits) == 4
    with pytest.raises(ConfigError, match="k to be at least 1"):
        search_engine(opened(), index.manifest, np.ones((1, 3), dtype=np.float32), 0)


def test_what_cannot_be_exported(make_index, make_encoder, opened, tmp_path):
    from xmc.retrieval import LabelIndex

    codes = LabelIndex.build(make_encoder(), numbers(60), kind="sq8", progress=False)
    with pytest.raises(ConfigError, match="keeps codes alone: build it as flat or exact"):
        export_labels(codes, opened(), progress=False)
    assert not (tmp_path / "out").exists()
    index = make_index(20)
    export_labels(index, opened(), batch=8, progress=False)
    with pytest.raises(ConfigError, match="made with batches of 8 labels, got 9"):
        export_labels(index, opened(), batch=9, progress=False)
    with pytest.raises(ConfigError, match="expected 1 or more labels"):
        export_labels(index, opened(), batch=0, progress=False)


def test_what_is_of_other_making_is_left_alone(make_index, tmp_path):
    (tmp_path / "out" / "labels").mkdir(parents=True)
    (tmp_path / "out" / "labels" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="left alone"):
        export_labels(
            make_index(4), open_engine("parquet", str(tmp_path / "out")), overwrite=True, progress=False
        )
    assert (tmp_path / "out" / "labels" / "mine.txt").read_text() == "mine"


def test_what_is_damaged_or_not_there(make_index, opened, tmp_path):
    index = make_index(4)
    query = np.ones((1, 3), dtype=np.float32)
    with pytest.raises(DataError, match="export first"):
        search_engine(opened(), index.manifest, query, 1)
    export_labels(index, opened(), progress=False)
    (file,) = (tmp_path / "out" / "labels").glob("*.parquet")
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="remove it and export again"):
        search_engine(opened(), index.manifest, query, 1)
    manifest = tmp_path / "out" / "labels" / "manifest.json"
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**said, "format_version": 2}))
    with pytest.raises(DataError, match="format version 2"):
        opened().facts()
    manifest.write_text(json.dumps({**said, "dimension": 4}))
    with pytest.raises(IndexMismatchError, match="dimension 4, the index of 3"):
        export_labels(index, opened(), progress=False)


def test_names_and_places(tmp_path):
    with pytest.raises(ConfigError, match="an engine of parquet, lancedb"):
        open_engine("pinecone", str(tmp_path))
    with pytest.raises(ConfigError, match="small letters"):
        open_engine("parquet", str(tmp_path), "../labels")
    with pytest.raises(ConfigError, match="XMC_ENGINE_KEY"):
        open_engine("opensearch", "https://me:secret@localhost:9200")
    for place in ("", " "):
        with pytest.raises(ConfigError, match="place of parquet.*got an empty one"):
            open_engine("parquet", place)
    with pytest.raises(ConfigError, match="an address such as http://localhost:9200, got 'http://\\[::1'"):
        open_engine("opensearch", "http://[::1")


def test_a_package_that_is_missing_is_named(monkeypatch, tmp_path):
    import sys

    from xmc.errors import DependencyError

    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(DependencyError, match=r"xmc-dual-encoder\[lancedb\]"):
        open_engine("lancedb", str(tmp_path))


def test_what_a_killed_export_left_is_cleared_away(make_index, opened, tmp_path):
    folder = tmp_path / "out" / "labels"
    folder.mkdir(parents=True)
    (folder / ".manifest.json.0123abcd.partial").touch()  # killed before there was a manifest
    index = make_index(20)
    export_labels(index, opened(), batch=8, progress=False)
    left = folder / ".labels-000000000008.parquet.0123abcd.partial"
    left.write_bytes(b"PAR1 and half a file")
    (folder / ".mine.partial").touch()
    assert export_labels(index, opened(), progress=False).written == 0
    assert not left.exists() and sorted(file.name for file in folder.glob(".*")) == [".mine.partial"]
    assert opened().count() == 20


def test_labels_of_several_texts(make_several, opened):
    export_and_change_texts(make_several(), opened)


def test_every_text_is_a_row(make_several, opened, tmp_path):
    index = make_several(9)
    export_labels(index, opened(), batch=4, progress=False)
    files = sorted((tmp_path / "out" / "labels").glob("*.parquet"))
    # Up to three texts a label, and room for four: labels 0 to 3 have the ids 0 to 15.
    assert [int(file.stem.split("-")[1]) for file in files] == [0, 16, 32]
    table = pq.read_table(files[0])
    assert table["label"].to_pylist() == [0, 4, 5, 8, 9, 10, 12]
    assert table["uid"].to_pylist() == ["u0", "u1", "u1", "u2", "u2", "u2", "u3"]
    assert table["text"].to_pylist()[1:3] == [index.texts[1]] * 2
    assert json.loads(table.schema.metadata[b"xmc"])["texts"] == 4
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist()), index.vectors(np.arange(4))[:, :3])


def test_a_label_whose_rows_push_all_others_out_of_the_first_that_are_fetched(make_encoder, opened):
    """Of 40 good texts of one label the engine gives the first; the second label is below them."""
    from xmc.retrieval import LabelIndex

    encoder = make_encoder()
    encoder.metadata = replace(encoder.metadata, label_texts="lines")
    good = "\n".join(f"{i} 0 0" for i in range(100, 140))
    index = LabelIndex.build(encoder, [good, "1 0 0", "2 0 0\n0 1 0"], kind="exact", progress=False)
    export_labels(index, opened(), progress=False)
    query = np.float32([[1, 0, 0]])
    (hits,) = search_engine(opened(), index.manifest, query, 3)
    assert [(hit.label, hit.score) for hit in hits] == [(0, 139.0), (2, 2.0), (1, 1.0)]


def test_equal_scores_are_ordered_by_id_where_an_engine_orders_them_otherwise(make_encoder, opened):
    from xmc.retrieval import LabelIndex

    index = LabelIndex.build(make_encoder(), ["2 0 0", *["1 0 0"] * 40], kind="exact", progress=False)
    export_labels(index, opened(), progress=False)
    engine = opened()
    search = engine.search

    def last_first(queries, k):
        return [sorted(hits, key=lambda hit: (-hit.score, -hit.label))[:k] for hits in search(queries, 99)]

    engine.search = last_first
    (hits,) = search_engine(engine, index.manifest, np.float32([[1, 0, 0]]), 3)
    assert [hit.label for hit in hits] == [0, 1, 2]


def test_an_engine_s_own_batch_is_of_rows(make_several, opened):
    engine = opened()
    engine.batch = 30
    export_labels(make_several(), engine, progress=False)
    # Room for four texts a label.
    assert opened().facts().batch == 7


@pytest.mark.parametrize(("most", "k", "works"), [(60, 9, True), (60, 30, True), (24, 20, False)])
def test_an_engine_that_gives_so_many_rows_at_most(make_several, opened, most, k, works):
    """18 labels have 36 texts."""
    index = make_several(18)
    export_labels(index, opened(), progress=False)
    engine = opened()
    engine.most_hits, asked, search = most, [], engine.search
    engine.search = lambda queries, fetch: asked.append(fetch) or search(queries, fetch)
    if works:
        assert_same(index, engine, k)
    else:
        with pytest.raises(ConfigError, match="-k: .* gives 24 rows of a query at most.* the 20 best"):
            search_engine(engine, index.manifest, np.ones((1, 3), dtype=np.float32), k)
    assert max(asked) <= most


def test_more_texts_than_there_is_room_for(make_several, opened):
    index = make_several(9)
    export_labels(index, opened(), progress=False)
    index.add(["1 1 1\n2 2 2\n3 3 3\n4 4 4"], uids=["four"])
    export_labels(index, opened(), progress=False)
    index.add(["\n".join(numbers(5, seed=3))], uids=["five"])
    with pytest.raises(IndexMismatchError, match="room for 4 texts a label, and the index has a label of mo"):
        export_labels(index, opened(), progress=False)
    export_labels(index, opened(), overwrite=True, progress=False)
    assert_same(index, opened())


def test_labels_ranked_by_the_mean_of_two_texts_are_refused(make_several, opened, tmp_path):
    index = make_several(9)
    index._changes.manifest = replace(index.manifest, label_fold="top2")
    with pytest.raises(
        ConfigError, match="best text .label_fold: max., got 18 vectors of 9 labels and .* top"
    ):
        export_labels(index, opened(), progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "place", ["postgresql://me:secret@localhost/shop", "host=localhost password=secret dbname=shop"]
)
def test_a_password_in_an_address_is_refused(place):
    with pytest.raises(ConfigError, match="PGPASSWORD") as refused:
        open_engine("pgvector", place)
    assert "secret@" not in str(refused.value) and "=secret" not in str(refused.value)
