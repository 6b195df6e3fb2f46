from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.errors import ConfigError, ModelError
from xmc.retrieval import exact, exact_search
from xmc.retrieval.exact import _memory_of, _tile_shape
from xmc.retrieval.likely_floor import sample_stride
from xmc.retrieval.tiled_search import TiledSearch


def oracle(queries, labels, k, exclude=None, offsets=None):
    """One query and one label at a time."""
    ids, scores = [], []
    for n, query in enumerate(queries):
        ranked = []
        for label, embedding in enumerate(labels):
            if exclude is not None and exclude[n, label]:
                continue
            score = float(sum(a * b for a, b in zip(query, embedding, strict=True)))
            score += 0.0 if offsets is None else float(offsets[label])
            if score > -np.inf:
                ranked.append((-score, label))
        best = sorted(ranked)[:k]
        ids.append([label for _, label in best] + [-1] * (k - len(best)))
        scores.append([-score for score, _ in best] + [-np.inf] * (k - len(best)))
    return np.array(ids).reshape(-1, k), np.array(scores).reshape(-1, k)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 40),
    st.integers(1, 45),
    st.integers(0, 2**31),
    st.booleans(),
    st.sampled_from([1, 400, 10**7]),
)
def test_equals_the_oracle_with_many_ties(num_queries, num_labels, k, seed, with_extras, memory_bytes):
    rng = np.random.default_rng(seed)
    queries = rng.integers(-1, 2, (num_queries, 3)).astype(np.float32)
    labels = rng.integers(-1, 2, (num_labels, 3)).astype(np.float32)
    exclude = sp.random(num_queries, num_labels, 0.3, "csr", rng=rng).astype(bool) if with_extras else None
    offsets = rng.integers(-1, 2, num_labels).astype(np.float32) if with_extras else None
    ids, scores = exact_search(
        queries, labels, k, exclude=exclude, offsets=offsets, memory_bytes=memory_bytes
    )
    wanted_ids, wanted_scores = oracle(
        queries, labels, k, None if exclude is None else exclude.toarray(), offsets
    )
    assert ids.dtype == np.int32 and scores.dtype == np.float32
    np.testing.assert_array_equal(ids, wanted_ids)
    np.testing.assert_array_equal(scores, wanted_scores)


def test_several_label_tiles_give_what_one_gives(monkeypatch):
    rng = np.random.default_rng(0)
    queries = rng.integers(-1, 2, (7, 4)).astype(np.float32)
    labels = rng.integers(-1, 2, (101, 4)).astype(np.float32)
    exclude = sp.random(7, 101, 0.2, "csr", rng=rng).astype(bool)
    whole = exact_search(queries, labels, 9, exclude=exclude)
    monkeypatch.setattr("xmc.retrieval.exact._tile_shape", lambda *_: (3, 13))
    tiles = exact_search(queries, labels, 9, exclude=exclude)
    np.testing.assert_array_equal(whole[0], tiles[0])
    np.testing.assert_array_equal(whole[1], tiles[1])


def test_all_labels_equal_come_in_order_of_id():
    ids, scores = exact_search(np.ones((2, 3)), np.ones((500, 3)), 5)
    np.testing.assert_array_equal(ids, [[0, 1, 2, 3, 4]] * 2)
    np.testing.assert_array_equal(scores, np.full((2, 5), 3.0))


def test_torch_tensors_and_memory_maps_give_the_same(tmp_path):
    rng = np.random.default_rng(1)
    queries, labels = rng.normal(size=(5, 8)).astype(np.float32), rng.normal(size=(50, 8)).astype(np.float32)
    np.save(tmp_path / "labels.npy", labels)
    expected = exact_search(queries, labels, 4)
    parameter = torch.nn.Parameter(torch.from_numpy(labels))
    for other in (
        exact_search(torch.from_numpy(queries), parameter, 4),
        exact_search(queries, np.load(tmp_path / "labels.npy", mmap_mode="r"), 4),
    ):
        np.testing.assert_array_equal(expected[0], other[0])


