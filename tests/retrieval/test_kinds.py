"""Every kind of index: what it finds, its scores, and that a removed label is never found again."""

from __future__ import annotations

import numpy as np
import pytest

from xmc.errors import ConfigError, DataError
from xmc.retrieval import LabelIndex, exact_search
from xmc.retrieval.kinds import KINDS, choose_kind
from xmc.retrieval.stores.faiss_store import FaissStore

COUNT = 400
CHOICES = [
    ("exact", {}),
    ("exact", {"storage": "float16"}),
    ("exact", {"storage": "int8"}),
    ("flat", {}),
    ("ivf", {}),
    ("hnsw", {}),
    ("ivfpq", {}),
    ("ivfpq", {"refine": True}),
    ("sq8", {}),
    ("sq8", {"refine": True, "storage": "float16"}),
    ("binary", {}),
    ("binary", {"storage": "int8"}),
    ("fastscan", {}),
    ("fastscan", {"storage": "float16"}),
    ("PCA2,Flat", {}),
    ("SQ8,RFlat", {}),
    ("IDMap2,IVF4,Flat", {}),
    ("PQ3x4", {}),
]
EXACT = [
    ("exact", {}),
    ("flat", {}),
    ("ivf", {}),
    ("hnsw", {}),
    ("ivfpq", {"refine": True}),
    ("binary", {}),
    ("fastscan", {}),
    ("IVF4,Flat", {}),
]
pytestmark = pytest.mark.filterwarnings("ignore")


def texts(count: int = COUNT, seed: int = 0) -> list[str]:
    rows = np.random.default_rng(seed).normal(size=(count, 3)).round(3).tolist()
    return [" ".join(map(str, row)) for row in rows]


@pytest.fixture(params=[False, True], ids=["plain", "offsets"])
def encoder(request, make_encoder):
    learned = {str(i): float(i % 7) / 3 for i in range(COUNT)} if request.param else None
    return make_encoder(offsets=learned)


def exact_lists(encoder, count=COUNT, k=10):
    """What an exact search of the labels finds for 20 queries."""
    queries = encoder.encode_queries(texts(20, seed=1))
    learned = encoder.label_offsets
    offsets = None if learned is None else np.asarray(learned.offsets / encoder.metadata.scale, np.float32)
    return queries, *exact_search(queries, encoder.encode_labels(texts(count)), k, offsets=offsets)


@pytest.mark.parametrize(("kind", "options"), CHOICES)
def test_a_removed_label_is_never_found_again(make_encoder, tmp_path, kind, options):
    encoder = make_encoder()
    index = LabelIndex.build(encoder, texts(), kind=kind, progress=False, **options)
    queries = encoder.encode_queries(texts(5, seed=1))
    gone: set[int] = set()
    for round_ in range(3):
        found = index.search_vectors(queries, 5)[0]
        gone |= set(found[found >= 0].tolist())
        index.remove([index.uids[label] for label in set(found.ravel().tolist()) - {-1}])
        if round_ == 1:
            index.save(tmp_path / "index")
            index = LabelIndex.load(tmp_path / "index", encoder)
        ids, scores = index.search_vectors(queries, COUNT)
        assert not gone & set(ids.ravel().tolist())
        assert ((ids >= 0).sum(axis=1) <= COUNT - len(gone)).all() and np.isneginf(scores[ids < 0]).all()
        # Lists that are not looked into hold some back; whatever scores every vector gives all that is left.
        if "ivf" not in kind.lower() and kind != "hnsw":
            assert (ids >= 0).sum(axis=1).tolist() == [COUNT - len(gone)] * len(queries)
    assert len(index) == COUNT - len(gone)
    assert index.add("9 9 9", "new").tolist() == [COUNT]
    assert index.hits("1 1 1", COUNT)[0].uid == "new"


@pytest.mark.parametrize(("kind", "options"), EXACT)
def test_scores_of_an_exact_kind_are_the_inner_products(encoder, kind, options):
    index = LabelIndex.build(encoder, texts(), kind=kind, progress=False, **options)
    queries, best, scores = exact_lists(encoder)
    index.tune(**{name: 400 for name in index._changes.store.knobs()})  # look at everything
    ids, found = index.search_vectors(queries, 10)
    assert index.manifest.exact_scores
    np.testing.assert_array_equal(ids, best)
    np.testing.assert_allclose(found, scores, rtol=1e-6, atol=1e-6)


def test_every_exact_kind_gives_the_same_bits_whatever_is_asked_with_it(make_encoder):
    encoder = make_encoder()
    queries = encoder.encode_queries(texts(40, seed=1))
    lists = []
    for kind, options in EXACT:
        index = LabelIndex.build(encoder, texts(), kind=kind, progress=False, **options)
        index.tune(**{name: 400 for name in index._changes.store.knobs()})
        ids, scores = index.search_vectors(queries, 7)
        one = index.search_vectors(queries[3], 7)
        assert ids[3].tolist() == one[0].tolist() and scores[3].tobytes() == one[1].tobytes()
        lists.append((ids.tobytes(), scores.tobytes()))
    assert len(set(lists)) == 1


