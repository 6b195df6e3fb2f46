"""Towers of fewer components: folded into the table of a static one, a layer of a transformer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fixtures.libraries import sbert
from xmc.encoders import DualEncoder, EncoderConfig, StaticQueries
from xmc.encoders.projection import principal_directions, spread_sample
from xmc.errors import ConfigError


def test_directions_are_those_of_a_singular_value_decomposition() -> None:
    vectors = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 7)
    found = principal_directions(vectors, 3)
    wanted = torch.linalg.svd(vectors, full_matrices=False).Vh[:3].T
    torch.testing.assert_close(found.abs(), wanted.abs(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.T @ found, torch.eye(3), atol=1e-5, rtol=0)
    assert (found.gather(0, found.abs().argmax(0, keepdim=True)) > 0).all()


def test_a_sample_is_spread_and_holds_no_blanks() -> None:
    assert spread_sample([str(i) for i in range(10)], 4) == ["0", "3", "6", "9"]
    assert spread_sample(["a", " ", "b"], 4) == ["a", "b"]
    assert spread_sample([], 4) == []


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("label_length", [5, 2])
def test_a_static_table_takes_the_map(
    static_folder: Path, tmp_path: Path, texts: list[str], tied: bool, label_length: int
) -> None:
    options = {"kind": "static", "tied": tied, "query_length": 5, "label_length": label_length}
    whole = DualEncoder.build(EncoderConfig(str(static_folder), **options, normalize=False))
    unit = DualEncoder.build(EncoderConfig(str(static_folder), **options))
    made = DualEncoder.build(EncoderConfig(str(static_folder), **options, projection=3), texts)
    sample = torch.from_numpy(unit.encode_queries([text for text in texts if text]))
    mapped = whole.encode_labels(texts) @ principal_directions(sample, 3).numpy()
    wanted = mapped / np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(made.encode_labels(texts), wanted, atol=1e-5)
    assert made.dimension == 3 and made.tied is tied
    assert sum(parameter.numel() for parameter in made.parameters()) == 22 * 3 * (1 if tied else 2)
    made.save(tmp_path / "m")
    read = StaticQueries.load(tmp_path / "m")
    assert read is not None and read.fingerprint == made.fingerprint
    np.testing.assert_allclose(read.encode_queries(texts), made.encode_queries(texts), atol=1e-6)


@pytest.mark.parametrize("tied", [True, False])
def test_a_transformer_gets_a_layer_that_is_trained_and_saved(
    bert_folder: Path, tmp_path: Path, texts: list[str], tied: bool
) -> None:
    options = {"kind": "transformer", "tied": tied, "query_length": 6, "label_length": 6}
    made = DualEncoder.build(EncoderConfig(str(bert_folder), **options, projection=5), texts)
    layers = [p for p in made.parameters() if p.shape == (5, 16)]
    assert len(layers) == (1 if tied else 2) and all(layer.requires_grad for layer in layers)
    vectors = made.encode_queries(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    made.save(tmp_path / "m")
    again = DualEncoder.load(tmp_path / "m", device="cpu")
    assert again.dimension == 5 and again.fingerprint == made.fingerprint
    np.testing.assert_array_equal(again.encode_queries(texts), vectors)
    plain = sbert.SentenceTransformer(str(tmp_path / "m"), device="cpu")
    np.testing.assert_allclose(plain.encode_query(texts), vectors, atol=1e-6)


def test_what_cannot_be_projected_is_refused(static_folder: Path, texts: list[str]) -> None:
    config = EncoderConfig(str(static_folder), kind="static", projection=3)
    with pytest.raises(ConfigError, match="texts to start from"):
        DualEncoder.build(config)
    with pytest.raises(ConfigError, match="fewer components than the 8"):
        DualEncoder.build(EncoderConfig(str(static_folder), kind="static", projection=8), texts)
    with pytest.raises(ConfigError, match="at least 1 component"):
        EncoderConfig(projection=0)
