from __future__ import annotations

import json

import numpy as np
import pytest

from xmc.corpora import CORPORA, build_api_docs
from xmc.corpora.api_docs import is_test
from xmc.errors import DataError, XMCError


@pytest.fixture
def built(package, tmp_path, monkeypatch):
    # Table.tail is the only test point.
    monkeypatch.setattr("xmc.corpora.api_docs.is_test", lambda name: name == "madeup.Table.tail")
    return build_api_docs(tmp_path / "out", packages=[package], progress=False)


def test_rows_labels_texts_and_filters(built):
    assert list(built.uids("labels")) == [
        "madeup.Table", "madeup.Table.head", "madeup.Table.tail", "madeup.sort", "madeup.sorting.order",
    ]  # fmt: skip
    assert list(built.uids("train")) == [
        "madeup.Table", "madeup.Table.head", "madeup.grid", "madeup.sort", "madeup.sorting.order",
    ]  # fmt: skip
    np.testing.assert_array_equal(
        built.relevance("train").toarray(),
        [[0, 0, 0, 1, 0], [0, 0, 1, 0, 1], [1, 0, 0, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 1, 0]],
    )
    np.testing.assert_array_equal(built.relevance("test").toarray(), [[0, 1, 0, 0, 0]])
    own = [[0, 0], [1, 1], [3, 3], [4, 4]]
    np.testing.assert_array_equal(np.argwhere(built.filter("train").toarray()), own)
    np.testing.assert_array_equal(np.argwhere(built.filter("test").toarray()), [[0, 2]])
    assert built.texts("test")[0] == "madeup.Table.tail The last rows."
    assert built.texts("labels")[3] == "madeup.sort Sort x."


def test_a_test_label_unseen_in_training_is_dropped_with_its_point(package, tmp_path, monkeypatch):
    monkeypatch.setattr("xmc.corpora.api_docs.is_test", lambda name: name == "madeup.Table.head")
    built = build_api_docs(tmp_path / "out", packages=[package], progress=False)
    assert "madeup.Table.tail" not in built.uids("labels")
    np.testing.assert_array_equal(built.relevance("test").toarray(), [[0, 0, 0, 1]])
    content = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert content["sources"][0]["test_links_dropped"] == 1
    assert content["sources"][0]["documentation_of"] == {"madeup": "1.2"}


def test_building_twice_gives_the_same(built, package, tmp_path):
    again = build_api_docs(tmp_path / "again", packages=[package], progress=False)
    assert again.fingerprint == built.fingerprint
    with pytest.raises(XMCError, match="overwrite"):
        build_api_docs(tmp_path / "again", packages=[package], progress=False)
    build_api_docs(tmp_path / "again", packages=[package], progress=False, overwrite=True)


def test_documentation_without_references_is_explained(tmp_path):
    with pytest.raises(DataError, match="See Also"):
        build_api_docs(tmp_path / "out", packages=["keyword"], progress=False)
    assert not (tmp_path / "out").exists()


def test_the_split_is_a_fifth_and_depends_on_the_name_alone():
    share = np.mean([is_test(f"package.function_{i}") for i in range(5000)])
    assert 0.17 < share < 0.24
    assert is_test("numpy.sort") == is_test("numpy.sort")


def test_a_real_package(tmp_path):
    built = CORPORA["api-docs"](tmp_path / "out", packages=["numpy"], progress=False)
    assert built.num_train > 500 and built.num_labels > 500
    row = list(built.uids("train") if not is_test("numpy.argsort") else built.uids("test")).index(
        "numpy.argsort"
    )
    split = "test" if is_test("numpy.argsort") else "train"
    labels = {built.uids("labels")[i] for i in built.relevance(split)[row].indices}
    assert {"numpy.lexsort", "numpy.argpartition"} & labels