@pytest.mark.parametrize("kind", ["exact", "flat", "hnsw", "binary", "fastscan", "sq8"])
def test_one_query_alone_finds_what_it_finds_among_others(make_encoder, kind):
    """Of whole numbers, so that many scores are equal, and with labels removed."""
    encoder = make_encoder()
    labels = [" ".join(map(str, row)) for row in np.random.default_rng(0).integers(-2, 3, (300, 3)).tolist()]
    index = LabelIndex.build(encoder, labels, kind=kind, progress=False)
    queries = encoder.encode_queries(texts(5, seed=1) + labels[:10])
    for gone in ([], range(0, 300, 7)):
        index.remove([str(i) for i in gone])
        for k in (1, 7, 290):
            ids, scores = index.search_vectors(queries, k)
            for row, query in enumerate(queries):
                one = index.search_vectors(query, k)
                assert one[0].tolist() == ids[row].tolist() and one[1].tobytes() == scores[row].tobytes()


@pytest.mark.parametrize(("kind", "options"), EXACT)
def test_an_added_label_changes_no_score(make_encoder, kind, options):
    encoder = make_encoder()
    index = LabelIndex.build(encoder, texts(), kind=kind, progress=False, **options)
    index.tune(**{name: 400 for name in index._changes.store.knobs()})
    queries = encoder.encode_queries(texts(30, seed=1))
    before = index.search_vectors(queries, COUNT)
    index.add(texts(7, seed=2), [f"new {i}" for i in range(7)])
    ids, scores = index.search_vectors(queries, COUNT + 7)
    old = (ids >= 0) & (ids < COUNT)
    for row in range(len(queries)):
        assert ids[row][old[row]].tolist() == before[0][row].tolist()
        assert scores[row][old[row]].tobytes() == before[1][row].tobytes()


def test_half_precision_and_bytes_are_near_and_say_so(encoder):
    queries, best, scores = exact_lists(encoder)
    for storage, least, size in (("float16", 0.95, 2), ("int8", 0.9, 1)):
        index = LabelIndex.build(encoder, texts(), kind="exact", storage=storage, progress=False)
        ids, found = index.search_vectors(queries, 10)
        recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(ids, best, strict=True)])
        assert recall >= least and not index.manifest.exact_scores
        assert np.abs(found - scores).max() < 0.1 and index._changes.store._codes.itemsize == size


def test_offsets_are_not_rounded_with_the_vectors(make_encoder):
    offsets = {str(i): 2.0 * (1 + i * 1e-6) for i in range(30)}
    encoder = make_encoder(offsets=offsets, scale=2.0)
    index = LabelIndex.build(encoder, ["0 0 0"] * 30, kind="exact", storage="int8", progress=False)
    assert index.search("1 1 1", 5)[0].tolist() == [29, 28, 27, 26, 25]


def test_halves_of_characters_are_refused_before_anything_changes(make_encoder, tmp_path):
    index = LabelIndex.build(make_encoder(), ["1 2 3", "3 2 1"], uids=["a", "b"], progress=False)
    for change in (
        lambda: index.search("1 2 \ud800", 1),
        lambda: index.add(["1 2 \ud800"], ["c"]),
        lambda: index.add(["1 1 1"], ["c\ud800"]),
        lambda: index.add_vectors(np.ones((1, 3), dtype=np.float32), ["c"], ["\ud800"]),
    ):
        with pytest.raises(DataError, match="whole Unicode characters, got .* at position 0"):
            change()
    index.save(tmp_path / "index")
    assert len(LabelIndex.load(tmp_path / "index", make_encoder())) == 2


def test_a_mapped_index_finds_the_same_and_is_not_changed(make_encoder, tmp_path):
    encoder = make_encoder()
    for kind, options in (
        *(("exact", {"storage": "int8"}), ("exact", {}), ("flat", {}), ("hnsw", {}), ("fastscan", {})),
        *(("ivf", {}), ("ivf", {"refine": True}), ("IVF2,Flat", {}), ("IVF2,SQfp16", {}), ("binary", {})),
        *(("IVF2_HNSW8,Flat", {}), ("sq8", {"refine": True})),
    ):
        built = LabelIndex.build(encoder, texts(), kind=kind, progress=False, **options)
        built.save(tmp_path / "index", overwrite=True)
        for verify in (True, False):
            index = LabelIndex.load(tmp_path / "index", encoder, mapped=True, verify=verify)
            assert index.hits("1 2 3", 4) == built.hits("1 2 3", 4)
        for change in (lambda i=index: i.add("1 1 1", "x"), lambda i=index: i.remove("0")):
            with pytest.raises(ConfigError, match="mapped"):
                change()


