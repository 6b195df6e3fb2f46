"""Vectors cut to their first components: by the model, and by its query side without torch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.encoders.test_static_model import saved
from xmc.encoders import DualEncoder, EncoderConfig, LabelResiduals, LabelVectors, StaticQueries
from xmc.encoders.prefixes import check_dimensions, cut, shorter
from xmc.errors import ConfigError, ModelError


def test_a_cut_vector_has_length_one_where_the_whole_has() -> None:
    vectors = np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(cut(vectors, 2, normalised=True), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    np.testing.assert_array_equal(cut(vectors, 2, normalised=False), [[3, 4], [0, 0]])
    np.testing.assert_array_equal(cut(vectors, 3, normalised=True), vectors)
    assert vectors[0, 0] == 3, "what was given is left alone"
    assert shorter([2, 8, 4], 8) == (4, 2) and shorter(None, 8) == ()


@pytest.mark.parametrize("normalize", [True, False])
def test_a_truncated_model_is_a_view_of_the_same_weights(
    static_folder: Path, tmp_path: Path, texts: list[str], normalize: bool
) -> None:
    folder = saved(static_folder, tmp_path / "model", normalize=normalize)
    model = DualEncoder.load(folder, device="cpu")
    model.label_residuals = LabelResiduals(["a"], np.array([0]), np.ones((1, 8), dtype=np.float32))
    view = model.truncated(3)
    assert (view.dimension, view.truncated_to, model.dimension) == (3, 3, 8)
    assert view.fingerprint == model.fingerprint and view.whole is model
    uids = ["a", *"bcdef"]
    for mine, whole in (
        (view.encode_queries(texts), model.encode_queries(texts)),
        (view.encode_labels(texts, uids=uids), model.encode_labels(texts, uids=uids)),
    ):
        np.testing.assert_array_equal(mine, cut(whole, 3, normalised=normalize))
    np.testing.assert_array_equal(view.encode_queries(texts[0]), view.encode_queries(texts)[0])
    assert view.truncated(5).dimension == 5 and view.truncated(5).whole is model
    with pytest.raises(ModelError, match="whole model to save"):
        view.save(tmp_path / "cut")
    plain = StaticQueries.load(folder)
    assert plain is not None
    mine = plain.truncated(3)
    np.testing.assert_allclose(mine.encode_queries(texts), view.encode_queries(texts), atol=1e-6)
    assert (mine.dimension, plain.dimension, mine.fingerprint) == (3, 8, plain.fingerprint)


def test_what_cannot_be_cut_is_refused(static_folder: Path) -> None:
    model = DualEncoder.load(static_folder, device="cpu")
    for wrong in (0, 9):
        with pytest.raises(ConfigError, match="1 to 8 components"):
            model.truncated(wrong)
    model.label_vectors = LabelVectors(["a"], np.ones((1, 8), dtype=np.float32))
    with pytest.raises(ModelError, match="trained vector for each label"):
        model.truncated(3)


def test_the_model_folder_keeps_its_dimensions(static_folder: Path, tmp_path: Path) -> None:
    model = DualEncoder.load(static_folder, device="cpu")
    model.metadata = replace(model.metadata, dimensions=(8, 4))
    model.save(tmp_path / "m")
    assert DualEncoder.load(tmp_path / "m").metadata.dimensions == (8, 4)
    for wrong in ([], [0, 4], ["4"]):
        content = json.loads((tmp_path / "m" / "xmc.json").read_text())
        (tmp_path / "m" / "xmc.json").write_text(json.dumps({**content, "dimensions": wrong}))
        with pytest.raises(ModelError, match="dimensions"):
            DualEncoder.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dimensions": []}, "different numbers"),
        ({"dimensions": [8, 8]}, "different numbers"),
        ({"dimensions": [8, 0]}, "different numbers"),
        ({"dimensions": [8, 4.5]}, "different numbers"),
        ({"dimension_weights": [1.0]}, "dimension_weights only with dimensions"),
        ({"dimensions": [8, 4], "dimension_weights": [1.0]}, "a number for each"),
        ({"dimensions": [8, 4], "dimension_weights": [1.0, 0.0]}, "above 0"),
    ],
)
def test_wrong_dimensions_are_refused(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        EncoderConfig(**options)


def test_all_components_are_among_those_trained() -> None:
    check_dimensions(None, 8)
    check_dimensions([2, 8], 8)
    for wrong in ([4, 2], [16, 8]):
        with pytest.raises(ConfigError, match="expected 8, the components of the model"):
            check_dimensions(wrong, 8)
