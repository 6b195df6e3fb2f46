"""An index over its life: changes by several processes, generations on disk, shards put together."""

from __future__ import annotations

import json
import shutil
import threading

import numpy as np
import pytest

from xmc.errors import ConfigError, DataError, IndexMismatchError, XMCError
from xmc.retrieval import LabelIndex
from xmc.retrieval import generations as generations_module

LABELS = ["1 0 0", "0 1 0", "0 0 1", "1 0 0"]
UIDS = ["a", "b", "c", "d"]


def numbers(count, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, 3)).round(3).tolist()
    return [" ".join(map(str, row)) for row in rows]


@pytest.fixture
def folder(make_encoder, tmp_path):
    LabelIndex.build(make_encoder(), LABELS, uids=UIDS, progress=False).save(tmp_path / "index")
    return tmp_path / "index"


def generations(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("generation"))


@pytest.mark.parametrize("kind", ["exact", "flat", "hnsw", "binary"])
def test_an_updated_label_keeps_its_id_and_loses_its_old_text(make_encoder, tmp_path, kind):
    index = LabelIndex.build(make_encoder(), LABELS, uids=UIDS, kind=kind, progress=False)
    assert index.update(["0 0 9", "5 0 0"], ["b", "a"]).tolist() == [1, 0]
    index.save(tmp_path / "index")
    for one in (index, LabelIndex.load(tmp_path / "index", make_encoder())):
        assert [(hit.label, hit.uid, hit.text, hit.score) for hit in one.hits("0 1 2", 4)] == [
            (1, "b", "0 0 9", 18.0),
            (2, "c", "0 0 1", 2.0),
            (0, "a", "5 0 0", 0.0),
            (3, "d", "1 0 0", 0.0),
        ]
        assert len(one) == 4
    assert index.update("1 1 1", "b").tolist() == [1]


def test_bad_updates_change_nothing(make_encoder):
    index = LabelIndex.build(make_encoder(), LABELS, uids=UIDS, progress=False)
    for texts, uids, said in (
        (["1 1 1"], ["x"], "'x'"),
        (["1 1 1"] * 2, ["a", "a"], "each uid once"),
        (["1 1 1"], ["a", "b"], "each uid once"),
    ):
        with pytest.raises(DataError, match=said):
            index.update(texts, uids)
    assert index.hits("1 1 1", 4)[0].score == 1


def test_labels_are_added_by_vectors(make_encoder):
    encoder = make_encoder(offsets=dict(zip(UIDS, [2.0, 4.0, 6.0, 0.0], strict=True)), scale=2.0)
    index = LabelIndex.build(encoder, LABELS, uids=UIDS, progress=False)
    vectors = np.array([[0, 3, 0], [0, 0, 7]])
    assert index.add_vectors(vectors, ["support of x", "support of y"], ["x", "y"]).tolist() == [4, 5]
    hit = index.hits("0 0 1", 1)[0]
    assert (hit.uid, hit.text, hit.score) == ("y", "support of y", 7 + 1.5)
    assert index.vectors(np.array([5])).tolist() == [[0, 0, 7, 1.5]]
    with pytest.raises(ConfigError, match=r"expected label embeddings \[1, 3\]"):
        index.add_vectors(vectors, ["z"], ["z"])
    with pytest.raises(XMCError, match="finite"):
        index.add_vectors(np.full((1, 3), np.nan), ["z"], ["z"])
    assert len(index) == 6


def test_most_vectors_dead_means_a_new_store(make_encoder, monkeypatch, tmp_path):
    monkeypatch.setattr("xmc.retrieval.index_changes._FEW_DEAD", 10)
    for kind in ("exact", "hnsw", "binary", "fastscan"):
        index = LabelIndex.build(make_encoder(), numbers(100), kind=kind, progress=False)
        before = index.hits("1 2 3", 100)
        index.remove([str(i) for i in range(0, 80)])
        assert index.vectors_dropped == 0
        expected = [hit for hit in before if int(hit.uid) >= 80]
        assert index.hits("1 2 3", 100) == expected
        index.save(tmp_path / "index", overwrite=True)
        assert LabelIndex.load(tmp_path / "index", make_encoder()).hits("1 2 3", 100) == expected
        assert index.add("9 9 9", "new").tolist() == [100]


