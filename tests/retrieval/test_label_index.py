from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xmc.data import DatasetWriter
from xmc.encoders import DualEncoder
from xmc.encoders.config import EncoderConfig
from xmc.errors import ConfigError, DataError, IndexMismatchError, ModelError, XMCError
from xmc.retrieval import Hit, LabelIndex, exact_search
from xmc.retrieval.label_table import LabelTable

LABELS = ["1 0 0", "0 1 0", "0 0 1", "1 0 0"]
UIDS = ["a", "b", "c", "a again"]


@pytest.fixture
def index(make_encoder):
    return LabelIndex.build(make_encoder(), LABELS, uids=UIDS, progress=False)


def generation(folder):
    """The folder of the generation that holds."""
    return folder / json.loads((folder / "current.json").read_text())["generation"]


def numbers(count, seed=0):
    return [
        " ".join(map(str, row)) for row in np.random.default_rng(seed).integers(-2, 3, (count, 3)).tolist()
    ]


def test_search_by_text_orders_ties_by_label_id(index):
    ids, scores = index.search(["1 2 0", "0 0 1"], k=4)
    assert ids.tolist() == [[1, 0, 3, 2], [2, 0, 1, 3]]
    assert scores.tolist() == [[2, 1, 1, 0], [1, 0, 0, 0]]
    assert ids.dtype == np.int64 and scores.dtype == np.float32


def test_hits_carry_the_label(index):
    assert index.hits(["0 1 0"], k=1) == [[Hit(1, "b", "0 1 0", 1.0)]]
    assert index.hits("0 1 0", k=1) == [Hit(1, "b", "0 1 0", 1.0)]


def test_pads_where_k_exceeds_the_labels(index):
    ids, scores = index.search(["1 0 0"], k=6)
    assert ids.tolist() == [[0, 3, 1, 2, -1, -1]]
    assert np.isneginf(scores[0, 4:]).all()
    assert len(index.hits("1 0 0", k=6)) == 4


@pytest.mark.parametrize("offsets", [False, True])
def test_flat_equals_exact_search_also_in_ties_at_the_cut(make_encoder, offsets):
    texts = numbers(300)
    learned = {str(i): float(i % 3) for i in range(300)} if offsets else None
    encoder = make_encoder(offsets=learned, scale=2.0)
    index = LabelIndex.build(encoder, texts, progress=False)
    queries = encoder.encode_queries(numbers(20, seed=1))
    bias = np.array([i % 3 / 2 for i in range(300)], dtype=np.float32) if offsets else None
    ids, scores = index.search_vectors(queries, 7)
    wanted_ids, wanted_scores = exact_search(queries, encoder.encode_labels(texts), 7, offsets=bias)
    np.testing.assert_array_equal(ids, wanted_ids)
    np.testing.assert_allclose(scores, wanted_scores)
    assert index.manifest.offset_dimension is offsets


@pytest.mark.parametrize("factory", ["IVF4,Flat", "HNSW8", "PCA2,Flat"])
def test_other_factories_train_build_and_find(make_encoder, tmp_path, factory):
    encoder = make_encoder()
    LabelIndex.build(encoder, numbers(300), factory=factory, progress=False).save(tmp_path / "index")
    index = LabelIndex.load(tmp_path / "index", encoder)
    ids, _ = index.search(["2 2 2"], k=5)
    assert (ids >= 0).all() and len(set(ids[0].tolist())) == 5


def test_saved_and_loaded_gives_the_same(index, make_encoder, tmp_path):
    index.save(tmp_path / "index")
    first = tmp_path / "index" / "generation-000001"
    assert sorted(p.name for p in (tmp_path / "index").iterdir()) == ["current.json", first.name]
    assert sorted(p.name for p in first.iterdir()) == ["index.faiss", "labels.parquet", "manifest.json"]
    loaded = LabelIndex.load(tmp_path / "index", make_encoder())
    assert loaded.hits("3 1 2", k=4) == index.hits("3 1 2", k=4)
    content = json.loads((first / "manifest.json").read_text())
    expected = {"dimension": 3, "count": 4, "factory": "Flat", "normalised": True, "metric": "inner_product"}
    assert content.items() >= expected.items()
    with pytest.raises(XMCError, match="overwrite"):
        index.save(tmp_path / "index")
    index.save(tmp_path / "index", overwrite=True)