def test_false_entries_of_the_exclusion_exclude_nothing():
    exclude = sp.csr_matrix((np.array([False, True]), ([0, 0], [1, 2])), shape=(1, 3))
    assert exact_search(np.ones((1, 1)), np.ones((3, 1)), 3, exclude=exclude)[0].tolist() == [[0, 1, -1]]


def test_an_offset_of_minus_infinity_keeps_a_label_out():
    ids, _ = exact_search(np.ones((1, 1)), np.ones((3, 1)), 3, offsets=np.array([0.0, -np.inf, 1.0]))
    assert ids.tolist() == [[2, 0, -1]]


def test_k_of_a_narrow_type():
    ids, _ = exact_search(np.ones((2, 3)), np.ones((300, 3)), np.uint8(5))
    assert ids.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_no_queries_and_no_labels():
    assert exact_search(np.ones((0, 2)), np.ones((3, 2)), 2)[0].shape == (0, 2)
    assert exact_search(np.ones((2, 2)), np.ones((0, 2)), 2)[0].tolist() == [[-1, -1]] * 2


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"k": 0}, ConfigError, "k to be at least 1"),
        ({"labels": np.ones((3, 5))}, ConfigError, r"got \(2, 2\) and \(3, 5\)"),
        ({"offsets": np.ones(4)}, ConfigError, "offset for each of 3 labels"),
        ({"exclude": sp.csr_matrix((2, 4), dtype=bool)}, ConfigError, r"exclude to be \(2, 3\)"),
        ({"queries": np.full((2, 2), np.nan)}, ModelError, "diverged"),
        ({"offsets": np.array([0, np.nan, 0])}, ModelError, "diverged"),
    ],
)
def test_bad_input_is_explained(arguments, error, text):
    given_ = {"queries": np.ones((2, 2)), "labels": np.ones((3, 2)), "k": 1} | arguments
    with pytest.raises(error, match=text):
        exact_search(**given_)


@pytest.mark.parametrize("dimension", [5, 96])
def test_scores_have_the_same_bits_whatever_the_tiles(dimension, monkeypatch):
    """Random numbers, no ties: another order of summing would show."""
    rng = np.random.default_rng(3)
    queries = rng.normal(size=(150, dimension)).astype(np.float32)
    labels = rng.normal(size=(1100, dimension)).astype(np.float32)
    whole = exact_search(queries, labels, 30)
    for tile_labels, block, rows in (
        (1000, 150, 150),
        (1099, 149, 150),
        (77, 1, 150),
        (31, 64, 150),
        (1, 7, 36),
    ):
        shape = block, max(tile_labels, 31)
        monkeypatch.setattr("xmc.retrieval.exact._tile_shape", lambda *_, shape=shape: shape)
        tiles = exact_search(queries[:rows], labels, 30)
        np.testing.assert_array_equal(whole[0][:rows], tiles[0])
        np.testing.assert_array_equal(whole[1][:rows], tiles[1])


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((10_000, 1_000_000, 100, 1024 * 4096), (1024, 63 * 64)),
        ((10_000, 300, 100, 1024 * 4096), (1024, 300)),
        ((20, 1_000_000, 100, 1024 * 4096), (20, 1023 * 64)),
        ((10_000, 1_000_000, 5_000, 1024 * 4096), (838, 5_001)),
        ((10_000, 1_000_000, 100, 0), (1, 101)),
        ((0, 0, 5, 1024), (1, 1)),
    ],
)
def test_tiles_stay_within_their_scores_and_have_more_than_k_labels(sizes, expected):
    """Widths are odd numbers of chunks."""
    assert _tile_shape(*sizes) == expected


