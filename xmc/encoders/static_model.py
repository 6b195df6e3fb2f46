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

from xmc.encoders.static_folder import CLASSES, WEIGHT, StaticFolder, StaticPart, read_folder
from xmc.encoders.static_modules import BagDropout, TokenBag, UnitLength

__all__ = ["Modules", "StaticModel", "read_static", "write_static"]

Modules = list[nn.Module]


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
        layout = read_folder(folder)
        sides = None if layout is None else _modules(layout)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return None  # the library says what is wrong with it
    if layout is None or sides is None:
        return None
    model = StaticModel(sides, layout.prompts, layout.default_prompt_name, layout.similarity)
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
            entries.append((str(number), place, CLASSES[str(module.saved_as)]))
    else:
        _write_router(model, folder)
        entries = [("0", "", CLASSES["Router"])]
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
                types[name] = CLASSES[str(module.saved_as)]
                _write_module(module, folder / name)
            structure[side].append(name)
    parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
    content = {"types": types, "structure": structure, "parameters": parameters}
    (folder / "router_config.json").write_text(json.dumps(content, indent=4), encoding="utf-8")


def _write_module(module: Any, place: Path) -> None:
    place.mkdir(exist_ok=True)
    if isinstance(module, TokenBag):
        table = module.embedding.weight.detach().float()  # one of bfloat16 too, which not all can read
        save_file({WEIGHT: table.contiguous()}, place / "model.safetensors")
        module.tokenizer.save(str(place / "tokenizer.json"))
    else:
        text = json.dumps(module.get_config_dict(), indent=4)
        (place / "config.json").write_text(text, encoding="utf-8")


def _best_device() -> torch.device:
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def _modules(layout: StaticFolder) -> dict[str, Modules] | None:
    """The modules of each side, None for a table of other weights; what both sides name is one object."""
    made: dict[StaticPart, nn.Module] = {}
    for part in {part: None for side in layout.sides.values() for part in side}:
        module = _module(part)
        if module is None:
            return None
        made[part] = module
    return {name: [made[part] for part in side] for name, side in layout.sides.items()}


def _module(part: StaticPart) -> nn.Module | None:
    if part.kind == "Dropout":
        return BagDropout(part.dropout)
    if part.kind == "Normalize":
        return UnitLength()
    weights = load_file(part.place / "model.safetensors")
    if set(weights) != {WEIGHT}:
        return None
    return TokenBag(Tokenizer.from_file(str(part.place / "tokenizer.json")), weights[WEIGHT])