def test_chunks_give_the_same_index(index, make_encoder, monkeypatch):
    monkeypatch.setattr("xmc.retrieval.index_labels.CHUNK", 3)
    chunked = LabelIndex.build(make_encoder(), LABELS, uids=UIDS, progress=False)
    assert chunked.hits("3 1 2", k=4) == index.hits("3 1 2", k=4)


def test_another_model_is_refused_with_both_fingerprints(index, make_encoder, tmp_path):
    index.save(tmp_path / "index")
    other = make_encoder("ffffffffffffffff")
    for attempt in (
        lambda: LabelIndex.load(tmp_path / "index", other),
        lambda: index.search("1 0 0", 1, other),
    ):
        with pytest.raises(IndexMismatchError, match="0123456789abcdef.*ffffffffffffffff"):
            attempt()


def test_without_a_model_only_vectors_can_be_searched(index, tmp_path):
    index.save(tmp_path / "index")
    loaded = LabelIndex.load(tmp_path / "index")
    assert loaded.search_vectors(np.array([[0, 1, 0]], dtype=np.float32), 1)[0].tolist() == [[1]]
    with pytest.raises(ModelError, match="does not know where its model is"):
        loaded.search("1 0 0")


@pytest.fixture
def no_static_model(monkeypatch):
    monkeypatch.setattr("xmc.encoders.StaticQueries.load", lambda place, checked=False: None)


@pytest.mark.usefixtures("no_static_model")
def test_the_index_finds_its_model_also_after_both_were_moved(make_encoder, tmp_path, monkeypatch):
    (tmp_path / "run" / "model").mkdir(parents=True)
    opened = []

    def load(place):
        opened.append(str(place))
        return make_encoder()

    monkeypatch.setattr("xmc.encoders.DualEncoder.load", load)
    built = LabelIndex.build(tmp_path / "run" / "model", LABELS, uids=UIDS, progress=False)
    built.save(tmp_path / "run" / "index")
    (tmp_path / "run").rename(tmp_path / "moved")
    loaded = LabelIndex.load(tmp_path / "moved" / "index")
    assert loaded.hits("0 1 0", k=1)[0].uid == "b"
    assert opened[-1] == str(tmp_path / "moved" / "model")


@pytest.mark.usefixtures("no_static_model")
def test_a_model_that_was_moved_alone_is_asked_for(make_encoder, tmp_path, monkeypatch):
    def load(place):
        raise ModelError("no such folder")

    monkeypatch.setattr("xmc.encoders.DualEncoder.load", lambda place: make_encoder())
    LabelIndex.build("run", LABELS, progress=False).save(tmp_path / "index")
    loaded = LabelIndex.load(tmp_path / "index")
    monkeypatch.setattr("xmc.encoders.DualEncoder.load", load)
    with pytest.raises(ModelError, match=r"built with the model run, .* \(no such folder\); if it was moved"):
        loaded.hits("0 1 0")


@pytest.mark.usefixtures("no_static_model")
def test_a_change_with_the_models_new_place_remembers_it(make_encoder, tmp_path, monkeypatch):
    def load(place):
        if not Path(place).exists():
            raise ModelError("no such folder")
        return make_encoder()

    monkeypatch.setattr("xmc.encoders.DualEncoder.load", load)
    (tmp_path / "run").mkdir()
    LabelIndex.build(tmp_path / "run", LABELS, uids=UIDS, progress=False).save(tmp_path / "index")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    with LabelIndex.edit(tmp_path / "index", tmp_path / "elsewhere") as index:
        index.add(["1 1 1"], ["new"])
    assert LabelIndex.load(tmp_path / "index").hits("0 1 0", k=1)[0].uid == "b"