def test_labels_that_score_no_number_are_named(monkeypatch):
    monkeypatch.setattr("xmc.retrieval.exact._tile_shape", lambda *_: (3, 128))
    labels = np.ones((400, 2), dtype=np.float32)
    labels[300] = np.nan
    with pytest.raises(ModelError, match="labels 256 to 384 score NaN"):
        exact_search(np.ones((2, 2)), labels, 5)


@pytest.mark.parametrize(("gib", "mb"), [(4, 256), (24, 1_536), (141, 4_096)])
def test_memory_that_is_not_said_fits_the_device(gib, mb, monkeypatch):
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=gib << 30)
    )
    assert _memory_of(torch.device("cuda", 0)) == mb << 20
    assert _memory_of(torch.device("cpu")) == 256 << 20


def test_labels_in_rising_order_of_score_are_all_found(monkeypatch):
    monkeypatch.setattr("xmc.retrieval.exact._tile_shape", lambda *_: (3, 128))
    labels = np.arange(1000, dtype=np.float32)[:, None]
    ids, _ = exact_search(np.array([[1.0], [-1.0], [0.0]]), labels, 3)
    assert ids.tolist() == [[999, 998, 997], [0, 1, 2], [0, 1, 2]]


def test_memory_does_not_grow_with_queries_or_labels():
    from xmc.bench.resources import peak_extra_bytes

    queries, labels = torch.randn(3000, 8), torch.randn(40_000, 8)
    exact_search(queries[:100], labels, 10)
    extra = peak_extra_bytes(lambda: exact_search(queries, labels, 10, memory_bytes=16 << 20))
    # All scores are 480 MB.
    assert extra is None or extra < 60 << 20


def test_memory_of_rounded_vectors_does_not_grow_with_the_labels(monkeypatch):
    from xmc.bench.resources import peak_extra_bytes

    monkeypatch.setattr(exact, "rounding_pays", lambda *_: True)
    queries, labels = torch.randn(512, 256), torch.randn(60_000, 256)
    exact_search(queries, labels[:5_000], 1)
    extra = peak_extra_bytes(lambda: exact_search(queries, labels, 1))
    # A float32 copy of all labels is 61 MB, and a tile of scores 16 MB.
    assert extra is None or extra < 60 << 20


