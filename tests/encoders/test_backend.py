from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from xmc.encoders import DualEncoder, EncoderConfig
from xmc.encoders.backend import chosen_backend, require_backend
from xmc.errors import ConfigError, ModelError


def test_the_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XMC_BACKEND", raising=False)
    assert chosen_backend(None) == "torch"
    monkeypatch.setenv("XMC_BACKEND", "openvino")
    assert (chosen_backend(None), chosen_backend("onnx")) == ("openvino", "onnx")
    monkeypatch.setenv("XMC_BACKEND", "tensorrt")
    with pytest.raises(
        ConfigError, match="XMC_BACKEND: expected one of torch, onnx, openvino, got 'tensorrt'"
    ):
        chosen_backend(None)


@pytest.mark.parametrize(("backend", "module"), [("onnx", "onnxruntime"), ("openvino", "intel")])
def test_a_package_that_is_missing_is_named(
    backend: str, module: str, static_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xmc.encoders.backend.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=rf"optimum\.{module} .*sentence-transformers\[{backend}\]"):
        DualEncoder.load(static_folder, backend=backend)
    require_backend("torch")


def test_a_static_model_has_nothing_to_compute(static_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmc.encoders.backend.find_spec", lambda name: object())
    with pytest.raises(ModelError, match="got a static model"):
        DualEncoder.load(static_folder, backend="onnx")


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
@pytest.mark.slow
def test_separate_towers_by_openvino(bert_folder: Path, tmp_path: Path, texts: list[str]) -> None:
    """Both towers, of different weights and lengths, give torch's vectors under the same fingerprint."""
    config = EncoderConfig(
        str(bert_folder), kind="transformer", tied=False, query_length=16, label_length=8, dropout=0.1
    )
    built = DualEncoder.build(config).eval()
    for number, parameter in enumerate(built.label_tower.modules[0].parameters()):
        parameter.data += 0.05 * (-1) ** number
    built.save(tmp_path / "model")
    encoder = DualEncoder.load(tmp_path / "model", backend="openvino")
    np.testing.assert_allclose(encoder.encode_queries(texts), built.encode_queries(texts), atol=1e-4)
    np.testing.assert_allclose(encoder.encode_labels(texts), built.encode_labels(texts), atol=1e-4)
    assert abs(encoder.encode_queries(texts) - encoder.encode_labels(texts)).max() > 0.05
    assert encoder.fingerprint == DualEncoder.load(tmp_path / "model").fingerprint
    with pytest.raises(ModelError, match="backend torch"):
        encoder.save(tmp_path / "again")
