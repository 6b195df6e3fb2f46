"""Lists found by rounded vectors are those of float32 to the last bit, whatever the vectors."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.errors import ModelError
from xmc.retrieval import exact, exact_search, rounded_search
from xmc.retrieval.rounded_search import RoundedSearch, _Rounding, rounding_pays
from xmc.retrieval.tiled_search import TiledSearch, exact_product


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks of queries and several tiles of labels, as of a large search."""
    monkeypatch.setattr(exact, "_tile_shape", lambda num_queries, *_: (min(num_queries, 80), 1920))


class Seen:
    """What a search by rounded vectors did."""

    def __init__(self) -> None:
        self.blocks = 0
        self.scored: list[int] = []
        """Labels that were scored again in float32, of each block."""
        self.again = 0
        """Queries that were searched for among all labels."""
        self.paid: list[bool] = []


def assert_same_as_in_float32(queries, labels, k, **options) -> Seen:
    """Assert that the lists are equal, and tell how they were found."""
    seen, best, look = Seen(), RoundedSearch.best, TiledSearch.look_through

    def counted(self, block, exclude, floor=None):
        seen.blocks += 1
        lists = best(self, block, exclude, floor)
        seen.paid.append(self.pays)
        return lists

    def looked(self, block, depth, exclude, floor=None, product=exact_product):
        if seen.blocks and product is exact_product:
            if len(self.labels) < len(labels):
                seen.scored.append(len(self.labels))
            elif len(seen.paid) < seen.blocks:
                seen.again += len(block)
        return look(self, block, depth, exclude, floor, product)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exact, "rounding_pays", lambda *_: True)
        patched.setattr(RoundedSearch, "best", counted)
        patched.setattr(TiledSearch, "look_through", looked)
        got = exact_search(queries, labels, k, **options)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exact, "rounding_pays", lambda *_: False)
        wanted = exact_search(queries, labels, k, **options)
    np.testing.assert_array_equal(got[0], wanted[0])
    np.testing.assert_array_equal(got[1].view(np.int32), wanted[1].view(np.int32))
    assert seen.blocks
    return seen