def test_each_save_is_a_generation_and_old_ones_go(folder, make_encoder):
    first = LabelIndex.load(folder, make_encoder())
    for number in range(3):
        with LabelIndex.edit(folder, make_encoder()) as index:
            index.add("0 9 0", f"new {number}")
    assert index.generation == "generation-000004" and index.is_current and not first.is_current
    assert generations(folder) == ["generation-000003", "generation-000004"]
    # What was open goes on with what it opened.
    assert [hit.uid for hit in first.hits("0 1 0", 1)] == ["b"]
    assert len(LabelIndex.load(folder)) == 7


def test_an_edit_that_fails_changes_nothing(folder, make_encoder):
    with pytest.raises(DataError, match="'nobody'"), LabelIndex.edit(folder, make_encoder()) as index:
        index.add("0 9 0", "new")
        index.remove("nobody")
    assert generations(folder) == ["generation-000001"] and "new" not in LabelIndex.load(folder)
    with pytest.raises(DataError, match="xmc index"), LabelIndex.edit(folder.parent / "nowhere"):
        pass


def test_a_change_over_another_change_is_refused(folder, make_encoder):
    mine, other = (LabelIndex.load(folder, make_encoder()) for _ in range(2))
    other.add("0 2 0", "theirs")
    other.save(folder, overwrite=True)
    mine.add("0 3 0", "mine")
    with pytest.raises(DataError, match="changed by another process since it was opened"):
        mine.save(folder, overwrite=True)
    assert "theirs" in LabelIndex.load(folder)
    other.add("0 4 0", "more")
    other.save(folder, overwrite=True)  # it knows what it saved itself


def test_one_change_at_a_time(folder, make_encoder, monkeypatch):
    monkeypatch.setattr(generations_module, "_WAIT_SECONDS", 0.1)
    held, done = threading.Event(), threading.Event()

    def hold():
        with generations_module.locked(folder):
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    try:
        with pytest.raises(XMCError, match="another process has been changing it"):
            with LabelIndex.edit(folder, make_encoder()):
                pass
        assert len(LabelIndex.load(folder)) == 4  # reading waits for nobody
    finally:
        done.set()
        thread.join()


def test_a_folder_that_cannot_be_locked_is_told(folder, make_encoder):
    (folder / ".lock").unlink(missing_ok=True)
    (folder / ".lock").mkdir()
    with pytest.raises(XMCError, match="cannot be written.*make it writable"):
        with LabelIndex.edit(folder, make_encoder()):
            pass


def test_readers_never_see_half_a_change(folder, make_encoder):
    """Every load while another thread saves again and again is one of the states that were saved."""
    stop, failures, seen = threading.Event(), [], set()

    def read():
        while not stop.is_set():
            try:
                index = LabelIndex.load(folder)
                seen.add(len(index))
                assert len(index) == index._changes.store.reachable
            except Exception as error:
                failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(12):
        with LabelIndex.edit(folder, make_encoder()) as index:
            index.add([f"0 {number} 0"], [f"n{number}"])
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures and seen <= set(range(4, 17)) and len(LabelIndex.load(folder)) == 16


def test_what_a_killed_save_left_is_cleared(folder, make_encoder):
    (folder / ".generation-000002.partial").mkdir()
    (folder / ".generation-000002.partial" / "index.faiss").touch()
    with LabelIndex.edit(folder, make_encoder()) as index:
        index.add("0 9 0", "new")
    assert generations(folder) == ["generation-000001", "generation-000002"]
    assert not list(folder.glob(".*.partial"))


def test_a_failed_save_leaves_the_old_generation(folder, make_encoder, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("xmc.retrieval.stores.faiss_store.write_index", fail)
    with pytest.raises(KeyboardInterrupt), LabelIndex.edit(folder, make_encoder()) as index:
        index.add("0 9 0", "new")
    assert len(LabelIndex.load(folder)) == 4 and generations(folder) == ["generation-000001"]
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "current.json", "generation-000001"]


def as_version_2(folder):
    """The folder as the version before wrote it: its files at the top, and a table without slots."""
    import pyarrow.parquet as pq

    from xmc.files import sha256_file

    inner = folder / "generation-000001"
    table = pq.read_table(inner / "labels.parquet").drop_columns(["slot"])
    pq.write_table(table, folder / "labels.parquet")
    (inner / "index.faiss").rename(folder / "index.faiss")
    content = json.loads((inner / "manifest.json").read_text())
    for key in ("kind", "storage", "refine", "next_slot", "search", "label_fields"):
        del content[key]
    content["format_version"] = 2
    content["checksums"]["labels.parquet"] = sha256_file(folder / "labels.parquet")
    (folder / "manifest.json").write_text(json.dumps(content))
    shutil.rmtree(inner)
    (folder / "current.json").unlink()


