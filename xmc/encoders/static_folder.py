"""The folder of a static model as sentence-transformers writes it, read without torch.

Such a model is a tokenizer and a table per side, dropout and a normalisation, or some of them. Every other
folder is the library's to open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmc.received import read_json

__all__ = ["CLASSES", "PROMPTS", "SIDES", "WEIGHT", "StaticFolder", "StaticPart", "prompt_of", "read_folder"]

SIDES = ("query", "document")

PROMPTS = {"query": "", "document": ""}
"""What the library begins with, before a folder says otherwise."""

WEIGHT = "embedding.weight"
"""The table's name among the weights of its module."""

EMBEDDING = "sentence_embedding"
"""Where a model's modules keep embeddings [n, D] among the features."""

NORMALISED = {"module_input_name": EMBEDDING, "module_output_name": EMBEDDING}
"""The settings of a normalisation: what it reads and what it writes."""

_TEXT = "sentence_transformers.sentence_transformer.modules"
_BASE = "sentence_transformers.base.modules"
CLASSES = {
    "StaticEmbedding": f"{_TEXT}.static_embedding.StaticEmbedding",
    "Dropout": f"{_TEXT}.dropout.Dropout",
    "Normalize": f"{_BASE}.normalize.Normalize",
    "Router": f"{_BASE}.router.Router",
}
"""The library's classes by the names that a folder's modules go by here."""

_ORDERS = [["StaticEmbedding", *rest] for rest in ([], ["Dropout"], ["Normalize"], ["Dropout", "Normalize"])]
_ROUTER = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
_NAMES = (("query",), ("document", "passage", "corpus"))


@dataclass(frozen=True)
class StaticPart:
    """One module: where it is kept, which of `CLASSES` it is, and the share that a dropout drops."""

    place: Path
    kind: str
    dropout: float = 0.0


@dataclass(frozen=True)
class StaticFolder:
    """What a folder says of its model.

    Attributes:
        sides: Modules of "query" and "document" texts; equal parts are one module.
        prompts: Texts put before a text, by name.
        default_prompt_name: Of the prompt where none is asked for.
        similarity: Which the library's ``similarity`` takes, "cosine" or "dot".
    """

    sides: dict[str, list[StaticPart]]
    prompts: dict[str, str]
    default_prompt_name: str | None
    similarity: str


def read_folder(folder: Path) -> StaticFolder | None:
    """What the folder says, or None where it has anything but what is read here.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: When it is damaged; the library says how.
    """
    entries = read_json(folder / "modules.json")
    settings = read_json(folder / "config_sentence_transformers.json")
    sides = _sides(folder, entries)
    if sides is None or settings.get("truncate_dim") is not None:
        return None
    return StaticFolder(
        sides,
        {**PROMPTS, **(settings.get("prompts") or {})},
        settings.get("default_prompt_name"),
        settings.get("similarity_fn_name") or "cosine",
    )


def prompt_of(side: str, prompts: Mapping[str, str | None], default_name: str | None) -> str:
    """The prompt that the library's ``encode_query`` or ``encode_document`` would put before a text."""
    names = _NAMES[SIDES.index(side)]
    name = next((name for name in names if name in prompts), default_name)
    return (prompts.get(name) or "") if name is not None else ""


def _sides(folder: Path, entries: Sequence[Mapping[str, Any]]) -> dict[str, list[StaticPart]] | None:
    """The modules of each side, or None where the folder has any but those read here."""
    parts = [(folder / entry["path"], _kind(entry["type"])) for entry in entries]
    if [kind for _, kind in parts] != ["Router"]:
        modules = _parts(parts)
        return None if modules is None else dict.fromkeys(SIDES, modules)
    place = parts[0][0]
    router = read_json(place / "router_config.json")
    if router["parameters"] != _ROUTER or set(router["structure"]) != set(SIDES):
        return None
    sides = {}
    for name in SIDES:
        listed = [(place / part, _kind(router["types"][part])) for part in router["structure"][name]]
        modules = _parts(listed)
        if modules is None:
            return None
        sides[name] = modules
    return sides


def _parts(listed: Sequence[tuple[Path, str]]) -> list[StaticPart] | None:
    """A table, dropout, normalisation, of the folder and kind of each; None for other lists."""
    if [kind for _, kind in listed] not in _ORDERS:
        return None
    parts = []
    for place, kind in listed:
        settings = read_json(place / "config.json") if (place / "config.json").exists() else {}
        if kind == "Normalize" and any((settings.get(k) or v) != v for k, v in NORMALISED.items()):
            return None
        parts.append(StaticPart(place, kind, float(settings["dropout"]) if kind == "Dropout" else 0.0))
    return parts


def _kind(name: str) -> str:
    """``Normalize`` of the dotted name of the library's class; "" for a class of anyone else's."""
    package, _, last = name.rpartition(".")
    return last if package.split(".")[0] == "sentence_transformers" else ""
