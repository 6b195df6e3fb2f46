from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xmc.encoders import DualEncoder, EncoderConfig, LabelResiduals, LabelVectors, encode_texts
from xmc.errors import DataError

TWO = ["the red house", "a bird"]


@pytest.fixture
def encoder(static_folder: Path) -> DualEncoder:
    return DualEncoder.build(EncoderConfig(model=str(static_folder), kind="static"))


def encoders(model: DualEncoder) -> list[Callable[[Any], np.ndarray]]:
    return [
        model.encode_queries,
        model.encode_labels,
        lambda texts: encode_texts(model.query_tower, texts),
    ]


def test_one_text_is_one_vector(encoder: DualEncoder) -> None:
    for encode in encoders(encoder):
        whole = encode(TWO)
        assert whole.shape == (2, encoder.dimension)
        np.testing.assert_allclose(encode("a bird"), whole[1], atol=1e-6)
        assert encode(np.str_("a bird")).shape == (encoder.dimension,)
        assert encode("").shape == (encoder.dimension,)


def test_any_ordered_collection_of_strings(encoder: DualEncoder) -> None:
    pandas = pytest.importorskip("pandas")
    for encode in encoders(encoder):
        whole = encode(TWO)
        for texts in (
            tuple(TWO),
            np.array(TWO),
            np.array(TWO, dtype=object),
            pandas.Series(TWO, index=[7, 3]),
            pandas.Index(TWO),
            iter(TWO),
        ):
            np.testing.assert_array_equal(encode(texts), whole)
        assert encode([]).shape == encode(np.array([], dtype=str)).shape == (0, encoder.dimension)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (b"a bird", "a string, or strings in order such as a list, got bytes b'a bird'"),
        (None, "got NoneType None"),
        (7, "got int 7"),
        (float("nan"), "got float nan"),
        ({"a bird": 1}, "got dict"),
        ({"a bird"}, "got set"),
        (["a bird", None], "to be strings, got NoneType None at position 1"),
        ([b"a bird"], "got bytes b'a bird' at position 0"),
        ([["a bird"]], "got list"),
        (np.array([b"a bird"]), "got bytes"),
        (np.array(["a bird", np.nan], dtype=object), "got float nan at position 1"),
        (np.array([["a bird"]]), r"one dimension, got an array of shape \(1, 1\)"),
        (np.array("a bird"), r"one dimension, got an array of shape \(\)"),
        (range(3), "got int 0 at position 0"),
    ],
)
def test_the_rest_is_refused_by_type(encoder: DualEncoder, texts: object, message: str) -> None:
    for encode in encoders(encoder):
        with pytest.raises(DataError, match=message):
            encode(texts)


def test_the_position_counts_from_the_first_text_of_all(
    encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xmc.encoders.encoding.WINDOW", 2)
    with pytest.raises(DataError, match="at position 3"):
        encoder.encode_queries(["a", "b", "c", None])  # type: ignore[list-item]


def test_uids_go_with_texts(encoder: DualEncoder) -> None:
    eye = np.eye(2, encoder.dimension, dtype=np.float32)
    encoder.label_residuals = LabelResiduals(["first", "second"], np.arange(2), eye)
    whole = encoder.encode_labels(TWO, uids=np.array(["second", "none"]))
    one = encoder.encode_labels(TWO[0], uids="second")
    np.testing.assert_allclose(one, whole[0], atol=1e-6)
    assert not np.allclose(one, encoder.encode_labels(TWO[0]))
    for texts, uids in ((TWO, "ab"), (TWO, ["a"]), ("a bird", ["a"])):
        with pytest.raises(DataError, match="a uid for every text"):
            encoder.encode_labels(texts, uids=uids)
    encoder.label_vectors = LabelVectors(["first", "second"], eye)
    np.testing.assert_array_equal(encoder.encode_labels("", uids="second"), eye[1])