def test_a_folder_of_the_version_before_opens_and_becomes_one_of_this(make_encoder, tmp_path):
    index = LabelIndex.build(make_encoder(), LABELS, uids=UIDS, factory="HNSW8", progress=False)
    index.save(tmp_path / "index")
    as_version_2(tmp_path / "index")
    old = LabelIndex.load(tmp_path / "index", make_encoder())
    assert old.hits("1 2 3", 4) == index.hits("1 2 3", 4) and old.manifest.format_version == 2
    with LabelIndex.edit(tmp_path / "index", make_encoder()) as changed:
        changed.remove("c")
    assert not (tmp_path / "index" / "manifest.json").exists()
    again = LabelIndex.load(tmp_path / "index", make_encoder())
    assert [hit.uid for hit in again.hits("1 2 3", 4)] == ["b", "a", "d"]
    assert again.manifest.format_version == 3


@pytest.mark.parametrize("name", ["../elsewhere", "generation-1", 3, None])
def test_a_pointer_that_leads_elsewhere_is_refused(folder, name):
    (folder / "current.json").write_text(json.dumps({"generation": name}))
    with pytest.raises(DataError, match="the pointer of a label index"):
        LabelIndex.load(folder)
    (folder / "current.json").write_text(json.dumps({"generation": "generation-000009"}))
    with pytest.raises(DataError, match="manifest"):
        LabelIndex.load(folder)


@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize(
    ("shards", "kind", "options"),
    [
        ("exact", "exact", {}),
        ("flat", "flat", {}),
        ("exact", "ivf", {}),
        ("exact", "hnsw", {}),
        ("exact", "ivfpq", {}),
        ("exact", "binary", {"storage": "float16"}),
        ("flat", "fastscan", {}),
        ("exact", "SQ8", {"refine": True}),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_merged_shards_are_one_build(make_encoder, monkeypatch, shards, kind, options, offsets):
    monkeypatch.setattr("xmc.retrieval.index_labels.CHUNK", 128)
    monkeypatch.setattr("xmc.retrieval.merging.CHUNK", 100)
    texts, uids = numbers(300), [f"l{i}" for i in range(300)]
    learned = {uid: float(i % 5) for i, uid in enumerate(uids)} if offsets else None
    encoder = make_encoder(offsets=learned)
    whole = LabelIndex.build(encoder, texts, uids=uids, kind=kind, progress=False, **options)
    parts = [
        LabelIndex.build(encoder, texts[low:high], uids=uids[low:high], kind=shards, progress=False)
        for low, high in ((0, 90), (90, 91), (91, 300))
    ]
    merged = LabelIndex.merge(parts, kind=kind, progress=False, **options)
    queries = encoder.encode_queries(numbers(25, seed=1))
    for mine, theirs in zip(merged.search_vectors(queries, 9), whole.search_vectors(queries, 9), strict=True):
        assert mine.tobytes() == theirs.tobytes()
    assert merged.uids == whole.uids and merged.texts == whole.texts
    assert merged.manifest == whole.manifest


def test_a_merge_leaves_removed_labels_out_and_counts_anew(make_encoder):
    encoder = make_encoder()
    first = LabelIndex.build(encoder, LABELS, uids=UIDS, kind="hnsw", progress=False)
    first.remove(["a", "c"])
    second = LabelIndex.build(encoder, ["5 5 5"], uids=["a"], progress=False)
    merged = LabelIndex.merge([first, second], progress=False)
    assert merged.uids == ["b", "d", "a"] and merged.manifest.kind == "hnsw"
    assert [hit.label for hit in merged.hits("1 1 1", 3)] == [2, 0, 1]


def test_what_cannot_be_merged_is_explained(make_encoder):
    encoder = make_encoder()
    one = LabelIndex.build(encoder, LABELS, uids=UIDS, progress=False)
    for parts, error, said in (
        ([], ConfigError, "at least one index"),
        ([one, one], DataError, "'a' again"),
        (
            [one, LabelIndex.build(make_encoder("f" * 16), ["1 1 1"], uids=["x"], progress=False)],
            IndexMismatchError,
            "index 2 of those to merge",
        ),
        (
            [one, LabelIndex.build(encoder, numbers(50), kind="sq8", progress=False)],
            ConfigError,
            "index 2 is SQ8",
        ),
        (
            [
                one,
                LabelIndex.build(make_encoder(offsets={"x": 1.0}), ["1 1 1"], uids=["x"], progress=False),
            ],
            ConfigError,
            "with offsets or without",
        ),
    ):
        with pytest.raises(error, match=said):
            LabelIndex.merge(parts, progress=False)