def normals(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def test_few_labels_are_scored_again():
    rng = np.random.default_rng(0)
    seen = assert_same_as_in_float32(normals(rng, 160, 64), normals(rng, 40_000, 64), 2)
    assert seen.blocks == 2 and seen.again == 0 and seen.paid == [True, True]
    assert all(160 <= scored < 4_000 for scored in seen.scored) and len(seen.scored) == 2


@settings(max_examples=60, deadline=None)
@given(
    st.integers(64, 170),
    st.integers(2_000, 5_000),
    st.sampled_from([1, 3, 80]),
    st.sampled_from([1, 7, 96]),
    st.sampled_from(["normal", "clustered", "nearly equal", "few values", "long and short", "torch"]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_lists_are_equal_to_the_last_bit(num_queries, num_labels, k, dimension, kind, with_extras, seed):
    rng = np.random.default_rng(seed)
    queries, labels = normals(rng, num_queries, dimension), normals(rng, num_labels, dimension)
    if kind == "clustered":
        # All of a cluster are among the best of the same queries.
        labels = labels[rng.integers(0, 20, num_labels)] + 0.05 * labels
    elif kind == "nearly equal":
        # Rounding tells none from another.
        labels = 1 + 1e-4 * labels
    elif kind == "few values":
        queries, labels = queries.round(), labels.round()
    elif kind == "long and short":
        labels *= np.exp(3 * normals(rng, num_labels, 1))
        queries *= np.exp(3 * normals(rng, num_queries, 1))
    offsets = exclude = None
    if with_extras:
        offsets = 3 * normals(rng, num_labels)
        offsets[rng.random(num_labels) < 0.1] = -np.inf
        exclude = sp.random(num_queries, num_labels, 0.2, "csr", rng=rng).astype(bool)
    given_ = torch.from_numpy(labels) if kind == "torch" else labels
    assert_same_as_in_float32(queries, given_, k, offsets=offsets, exclude=exclude)


def test_labels_that_rounding_does_not_tell_apart_are_searched_as_ever():
    """And the blocks after the first are not tried."""
    rng = np.random.default_rng(1)
    seen = assert_same_as_in_float32(normals(rng, 200, 8), 1 + 1e-4 * normals(rng, 3_000, 8), 5)
    assert seen.blocks == 1 and seen.paid == [False] and seen.again == 80


def test_a_query_that_most_labels_suit_alike_is_searched_for_alone():
    rng = np.random.default_rng(2)
    queries, labels = normals(rng, 80, 64), normals(rng, 30_000, 64)
    # All labels have the same score for it but for what rounding loses.
    labels[:, 0], queries[7] = 1 + 1e-5 * rng.random(30_000), 0
    queries[7, 0] = 1
    seen = assert_same_as_in_float32(queries, labels, 2)
    assert seen.again == 1 and len(seen.scored) == 1 and seen.paid == [True]


def test_queries_with_fewer_labels_than_asked_for():
    rng = np.random.default_rng(3)
    kept = rng.random((80, 9_000)) < 0.0005
    kept[:40] = True
    seen = assert_same_as_in_float32(
        normals(rng, 80, 64), normals(rng, 9_000, 64), 9, exclude=sp.csr_matrix(~kept)
    )
    assert 35 <= seen.again <= 40


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e18, 3e19])
def test_numbers_at_the_ends_of_what_there_is(size):
    """Products that vanish, or are infinite."""
    rng = np.random.default_rng(4)
    assert_same_as_in_float32(size * normals(rng, 80, 32), size * normals(rng, 3_000, 32), 5)


def test_numbers_that_rounding_makes_infinite():
    rng = np.random.default_rng(5)
    labels = normals(rng, 3_000, 2)
    labels[:] = 0
    labels[np.arange(0, 3_000, 7), 0] = np.float32(3.4e38)
    labels[np.arange(0, 3_000, 5), 1] = np.float32(3.3e38)
    queries = np.tile(np.float32([[1, 0], [0, 1], [1, -1], [-1, 1]]), (20, 1))
    assert assert_same_as_in_float32(queries, labels, 5).paid == [False]


def misled() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A query, the label that suits it best, and one whose rounded score is better by twice the bound."""
    query = np.ones(256, dtype=np.float32)
    query[128:] = -1
    down, up = np.float32(1 + 2.0**-8 - 2.0**-20), np.float32(1 + 2.0**-8 + 2.0**-20)
    best, other = np.full(256, up), np.full(256, down)
    best[:128], other[:128] = down, up
    # Exact scores of nearly 0, rounded ones of -1 and 1.
    other[0] -= 2.0**-11
    return query, best, other


def test_the_best_label_may_be_the_worst_when_rounded():
    query, best, other = misled()
    labels = np.tile(-query, (2_000, 1))
    labels[100], labels[101:110] = best, other
    seen = assert_same_as_in_float32(np.tile(query, (80, 1)), labels, 1)
    assert seen.again == 0
    assert exact_search(query[None], labels, 1)[0] == 100


def test_the_best_label_may_be_below_the_first_guess_when_rounded():
    """The sample holds all labels whose rounded score is good."""
    query, best, other = misled()
    labels = np.tile(-query, (2_000, 1))
    labels[::32] = other
    labels[100] = best
    seen = assert_same_as_in_float32(np.tile(query, (80, 1)), labels, 1)
    assert seen.again == 80
    assert exact_search(query[None], labels, 1)[0] == 100


def half_way() -> tuple[np.ndarray, np.ndarray]:
    """Two labels [64] for a query of ones: the first is better, and rounding makes it the worse one."""
    better, worse = np.full(64, 4.0155, np.float32), np.full(64, 4.0, np.float32)
    better[63], worse[63] = 3.25, 4.125
    return better, worse


@pytest.mark.parametrize(("by_query", "by_label"), [(2.0**-76, 1), (1, 2.0**-80), (2.0**30, 2.0**-80)])
def test_vectors_so_short_that_their_squares_vanish(by_query, by_label):
    better, worse = half_way()
    labels = np.ones((20_000, 64), np.float32)
    labels[100], labels[200] = worse, better
    labels *= np.float32(by_label)
    queries = np.full((80, 64), by_query, np.float32)
    assert_same_as_in_float32(queries, labels, 1)
    assert exact_search(queries[:1], labels, 1)[0] == 200


def test_a_label_of_no_number_that_is_left_out_hides_no_other():
    better, worse = half_way()
    labels = np.ones((20_000, 64), np.float32)
    labels[100], labels[200], labels[7] = worse, better, np.nan
    exclude = sp.csr_matrix((np.ones(80, bool), (np.arange(80), np.full(80, 7))), shape=(80, 20_000))
    queries = np.ones((80, 64), np.float32)
    assert_same_as_in_float32(queries, labels, 1, exclude=exclude)
    assert exact_search(queries, labels, 1, exclude=exclude)[0][0] == 200


def test_many_products_that_vanish_each():
    """Of 4,096 products of 2^-126 a processor may leave out all."""
    labels = np.zeros((3_000, 4_096), np.float32)
    labels[10] = 0.992 * 2.0**-63
    labels[20, 0] = 0.9 * 4_096 * 0.992 * 2.0**-63
    assert_same_as_in_float32(np.full((80, 4_096), 0.992 * 2.0**-63, np.float32), labels, 1)


def test_labels_that_score_no_number_are_named_as_ever(monkeypatch):
    monkeypatch.setattr(exact, "rounding_pays", lambda *_: True)
    labels = np.ones((3_000, 2), dtype=np.float32)
    labels[2000] = np.nan
    with pytest.raises(ModelError, match="labels 1920 to 3000 score NaN"):
        exact_search(np.ones((80, 2)), labels, 5)


def test_under_autocast():
    rng = np.random.default_rng(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same_as_in_float32(normals(rng, 80, 64), normals(rng, 9_000, 64), 3)


class TestTheBound:
    @staticmethod
    def wrong_and_bound(queries, labels, bias=None):
        """Largest difference of a query's scores from those of doubles, and what was said of it."""
        buffer = torch.empty(len(queries), len(labels))
        rounding = _Rounding(buffer)
        rounding(queries, labels, buffer)
        rounding.done()
        scores = queries.double() @ labels.double().T
        added = torch.zeros(len(labels)) if bias is None else bias
        wrong = (buffer + added).double() - (scores + added.double())
        largest = (buffer + added).abs().max(1).values
        return wrong.abs().max(1).values, rounding.error(queries, largest, float(added.abs().max()))

    @pytest.mark.parametrize("dimension", [1, 16, 384, 2048])
    @pytest.mark.parametrize("bias", [0.0, 1.0, 1000.0])
    @pytest.mark.parametrize("size", [1e-4, 1.0])
    def test_holds_for_any_numbers(self, dimension, bias, size):
        generator = torch.Generator().manual_seed(dimension)
        queries, labels = (torch.randn(n, dimension, generator=generator) for n in (64, 500))
        labels *= size * torch.randn(500, 1, generator=generator).exp()
        given_ = bias * torch.randn(500, generator=generator)
        wrong, bound = self.wrong_and_bound(queries, labels, given_)
        assert (wrong <= bound).all()

    def test_is_not_much_more_than_the_worst_there_is(self):
        """Every component is cut by nearly half a unit of eight bits, all the same way."""
        worst = torch.full((64, 256), 1 + 2.0**-8 - 2.0**-20)
        wrong, bound = self.wrong_and_bound(worst, worst)
        # 256 (2 / 256 + 1 / 65536), and the result may be cut by as much again.
        assert (wrong > 2).all() and (wrong <= bound).all() and (bound < 2 * wrong).all()

    def test_results_are_rounded_too(self):
        """Vectors that eight bits hold, whose product they do not."""
        queries, labels = torch.full((64, 1), 1 + 2.0**-7), torch.full((64, 1), 1 + 2.0**-7)
        wrong, bound = self.wrong_and_bound(queries, labels)
        assert (wrong > 0).all() and (wrong <= bound).all()

    def test_a_bias_may_hide_how_large_a_result_was(self):
        ones = torch.ones(64, 1)
        rounding = _Rounding(torch.empty(64, 64))
        rounding(257 * ones, ones, torch.empty(64, 64))
        # 257 is 256 or 258 in eight bits, and 0 with the bias, or nearly.
        assert (rounding.error(256 * ones, torch.zeros(64), 257.0) >= 1).all()

    def test_numbers_that_may_be_taken_for_nothing(self):
        queries, labels = torch.full((64, 256), 1e-39), torch.ones(64, 256)
        rounding = _Rounding(torch.empty(64, 64))
        rounding(queries, labels, torch.empty(64, 64))
        assert (rounding.error(queries, torch.zeros(64), 0.0) >= 256e-39).all()

    def test_a_label_of_no_number_leaves_no_bound(self):
        labels = torch.ones(1_100, 4)
        labels[600] = torch.nan
        rounding = _Rounding(torch.empty(64, 1_100))
        rounding(torch.ones(64, 4), labels, torch.empty(64, 1_100))
        rounding(torch.ones(64, 4), torch.ones(64, 4), torch.empty(64, 64))
        assert (rounding.error(torch.ones(64, 4), torch.zeros(64), 0.0) == torch.inf).all()

    def test_nothing_is_known_of_products_that_are_nearly_infinite(self):
        rounding, large = _Rounding(torch.empty(64, 64)), torch.full((64, 1), 1e19)
        rounding(large, large, torch.empty(64, 64))
        assert (rounding.error(large, torch.zeros(64), 0.0) == torch.inf).all()

    @pytest.mark.parametrize("side", [0, 1])
    def test_counts_the_rounding_of_either_side(self, side):
        exact_, cut = torch.ones(64, 32), torch.full((64, 32), 1 + 2.0**-8 - 2.0**-20)
        given_ = (cut, exact_) if side == 0 else (exact_, cut)
        wrong, bound = self.wrong_and_bound(*given_)
        assert (wrong > 0.12).all() and (wrong <= bound).all()

    def test_is_of_the_label_that_is_moved_farthest_in_whatever_tile(self):
        buffer = torch.empty(64, 64)
        rounding, queries = _Rounding(buffer), torch.ones(64, 4)
        rounding(queries, torch.full((64, 4), 1 + 2.0**-8 - 2.0**-20), buffer)
        rounding(queries, torch.ones(64, 4), buffer)
        first = rounding.error(queries, torch.zeros(64), 0.0)
        rounding.done()
        # Labels come again with each block, and are not measured again.
        rounding(queries, 100 * torch.ones(64, 4), buffer)
        assert (first > 4 * 2.0**-8).all()
        assert torch.equal(rounding.error(queries, torch.zeros(64), 0.0), first)


class TestWhereItIsUsed:
    SHAPE = 1024, 1_000_000, 384, 100

    @pytest.fixture(autouse=True)
    def fresh(self):
        asked = rounded_search._has_matrix_units
        asked.cache_clear()
        yield
        asked.cache_clear()

    @pytest.fixture
    def units(self, monkeypatch):
        monkeypatch.setattr(rounded_search, "_has_matrix_units", lambda: True)

    def test_many_labels_on_a_cpu_with_matrix_units(self, units):
        assert rounding_pays(*self.SHAPE, torch.device("cpu"))

    @pytest.mark.parametrize(
        "shape",
        [
            (1024, 800_000, 384, 100),
            (1024, 1_000_000, 32, 100),
            (1024, 1_000_000, 384, 200),
            (256, 1_000_000, 384, 1),
        ],
    )
    def test_not_where_most_would_be_scored_twice(self, units, shape):
        assert not rounding_pays(*shape, torch.device("cpu"))

    def test_not_on_other_devices(self, units):
        assert not rounding_pays(*self.SHAPE, torch.device("meta"))

    def test_not_on_a_cpu_without(self, monkeypatch):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert not rounding_pays(*self.SHAPE, torch.device("cpu"))

    @pytest.mark.parametrize("sums_in", [torch.float32, torch.bfloat16])
    def test_units_that_sum_in_few_bits_are_found_out(self, sums_in, monkeypatch):
        def product(left, right):
            # Term by term.
            total = torch.zeros(len(left), right.shape[1], dtype=sums_in)
            for column in range(left.shape[1]):
                total = total + torch.outer(left[:, column].to(sums_in), right[column].to(sums_in))
            return total.bfloat16()

        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
        monkeypatch.setattr(torch, "mm", product)
        assert rounded_search._has_matrix_units() == (sums_in == torch.float32)

    def test_a_large_search_takes_it(self, units, monkeypatch):
        """By the search's own rule, nothing forced."""
        rng = np.random.default_rng(7)
        called = []
        best = RoundedSearch.best
        monkeypatch.setattr(
            RoundedSearch, "best", lambda self, *a: called.append(len(a[0])) or best(self, *a)
        )
        monkeypatch.setattr(exact, "_tile_shape", lambda num_queries, *_: (min(num_queries, 512), 1920))
        queries, labels = normals(rng, 540, 64), normals(rng, 60_000, 64)
        ids, _ = exact_search(queries, labels, 1)
        # The 28 that are left are few.
        assert called == [512]
        np.testing.assert_array_equal(ids[:, 0], (queries @ labels.T).argmax(1))