class TestTheSample:
    """From 64 queries on a sample of the labels says what need not be looked at."""

    @staticmethod
    def again(monkeypatch, *given_, **options):
        """How many queries had to be searched for again; lists are asserted to be those without a sample."""
        searched = []
        best = TiledSearch.best

        def counted(self, queries, exclude, floor=None):
            searched.append((len(queries), floor is not None))
            return best(self, queries, exclude, floor)

        with monkeypatch.context() as patched:
            patched.setattr(TiledSearch, "best", counted)
            got = exact_search(*given_, **options)
        assert any(sampled for _, sampled in searched)
        with monkeypatch.context() as patched:
            patched.setattr(exact, "_SAMPLED_FROM", 10**9)
            wanted = exact_search(*given_, **options)
        np.testing.assert_array_equal(got[0], wanted[0])
        np.testing.assert_array_equal(got[1], wanted[1])
        return sum(count for count, sampled in searched if not sampled)

    def test_lists_are_the_same_and_hardly_one_is_made_twice(self, monkeypatch):
        rng = np.random.default_rng(0)
        queries, labels = (rng.normal(size=(n, 8)).astype(np.float32) for n in (2000, 20_000))
        assert self.again(monkeypatch, queries, labels, 10) <= 4

    def test_with_pairs_left_out_and_offsets(self, monkeypatch):
        rng = np.random.default_rng(1)
        queries, labels = (rng.normal(size=(n, 8)).astype(np.float32) for n in (100, 9_000))
        offsets = rng.normal(size=9_000).astype(np.float32)
        offsets[rng.random(9_000) < 0.5] = -np.inf
        exclude = sp.random(100, 9_000, 0.4, "csr", rng=rng).astype(bool)
        assert self.again(monkeypatch, queries, labels, 10, exclude=exclude, offsets=offsets) <= 1

    def test_where_most_of_a_query_s_labels_are_left_out(self, monkeypatch):
        """The sample knows of those left out: of 9,000 labels all but 300 are."""
        rng = np.random.default_rng(2)
        queries, labels = (rng.normal(size=(n, 8)).astype(np.float32) for n in (70, 9_000))
        kept = sp.csr_matrix(np.broadcast_to(np.arange(9_000) % 30 == 7, (70, 9_000)))
        exclude = sp.csr_matrix(~kept.toarray())
        assert self.again(monkeypatch, queries, labels, 10, exclude=exclude) <= 1

    def test_a_sample_that_misleads_costs_time_alone(self, monkeypatch):
        """Each label of the sample is better than all others, and some are left out."""
        rng = np.random.default_rng(3)
        queries, labels = np.ones((70, 1), np.float32), rng.random((5_000, 1)).astype(np.float32)
        labels[:: sample_stride(5_000, 100)] += 1
        exclude = sp.random(70, 5_000, 0.5, "csr", rng=rng).astype(bool)
        assert self.again(monkeypatch, queries, labels, 100, exclude=exclude) == 70

    def test_equal_scores_at_the_floor(self, monkeypatch):
        rng = np.random.default_rng(4)
        queries = rng.integers(-1, 2, (80, 3)).astype(np.float32)
        labels = rng.integers(-2, 3, (8_000, 3)).astype(np.float32)
        assert self.again(monkeypatch, queries, labels, 50) > 0

    def test_a_block_of_one_query_whose_products_overflow(self, monkeypatch):
        """A product of one row may take another kernel, in which what is infinite here is no number."""
        rng = np.random.default_rng(0)
        queries, labels = ((rng.normal(size=(n, 32)) * 1e19).astype(np.float32) for n in (1025, 2000))
        assert self.again(monkeypatch, queries, labels, 5) >= 1
        assert exact_search(queries, labels, 5)[0][-1].tolist() == [0, 2, 3, 4, 5]

    def test_scores_are_not_rounded_under_autocast(self, monkeypatch):
        """The best label is above the others by less than bfloat16 tells, and comes late."""
        labels = np.zeros((20_000, 1), dtype=np.float32)
        labels[1:12_000:2] = 1.005
        labels[::32] = 0
        labels[15_001] = 1.006
        with torch.autocast("cpu", dtype=torch.bfloat16):
            self.again(monkeypatch, np.ones((70, 1), dtype=np.float32), labels, 3)
            assert exact_search(np.ones((70, 1)), labels, 3)[0][0].tolist() == [15_001, 1, 3]

    def test_a_sample_that_does_not_fit_the_memory_is_left_out(self, monkeypatch):
        rng = np.random.default_rng(5)
        queries, labels = (rng.normal(size=(n, 8)).astype(np.float32) for n in (100, 9_000))
        expected = exact_search(queries, labels, 10)
        monkeypatch.setattr(exact, "likely_floor", lambda *_: pytest.fail("a sample was scored"))
        got = exact_search(queries, labels, 10, memory_bytes=100 * 128 * 13)
        np.testing.assert_array_equal(got[0], expected[0])

    def test_labels_that_score_no_number_are_named_as_without(self):
        labels = np.ones((9_000, 2), dtype=np.float32)
        labels[64 * 3] = np.nan
        with pytest.raises(ModelError, match="labels 0 to 9000 score NaN"):
            exact_search(np.ones((70, 2)), labels, 5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_equals_cpu():
    rng = np.random.default_rng(2)
    queries = rng.integers(-1, 2, (33, 4)).astype(np.float32)
    labels = rng.integers(-1, 2, (3000, 4)).astype(np.float32)
    expected = exact_search(queries, labels, 10)
    got = exact_search(queries, torch.from_numpy(labels).cuda(), 10)
    np.testing.assert_array_equal(expected[0], got[0])
