"""A static model read from its folder, and written to it, with torch, tokenizers and safetensors alone.

What sentence-transformers saves of such a model is a tokenizer and a table: this reads the two into modules
that give the same vectors to the last bit, and writes a folder that the library opens. Every other folder is
the library's to open.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn

from xmc.encoders.static_modules import EMBEDDING, BagDropout, TokenBag, UnitLength
from xmc.received import read_json

__all__ = ["PROMPTS", "Modules", "StaticModel", "read_static", "write_static"]

Modules = list[nn.Module]

PROMPTS = {"query": "", "document": ""}
"""What the library begins with, before a folder says otherwise."""

_WEIGHT = "embedding.weight"
_TEXT = "sentence_transformers.sentence_transformer.modules"
_BASE = "sentence_transformers.base.modules"
_CLASSES = {
    "StaticEmbedding": f"{_TEXT}.static_embedding.StaticEmbedding",
    "Dropout": f"{_TEXT}.dropout.Dropout",
    "Normalize": f"{_BASE}.normalize.Normalize",
    "Router": f"{_BASE}.router.Router",
}
_ORDERS = [["StaticEmbedding", *rest] for rest in ([], ["Dropout"], ["Normalize"], ["Dropout", "Normalize"])]


class StaticModel(nn.Module):
    """Two sides of modules, and the prompts and the similarity of a folder.

    Args:
        sides: Modules of "query" and "document" texts; the same objects where both share them.
        prompts: Texts put before a text, by name.
        default_prompt_name: Of the prompt where none is asked for.
        similarity: Which the library's ``similarity`` takes, "cosine" or "dot".
    """

    truncate_dim: int | None = None

    def __init__(
        self,
        sides: dict[str, Modules],
        prompts: dict[str, str],
        default_prompt_name: str | None = None,
        similarity: str = "cosine",
    ) -> None:
        super().__init__()
        self.sides = nn.ModuleDict({name: nn.ModuleList(side) for name, side in sides.items()})
        self.prompts = prompts
        self.default_prompt_name = default_prompt_name
        self.similarity = similarity

    def side(self, name: str) -> Modules:
        """The modules that "query" or "document" texts go through; the same objects where both share them."""
        return list(cast(nn.ModuleList, self.sides[name]))

    @property
    def is_one(self) -> bool:
        """Whether both sides go through the same modules."""
        query, label = self.side("query"), self.side("document")
        return len(query) == len(label) and all(a is b for a, b in zip(query, label, strict=True))

    def num_bytes(self) -> int:
        """Bytes of the weights of its folder, in which two tokenizers have a table each."""
        sides = [self.side("query")] if self.is_one else [self.side("query"), self.side("document")]
        modules = {id(module): module for side in sides for module in side}.values()
        return sum(4 * p.numel() for module in modules for p in module.state_dict().values())

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
        entries = read_json(folder / "modules.json")
        settings = read_json(folder / "config_sentence_transformers.json")
        sides = _sides(folder, entries)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return None  # the library says what is wrong with it
    if sides is None or settings.get("truncate_dim") is not None:
        return None
    model = StaticModel(
        sides,
        {**PROMPTS, **(settings.get("prompts") or {})},
        settings.get("default_prompt_name"),
        settings.get("similarity_fn_name") or "cosine",
    )
    return model.to(device or _best_device()).eval()


def write_static(model: StaticModel, folder: Path) -> None:
    """Write a model as the library does.

    Raises:
        SafetensorError: When the disk is full.
    """
    settings = {
        "model_type": "SentenceTransformer",
        "__version__": {
            "sentence_transformers": version("sentence-transformers"),
            "transformers": version("transformers"),
            "pytorch": torch.__version__,
        },
        "prompts": model.prompts,
        "default_prompt_name": model.default_prompt_name,
        "similarity_fn_name": model.similarity,
    }
    text = json.dumps(settings, indent=2, sort_keys=True)
    (folder / "config_sentence_transformers.json").write_text(text, encoding="utf-8")
    if model.is_one:
        entries = []
        for number, module in enumerate(model.side("query")):
            place = f"{number}_{module.saved_as}" if number else ""
            _write_module(module, folder / place)
            entries.append((str(number), place, _CLASSES[str(module.saved_as)]))
    else:
        _write_router(model, folder)
        entries = [("0", "", _CLASSES["Router"])]
    listed = [
        {"idx": number, "name": name, "path": place, "type": kind}
        for number, (name, place, kind) in enumerate(entries)
    ]
    (folder / "modules.json").write_text(json.dumps(listed, indent=2), encoding="utf-8")


def _write_router(model: StaticModel, folder: Path) -> None:
    names: dict[int, str] = {}
    types: dict[str, str] = {}
    structure: dict[str, list[str]] = {}
    for side in ("query", "document"):
        structure[side] = []
        for number, module in enumerate(model.side(side)):
            name = names.get(id(module))
            if name is None:
                name = names[id(module)] = f"{side}_{number}_{module.saved_as}"
                types[name] = _CLASSES[str(module.saved_as)]
                _write_module(module, folder / name)
            structure[side].append(name)
    parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
    content = {"types": types, "structure": structure, "parameters": parameters}
    (folder / "router_config.json").write_text(json.dumps(content, indent=4), encoding="utf-8")


def _write_module(module: Any, place: Path) -> None:
    place.mkdir(exist_ok=True)
    if isinstance(module, TokenBag):
        table = module.embedding.weight.detach().float()  # one of bfloat16 too, which not all can read
        save_file({_WEIGHT: table.contiguous()}, place / "model.safetensors")
        module.tokenizer.save(str(place / "tokenizer.json"))
    else:
        text = json.dumps(module.get_config_dict(), indent=4)
        (place / "config.json").write_text(text, encoding="utf-8")


def _best_device() -> torch.device:
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def _sides(folder: Path, entries: list[dict[str, Any]]) -> dict[str, Modules] | None:
    """The modules of "query" and "document", or None where the folder has any but those read here."""
    parts = [(folder / entry["path"], _kind(entry["type"])) for entry in entries]
    if [kind for _, kind in parts] != ["Router"]:
        modules = _modules(parts, {})
        return None if modules is None else {"query": modules, "document": modules}
    place = parts[0][0]
    router = read_json(place / "router_config.json")
    usual = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
    if router["parameters"] != usual or set(router["structure"]) != {"query", "document"}:
        return None
    sides, read = {}, dict[Path, nn.Module]()
    for name in ("query", "document"):
        modules = _modules(
            [(place / part, _kind(router["types"][part])) for part in router["structure"][name]], read
        )
        if modules is None:
            return None
        sides[name] = modules
    return sides


def _modules(parts: list[tuple[Path, str]], read: dict[Path, nn.Module]) -> Modules | None:
    """A table, dropout, normalisation, of the folder and kind of each; None for other lists.

    What one side has read already is the same object for the other.
    """
    if [kind for _, kind in parts] not in _ORDERS:
        return None
    for place, kind in parts:
        if place not in read:
            module = _module(place, kind)
            if module is None:
                return None
            read[place] = module
    return [read[place] for place, _ in parts]


def _module(place: Path, kind: str) -> nn.Module | None:
    if kind == "StaticEmbedding":
        weights = load_file(place / "model.safetensors")
        if set(weights) != {_WEIGHT}:
            return None
        return TokenBag(Tokenizer.from_file(str(place / "tokenizer.json")), weights[_WEIGHT])
    settings = read_json(place / "config.json") if (place / "config.json").exists() else {}
    if kind == "Dropout":
        return BagDropout(float(settings["dropout"]))
    names = UnitLength().get_config_dict()
    return UnitLength() if all((settings.get(key) or EMBEDDING) == EMBEDDING for key in names) else None


def _kind(name: str) -> str:
    """``Normalize`` of the dotted name of the library's class; "" for a class of anyone else's."""
    package, _, last = name.rpartition(".")
    return last if package.split(".")[0] == "sentence_transformers" else ""