@pytest.mark.usefixtures("no_static_model")
def test_a_models_place_is_that_at_the_build(make_encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("xmc.encoders.DualEncoder.load", lambda place: make_encoder())
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    built = LabelIndex.build("run", LABELS, progress=False)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    built.save(tmp_path / "index")
    assert LabelIndex.load(tmp_path / "index").model_place == str(tmp_path / "run")


def test_damage_is_named(index, tmp_path):
    folder = tmp_path / "index"
    for name, text in (
        ("index.faiss", "damaged"),
        ("labels.parquet", "damaged"),
        ("manifest.json", "manifest"),
        ("../current.json", "the pointer of a label index"),
    ):
        index.save(folder, overwrite=True)
        file = generation(folder) / name
        file.write_bytes(file.read_bytes()[:-20])
        with pytest.raises(DataError, match=text):
            LabelIndex.load(folder)
        if name != "../current.json":
            file.unlink()
            with pytest.raises(DataError, match=name):
                LabelIndex.load(folder)
    index.save(folder, overwrite=True)
    assert len(LabelIndex.load(folder)) == 4
    with pytest.raises(DataError, match="xmc index"):
        LabelIndex.load(tmp_path / "nowhere")


def test_a_damaged_file_is_not_given_to_faiss(index, tmp_path, monkeypatch):
    folder = tmp_path / "index"
    index.save(folder)
    file = generation(folder) / "index.faiss"
    file.write_bytes(file.read_bytes()[:-1])
    monkeypatch.setattr("xmc.retrieval.stores.faiss_store.read_index", None)
    with pytest.raises(DataError, match="index.faiss is damaged or was replaced"):
        LabelIndex.load(folder)


def test_a_file_faiss_cannot_read_is_explained_even_if_its_checksum_fits(index, tmp_path):
    from xmc.files import sha256_file

    folder = tmp_path / "index"
    index.save(folder)
    inner = generation(folder)
    (inner / "index.faiss").write_bytes(b"nonsense")
    content = json.loads((inner / "manifest.json").read_text())
    content["checksums"]["index.faiss"] = sha256_file(inner / "index.faiss")
    (inner / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="expected a FAISS index"):
        LabelIndex.load(folder)


def test_a_failed_save_leaves_nothing(index, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("xmc.retrieval.stores.faiss_store.write_index", fail)
    with pytest.raises(KeyboardInterrupt):
        index.save(tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("factory", ["Flat", "IVF2,Flat"])
def test_labels_are_added_and_removed_without_changing_other_ids(make_encoder, tmp_path, factory):
    encoder = make_encoder(offsets=dict(zip(UIDS, [2.0, 4.0, 6.0, 0.0], strict=True)), scale=2.0)
    index = LabelIndex.build(encoder, LABELS, uids=UIDS, factory=factory, progress=False)
    assert index.add(["0 5 0"], ["new"]).tolist() == [4]
    index.remove(["b"])
    index.save(tmp_path / "index")
    loaded = LabelIndex.load(tmp_path / "index", encoder)
    assert len(loaded) == 4
    hits = loaded.hits("0 1 0", k=5)
    assert [(hit.label, hit.uid, hit.score) for hit in hits] == [
        (4, "new", 5 + 1.5),  # the median of 2, 4, 6, 0 over the scale
        (2, "c", 3.0),
        (0, "a", 1.0),
        (3, "a again", 0.0),
    ]
    assert loaded.add(["0 1 0"], ["b"]).tolist() == [5]


def test_bad_additions_and_removals_change_nothing(index):
    with pytest.raises(DataError, match="'b' again"):
        index.add(["1 1 1", "0 1 0"], ["new", "b"])
    with pytest.raises(DataError, match="'nobody'"):
        index.remove(["a", "nobody"])
    assert len(index) == 4 and index.hits("9 9 9", 9)[0].score == 9


def test_labels_can_be_added_after_all_were_removed(make_encoder, tmp_path):
    index = LabelIndex.build(make_encoder(), LABELS, uids=UIDS, progress=False)
    index.remove(UIDS)
    assert index.add(["0 1 0", "1 0 0"], ["new", "newer"]).tolist() == [4, 5]
    assert [hit.uid for hit in index.hits("1 2 0", k=3)] == ["new", "newer"]
    index.save(tmp_path / "index")
    assert len(LabelIndex.load(tmp_path / "index")) == 2


@pytest.mark.parametrize(
    ("labels", "options", "error", "text"),
    [
        (LABELS, {"factory": "IVF256,Flat"}, ConfigError, "4 labels are too few"),
        (LABELS, {"factory": "Fast"}, ConfigError, "factory string such as Flat"),
        (LABELS, {"uids": ["a", "a", "b", "c"]}, DataError, "'a' again"),
        (LABELS, {"uids": ["a"]}, DataError, "1 uids and 4 texts"),
        ([], {}, DataError, "at least one label"),
        (["nan 0 0"], {}, ModelError, "diverged"),
    ],
)
def test_bad_builds_are_explained(make_encoder, labels, options, error, text):
    with pytest.raises(error, match=text):
        LabelIndex.build(make_encoder(), labels, progress=False, **options)


def test_one_text_in_is_one_out(index):
    ids, scores = index.search("1 2 0", 3)
    many = index.search(["1 2 0"], 3)
    assert ids.shape == scores.shape == (3,)
    np.testing.assert_array_equal([ids, scores], [many[0][0], many[1][0]])
    vector = np.array([1, 2, 0], dtype=np.float32)
    np.testing.assert_array_equal(index.search_vectors(vector, 3), [ids, scores])
    assert index.add("0 7 0", uids="camping tent").tolist() == [4]
    assert index.hits("0 1 0", 1)[0].uid == "camping tent"
    index.remove("camping tent")
    assert len(index) == 4 and index.hits("0 1 0", 1)[0].uid == "b"


def test_of_single_texts_that_are_too_long_the_first_is_told(static_folder, caplog):
    encoder = DualEncoder.build(EncoderConfig(str(static_folder), kind="static", query_length=4))
    index, long = LabelIndex.build(encoder, ["bird", "red bird"]), "red bird " * 4
    with caplog.at_level("WARNING"):
        for _ in range(3):
            index.search(long, 1)
        assert len(caplog.records) == 1 and "1 of 1 query has more tokens" in caplog.text
        index.search([long, "bird", long], 1)
    assert len(caplog.records) == 2 and "2 of 3 queries have more tokens" in caplog.text


def test_arrays_and_iterators_of_texts(make_encoder):
    index = LabelIndex.build(make_encoder(), np.array(LABELS), uids=np.array(UIDS), progress=False)
    assert index.texts == LABELS and index.uids == UIDS
    index.add((text for text in ["5 5 5"]), uids=iter(["new"]))
    assert [hits[0].uid for hits in index.hits(np.array(["1 1 1", "0 1 2"], dtype=object), 1)] == ["new"] * 2


@pytest.mark.parametrize("texts", ["", " \n", ["1 0 0", ""]])
def test_an_empty_search_is_refused(index, texts):
    with pytest.raises(DataError, match="an empty one at position"):
        index.hits(texts)
    with pytest.raises(DataError, match="an empty one at position"):
        index.search(texts)


@pytest.mark.parametrize("texts", [None, 7, b"1 0 0", ["1 0 0", None], {"1 0 0": 1}, np.zeros(3)])
def test_what_is_no_text_is_refused(index, make_encoder, texts):
    for attempt in (
        lambda: index.hits(texts),
        lambda: index.add(texts, ["x", "y"]),
        lambda: index.add(["1 1 1", "2 2 2"], texts),
        lambda: index.remove(texts),
    ):
        with pytest.raises(DataError, match="expected (a uid|uids|labels|queries)"):
            attempt()
    assert len(index) == 4
    with pytest.raises(DataError, match="expected"):
        LabelIndex.build(make_encoder(), LABELS[:2], uids=[1, 2] if texts is None else texts, progress=False)


def test_a_string_for_a_list_of_uids_is_not_read_as_letters(index, make_encoder):
    with pytest.raises(DataError, match="one string 'abcd'"):
        LabelIndex.build(make_encoder(), LABELS, uids="abcd", progress=False)
    for texts, uids in ((["1 0 0", "2 0 0"], "xy"), ("1 0 0", ["x"])):
        with pytest.raises(DataError, match="expected a text and its uid, or a list of texts and a list"):
            index.add(texts, uids)


def test_bad_searches_are_explained(index):
    for k in (1.5, "3", None, True):
        with pytest.raises(ConfigError, match="k to be at least 1 and whole"):
            index.search_vectors(np.ones((1, 3), dtype=np.float32), k)
    with pytest.raises(ConfigError, match="k to be at least 1"):
        index.search("1 0 0", k=0)
    with pytest.raises(ConfigError, match=r"\[N, 3\]"):
        index.search_vectors(np.ones((1, 4), dtype=np.float32), 1)
    assert index.search([], k=2)[0].shape == (0, 2)


def test_a_data_set_brings_its_uids(make_encoder, tmp_path):
    with DatasetWriter(tmp_path / "data", name="tiny") as writer:
        for uid, text in zip(UIDS, LABELS, strict=True):
            writer.add_label(uid, text)
        writer.add_row("train", "q", "1 0 0", "", [0])
    index = LabelIndex.build(make_encoder(), tmp_path / "data", progress=False)
    assert list(index.uids) == UIDS and list(index.texts) == LABELS
    with pytest.raises(ConfigError, match="uids only with a list of texts"):
        LabelIndex.build(make_encoder(), tmp_path / "data", uids=UIDS, progress=False)


def test_only_an_index_is_overwritten(index, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat").touch()
    with pytest.raises(XMCError, match="something else, which is left alone"):
        index.save(tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos" / "cat").is_file()
    for _ in range(2):
        index.save(tmp_path / "index", overwrite=True)


def test_a_factory_string_is_explained_without_the_place_in_faiss(make_encoder):
    with pytest.raises(ConfigError, match="got 'Flatt': could not parse index string Flatt"):
        LabelIndex.build(make_encoder(), LABELS, factory="Flatt", progress=False)


def _manifest_with(index, folder, **changes):
    index.save(folder)
    file = generation(folder) / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"count": "3"}, "count: expected a whole number"),
        ({"count": 2**40}, "1099511627776 labels"),
        ({"dimension": 0}, "labels of 0 numbers"),
        ({"scale": float("nan")}, "scale: expected a finite number"),
        ({"ranking": "luck"}, "ranking: expected score or magnitude"),
        ({"model": 3}, "model: expected a text"),
        ({"checksums": ["index.faiss"]}, "checksums: expected a mapping"),
        ({"checksums": {"../../etc/passwd": "0"}}, "plain file names"),
        ({"kind": "swift"}, "kind 'swift'"),
        ({"next_slot": -2}, "next_slot -2"),
        ({"search": {"nprobe": 0}}, "search"),
    ],
)
def test_values_of_other_types_in_the_manifest_are_named(index, tmp_path, changes, said):
    _manifest_with(index, tmp_path / "index", **changes)
    with pytest.raises(DataError, match=rf"manifest.json: expected .*{said}.*build the index again"):
        LabelIndex.load(tmp_path / "index")


def test_a_file_that_is_a_link_out_of_the_folder(index, tmp_path):
    folder = tmp_path / "index"
    index.save(folder)
    inner = generation(folder)
    (inner / "labels.parquet").rename(tmp_path / "labels.parquet")
    (inner / "labels.parquet").symlink_to(tmp_path / "labels.parquet")
    with pytest.raises(DataError, match="leads out of the folder"):
        LabelIndex.load(folder)


def test_a_label_table_with_missing_or_repeated_uids(tmp_path):
    columns = {"uid": ["a", "b"], "text": ["x", "y"], "removed": [False, False], "slot": [0, 1]}
    for change, said in (
        ({"uid": ["a", None]}, "missing"),
        ({"uid": ["a", "a"]}, "twice"),
        ({"text": [1, 2]}, "int64"),
    ):
        pq.write_table(pa.table({**columns, **change}), tmp_path / "labels.parquet")
        with pytest.raises(DataError, match=f"labels.parquet: expected the label table of an index .*{said}"):
            LabelTable.read(tmp_path / "labels.parquet")
    pq.write_table(
        pa.table({**columns, "uid": ["a", "a"], "removed": [True, False]}), tmp_path / "labels.parquet"
    )
    assert len(LabelTable.read(tmp_path / "labels.parquet")) == 1


def test_an_index_that_promises_more_than_its_file_holds(tmp_path):
    faiss = pytest.importorskip("faiss")
    if not hasattr(faiss, "set_deserialization_vector_byte_limit"):
        pytest.skip("before FAISS 1.14")
    from xmc.retrieval.faiss_index import read_index

    made = faiss.IndexFlatIP(4)
    made.add(np.ones((8, 4), dtype=np.float32))
    faiss.write_index(made, str(tmp_path / "index.faiss"))
    data = (tmp_path / "index.faiss").read_bytes()
    count = (8 * 4).to_bytes(8, "little")  # of 4-byte codes, before the vectors
    assert data.count(count) == 1
    (tmp_path / "index.faiss").write_bytes(data.replace(count, (1 << 32).to_bytes(8, "little")))
    before = faiss.get_deserialization_vector_byte_limit()
    with pytest.raises(DataError, match="expected a FAISS index that can be read"):
        read_index(tmp_path / "index.faiss")
    assert faiss.get_deserialization_vector_byte_limit() == before


def test_an_index_of_ids_that_no_label_has(index, tmp_path):
    index._changes.store.index.add_with_ids(np.ones((1, 3), dtype=np.float32), np.array([10**9]))
    with pytest.raises(DataError, match="the index names label 1000000000"):
        index.hits("1 1 1", 10)