@pytest.mark.parametrize(
    ("kind", "width", "count", "factory"),
    [
        ("exact", 384, 10, ""),
        ("flat", 384, 10, "Flat"),
        ("ivf", 384, 20, "IVF1,Flat"),
        ("ivf", 384, 30_125, "IVF512,Flat"),
        ("ivf", 384, 1_000_000, "IVF2048,Flat"),
        ("ivfpq", 385, 30_125, "Pad392,IVF512,PQ49"),
        ("ivfpq", 384, 30_125, "IVF512,PQ48"),
        ("hnsw", 384, 10, "HNSW32"),
        ("fastscan", 384, 10, "PQ192x4fs"),
        ("fastscan", 385, 10, "Pad386,PQ193x4fs"),
        ("IVF7,Flat", 384, 10, "IVF7,Flat"),
    ],
)
def test_lists_and_codes_follow_from_the_counts(kind, width, count, factory):
    assert choose_kind(kind, width, count).factory == factory


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("flat", {"storage": "float16"}, "a storage of float16 with an index that is exact"),
        ("exact", {"refine": True}, "no refinement of an exact index"),
        ("exact", {"storage": "int4"}, "float32, float16, int8, got 'int4'"),
        ("fast", {}, "factory string such as Flat"),
    ],
)
def test_kinds_that_cannot_be(make_encoder, kind, options, said):
    with pytest.raises(ConfigError, match=said):
        LabelIndex.build(make_encoder(), texts(50), kind=kind, progress=False, **options)
    assert "exact" in KINDS


def test_what_half_precision_cannot_hold_is_refused(make_encoder):
    with pytest.raises(ConfigError, match="65,504"):
        LabelIndex.build(make_encoder(), ["1e6 0 0"], kind="exact", storage="float16", progress=False)


def test_only_what_an_index_has_can_be_tuned(make_encoder):
    index = LabelIndex.build(make_encoder(), texts(), kind="ivf", progress=False)
    index.tune(nprobe=1)
    with pytest.raises(ConfigError, match="expected nprobe of at least 1 .* got efSearch=3"):
        index.tune(efSearch=3)
    with pytest.raises(ConfigError, match="nprobe=0"):
        index.tune(nprobe=0)
    with pytest.raises(ConfigError, match="nothing to tune"):
        LabelIndex.build(make_encoder(), texts(), kind="exact", progress=False).tune(nprobe=2)


def test_what_was_tuned_is_saved(make_encoder, tmp_path):
    for kind, options, knob in (
        ("ivf", {}, "nprobe"),
        ("hnsw", {}, "efSearch"),
        ("binary", {}, "refine_factor"),
        ("fastscan", {}, "refine_factor"),
        ("SQ8,RFlat", {}, "k_factor"),
    ):
        index = LabelIndex.build(make_encoder(), texts(), kind=kind, progress=False, **options)
        index.tune(**{knob: 3})
        index.save(tmp_path / "index", overwrite=True)
        assert LabelIndex.load(tmp_path / "index")._changes.store.knobs()[knob] == 3


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.filterwarnings("error")
def test_blocks_of_smaller_numbers_and_a_map_of_them_change_no_rank(storage, count, tmp_path, monkeypatch):
    from xmc.retrieval.stores.table import TableStore

    rng = np.random.default_rng(0)
    store = TableStore(8, True, storage)
    store.add(rng.normal(size=(1000, 9)).astype(np.float32))
    queries = rng.normal(size=(count, 9)).astype(np.float32)
    scores = queries @ store.vectors(np.arange(1000)).T
    monkeypatch.setattr("xmc.retrieval.stores.table._BLOCK_BYTES", 4 * 8 * 70)
    store.write(tmp_path)
    for opened in (store, TableStore.read(tmp_path, 8, True, storage, mapped=True)):
        found, slots = opened.nearest(queries, 1000, 1000)
        np.testing.assert_array_equal(np.sort(slots), np.tile(np.arange(1000), (count, 1)))
        np.testing.assert_allclose(found, np.take_along_axis(scores, slots, axis=1), atol=1e-5)


@pytest.mark.parametrize("name", ["vectors.npy", "vector_scales.npy", "vector_offsets.npy"])
def test_arrays_of_another_shape_are_refused(make_encoder, tmp_path, name):
    from xmc.retrieval.stores.table import TableStore

    store = TableStore(3, True, "int8")
    store.add(np.ones((4, 4), dtype=np.float32))
    store.write(tmp_path)
    array = np.load(tmp_path / name)
    np.save(tmp_path / name, array.astype(np.float64))
    with pytest.raises(DataError, match=name):
        TableStore.read(tmp_path, 3, True, "int8")
    np.save(tmp_path / name, array[:, :2] if array.ndim == 2 else array[:2])
    with pytest.raises(DataError, match=name):
        TableStore.read(tmp_path, 3, True, "int8")


def test_a_batch_leaves_the_settings_of_faiss_as_they_were() -> None:
    faiss = pytest.importorskip("faiss")
    store = FaissStore.make(4, "Flat")
    store.add(np.eye(4, dtype=np.float32))
    before = faiss.cvar.distance_compute_blas_threshold
    _, slots = store.nearest(np.eye(4, dtype=np.float32), 1, 1)
    assert slots[:, 0].tolist() == [0, 1, 2, 3] and faiss.cvar.distance_compute_blas_threshold == before
