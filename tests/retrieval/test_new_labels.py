"""Labels added to an index by text and support queries: old scores keep their bits, nothing is half added."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from tests.retrieval.test_kinds import CHOICES
from xmc.data import DatasetWriter
from xmc.data.tables import Columns
from xmc.errors import ConfigError, DataError
from xmc.retrieval import LabelIndex
from xmc.retrieval.new_labels import Support, add_labels, read_support

UIDS, TEXTS = ["n1", "n2", "n3"], ["0 0 2", "0 2 0", "2 0 0"]


@pytest.fixture
def index(make_encoder):
    return built(make_encoder, 50)


def built(make_encoder, count, **options):
    generator = np.random.default_rng(0)
    texts = [" ".join(map(str, row)) for row in generator.standard_normal((count, 3)).round(3).tolist()]
    offsets = {str(i): float(i % 4) for i in range(count)}
    return LabelIndex.build(make_encoder(offsets=offsets), texts, progress=False, **options)


@pytest.fixture
def support():
    """Query 0 has n1 and four others, query 1 n1 and n2."""
    return Support(["4 0 0", "0 4 0"], sp.csr_matrix([[1, 0, 0], [1, 1, 0]]), np.array([5, 2]))


def scores(index, queries):
    """Of every label by its id, for each query."""
    ids, found = index.search_vectors(queries, len(index))
    return np.take_along_axis(found, np.argsort(ids, axis=1), axis=1)


def test_scores_of_the_old_labels_keep_their_bits(index, support):
    queries = np.random.default_rng(1).standard_normal((40, 3)).astype(np.float32)
    before = scores(index, queries)
    assert add_labels(index, TEXTS, UIDS, support).tolist() == [50, 51, 52]
    np.testing.assert_array_equal(scores(index, queries)[:, :50].view(np.int32), before.view(np.int32))


# Codes of PQ3x4 are of three dimensions, and with an offset each vector has four.
@pytest.mark.parametrize(("kind", "options"), [choice for choice in CHOICES if choice[0] != "PQ3x4"])
def test_scores_of_old_labels_that_are_found_keep_their_bits_in_every_kind(
    kind, options, make_encoder, support
):
    index = built(make_encoder, 400, kind=kind, **options)
    queries = np.random.default_rng(1).standard_normal((30, 3)).astype(np.float32)
    before = index.search_vectors(queries, 40)
    add_labels(index, TEXTS, UIDS, support)
    after = index.search_vectors(queries, 43)
    found = 0
    for old_ids, old, new_ids, new in zip(*before, *after, strict=True):
        kept = dict(zip(new_ids.tolist(), new.view(np.int32).tolist(), strict=True))
        pairs = [
            (kept[label], score)
            for label, score in zip(old_ids.tolist(), old.view(np.int32).tolist(), strict=True)
            if label >= 0 and label in kept
        ]
        assert all(one == other for one, other in pairs)
        found += len(pairs)
    assert found >= 0.9 * (before[0] >= 0).sum() > 0


def test_a_vector_is_text_and_queries_by_k0_with_the_usual_offset(index, support):
    add_labels(index, TEXTS, UIDS, support, k0=2.0)
    # This index's vectors are no unit vectors, so neither are means. The offsets' median is 1, the scale 2.
    mean = (np.array([4, 0, 0]) / 5 + np.array([0, 4, 0]) / 2) / (1 / 5 + 1 / 2)
    wanted = [(np.array([0, 0, 2]) + mean) / 2, np.array([0, 4 / 3 + 4 / 3, 0]), np.array([2, 0, 0])]
    found = scores(index, np.eye(3, dtype=np.float32))[:, 50:].T
    np.testing.assert_allclose(found - 0.5, wanted, atol=1e-6)


def test_without_support_it_is_the_text(index, make_encoder, support):
    nothing = Support([], sp.csr_matrix((0, 3)), np.zeros(0, dtype=np.int64))
    add_labels(index, TEXTS, UIDS, nothing)
    queries = np.eye(3, dtype=np.float32)
    with_text = scores(index, queries)
    index.remove(UIDS)
    add_labels(index, TEXTS, UIDS)
    np.testing.assert_array_equal(scores(index, queries)[:, 50:], with_text[:, 50:])


def test_nothing_is_added_when_one_cannot_be(index, support):
    with pytest.raises(DataError, match="'7' again"):
        add_labels(index, TEXTS, ["n1", "7", "n3"], support)
    with pytest.raises(ConfigError, match=r"support \[2, 2\]"):
        add_labels(index, TEXTS[:2], UIDS[:2], support)
    with pytest.raises(ConfigError, match="k0"):
        add_labels(index, TEXTS, UIDS, support, k0=-1.0)
    assert len(index) == 50 and "7" in index and "n1" not in index


def test_support_from_a_table_of_clicks(tmp_path):
    table = tmp_path / "clicks.csv"
    table.write_text("query,label\nred tent,n1\nred tent,n2\nred tent,other\nlantern,other\n")
    found = read_support(table, UIDS)
    assert list(found.queries) == ["red tent", "lantern"]
    assert found.relevance.toarray().tolist() == [[1, 1, 0], [0, 0, 0]]
    assert found.num_positives.tolist() == [3, 1]
    table.write_text("Suchwort,Artikel\nred tent,n1\n")
    found = read_support(table, UIDS, columns=Columns(query="Suchwort", label="Artikel"))
    assert list(found.queries) == ["red tent"] and found.relevance.toarray().tolist() == [[1, 0, 0]]
    table.write_text("query,label\nlantern,other\n")
    with pytest.raises(DataError, match="some of the 3 labels to add, got none"):
        read_support(table, UIDS)
    with pytest.raises(ConfigError, match="does not exist"):
        read_support(tmp_path / "gone.csv", UIDS)


def test_support_from_a_data_set_as_the_model_reads_it(tmp_path):
    with DatasetWriter(tmp_path / "data", name="shop") as writer:
        for uid, title in (("old", "n1"), ("n2", "stove"), ("n1", "tent")):
            writer.add_label(uid, title, f"about {title}")
        writer.add_row("train", "q0", "camp", "far away", [0, 1, 2], [1.0, 2.0, 3.0])
        writer.add_row("train", "q1", "cook", "", [0])
        writer.add_row("test", "q2", "hike", "", [2])
    found = read_support(tmp_path / "data", UIDS, ["title"])
    assert found.queries[:] == ["camp", "cook"] and found.num_positives.tolist() == [3, 1]
    assert (found.relevance.toarray() != 0).tolist() == [[True, True, False], [False] * 3]
    assert read_support(tmp_path / "data", UIDS).queries[0] == "camp far away"
