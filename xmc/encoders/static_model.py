"""A static model read from its folder with torch, tokenizers and safetensors alone.

Importing sentence-transformers, with transformers and scikit-learn beneath it, takes several times as long
as importing torch, and more than all else that a search with a static model does. What the library saves of
such a model is a tokenizer and a table: this reads the two into the same torch modules, so that a
:class:`~xmc.encoders.tower.Tower` over them gives the same vectors to the last bit. Every other folder is
the library's to open.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from xmc.received import read_json

__all__ = ["StaticModel", "TokenBag", "UnitLength", "read_static"]

_WEIGHT = "embedding.weight"
_INPUT, _OUTPUT = "module_input_name", "module_output_name"
_EMBEDDING = "sentence_embedding"


class TokenBag(nn.Module):
    """The tokenizer and the table [V, D] of a saved ``StaticEmbedding``."""

    saved_as = "StaticEmbedding"

    def __init__(self, tokenizer: Tokenizer, table: Tensor) -> None:
        super().__init__()
        tokenizer.no_padding()  # as the library's module does; where it cuts a text is the model's
        self.tokenizer = tokenizer
        self.embedding = nn.EmbeddingBag.from_pretrained(table, freeze=False)


class UnitLength(nn.Module):
    """What a saved ``Normalize`` does to embeddings."""

    saved_as = "Normalize"

    def get_config_dict(self) -> dict[str, Any]:
        """As the library's module tells it."""
        return {_INPUT: _EMBEDDING, _OUTPUT: _EMBEDDING}

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """The features with embeddings [n, D] of length 1."""
        features[_EMBEDDING] = F.normalize(features[_EMBEDDING], p=2, dim=-1)
        return features


class StaticModel(nn.Module):
    """Two sides of modules, and the prompts of a folder, without the dropout that only acts in training."""

    truncate_dim: int | None = None

    def __init__(self, folder: Path, sides: dict[str, list[nn.Module]], settings: dict[str, Any]) -> None:
        super().__init__()
        self.folder = folder
        self.sides = nn.ModuleDict({name: nn.ModuleList(side) for name, side in sides.items()})
        self.prompts: dict[str, str] = settings.get("prompts") or {}
        self.default_prompt_name: str | None = settings.get("default_prompt_name")
        self.eval()

    def side(self, name: str) -> list[nn.Module]:
        """The modules that "query" or "document" texts go through; the same objects where both share them."""
        return list(cast(nn.ModuleList, self.sides[name]))

    def get_embedding_dimension(self) -> int:
        """D."""
        bag: Any = self.side("query")[0]
        return int(bag.embedding.embedding_dim)


def read_static(folder: Path, device: str | None = None) -> StaticModel | None:
    """The static model of a folder, or None where the folder has anything but what is read here.

    Args:
        folder: Of a saved model.
        device: None takes an accelerator where there is one, as the library does.
    """
    try:
        entries = _json(folder / "modules.json")
        settings = _json(folder / "config_sentence_transformers.json")
        sides = _sides(folder, entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return None  # the library says what is wrong with it
    if sides is None or settings.get("truncate_dim") is not None:
        return None
    return StaticModel(folder, sides, settings).to(device or _best_device())


def _best_device() -> torch.device:
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def _sides(folder: Path, entries: list[dict[str, Any]]) -> dict[str, list[nn.Module]] | None:
    """The modules of "query" and "document", or None where the folder has any but those read here."""
    parts = [(folder / entry["path"], _kind(entry["type"])) for entry in entries]
    if [kind for _, kind in parts] != ["Router"]:
        modules = _modules(parts)
        return None if modules is None else {"query": modules, "document": modules}
    place = parts[0][0]
    router = _json(place / "router_config.json")
    if router["parameters"]["route_mappings"]:
        return None
    sides = {}
    for name in ("query", "document"):
        modules = _modules(
            [(place / part, _kind(router["types"][part])) for part in router["structure"][name]]
        )
        if modules is None:
            return None
        sides[name] = modules
    return sides


def _modules(parts: list[tuple[Path, str]]) -> list[nn.Module] | None:
    """A table, then normalisation where it is saved, of the folder and kind of each; None for other lists."""
    kept = [(place, kind) for place, kind in parts if kind != "Dropout"]
    if [kind for _, kind in kept] not in (["StaticEmbedding"], ["StaticEmbedding", "Normalize"]):
        return None
    place = kept[0][0]
    weights = load_file(place / "model.safetensors")
    if set(weights) != {_WEIGHT}:
        return None
    modules: list[nn.Module] = [
        TokenBag(Tokenizer.from_file(str(place / "tokenizer.json")), weights[_WEIGHT])
    ]
    for place, _ in kept[1:]:
        names = _json(place / "config.json") if (place / "config.json").exists() else {}
        if any((names.get(key) or _EMBEDDING) != _EMBEDDING for key in (_INPUT, _OUTPUT)):
            return None
        modules.append(UnitLength())
    return modules


def _kind(name: str) -> str:
    """``Normalize`` of the dotted name of the library's class; "" for a class of anyone else's."""
    package, _, last = name.rpartition(".")
    return last if package.split(".")[0] == "sentence_transformers" else ""


def _json(file: Path) -> Any:
    return read_json(file)
