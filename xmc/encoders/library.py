"""Models as sentence-transformers has them: opened, taken apart into sides, and made of static modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Router
from sentence_transformers.sentence_transformer.modules import Dropout, StaticEmbedding
from torch import nn

from xmc.encoders.folder_checks import check_finite, check_layers, check_vocabularies
from xmc.encoders.metadata import EncoderMetadata
from xmc.encoders.module_kinds import is_transformer
from xmc.encoders.quiet import quiet_loading
from xmc.encoders.sides import share_equal_tables
from xmc.encoders.static_model import Modules, StaticModel
from xmc.encoders.static_modules import BagDropout, TokenBag, UnitLength
from xmc.errors import ModelError
from xmc.received import reading

__all__ = ["as_library", "open_model", "routes"]


def open_model(folder: Path, device: str | None = None, backend: str = "torch") -> SentenceTransformer:
    """Open a local sentence-transformers (or bare transformer) folder, without a network.

    Sides of a tied model that were saved twice, as static tables are and, by sentence-transformers 6.0,
    transformers, share their weights again where these are still equal.

    Raises:
        ModelError: When the libraries cannot read it.
    """
    # Another runtime's loader exports the model first, and takes its weights from the same safetensors.
    options: dict[str, Any] = {"model_kwargs": {"use_safetensors": True}} if backend == "torch" else {}
    with reading(folder, "a sentence-transformers model", error=ModelError):
        check_layers(folder)
        check_vocabularies(folder)
        with quiet_loading():
            model = SentenceTransformer(
                str(folder),
                device=device,
                local_files_only=True,
                backend=cast(Any, backend),
                **options,
            )
        check_finite(model)
    metadata = EncoderMetadata.load(folder)
    if metadata is not None and metadata.tied:
        share_equal_tables(*(side[0] for side in routes(model)))
        _share_equal_transformers(model)
    return model


def _share_equal_transformers(model: SentenceTransformer) -> None:
    for router in (module for module in model if isinstance(module, Router)):
        query, label = (cast(nn.Sequential, router.sub_modules[route]) for route in ("query", "document"))
        for place, (mine, yours) in enumerate(zip(query, label, strict=False)):
            if mine is not yours and is_transformer(mine) and is_transformer(yours) and _equal(mine, yours):
                label[place] = mine


def _equal(mine: Any, yours: Any) -> bool:
    """Whether two of the library's modules are set alike and have the same numbers."""
    first, second = mine.state_dict(), yours.state_dict()
    return (
        mine.get_config_dict() == yours.get_config_dict()
        and first.keys() == second.keys()
        and all(torch.equal(first[name], second[name]) for name in first)
    )


def routes(model: SentenceTransformer) -> tuple[Modules, Modules]:
    """The modules queries go through and those labels go through; the same objects where the two share them.

    Raises:
        ModelError: When a ``Router`` lacks the routes "query" and "document".
    """
    modules = list(model)
    sides: dict[str, Modules] = {"query": [], "document": []}
    for module in modules:
        for route, side in sides.items():
            if not isinstance(module, Router):
                side.append(module)
            elif route in module.sub_modules:
                side.extend(cast(nn.Sequential, module.sub_modules[route]))
            else:
                raise ModelError(f'expected routes "query" and "document", got {sorted(module.sub_modules)}')
    return sides["query"], sides["document"]


def as_library(model: StaticModel) -> SentenceTransformer:
    """The library's model of static modules, on the same tables; modules of its own kind stay as they are."""
    made: dict[int, nn.Module] = {}

    def library_module(module: Any) -> nn.Module:
        if id(module) not in made:
            made[id(module)] = _library_module(module)
        return made[id(module)]

    sides = {name: [library_module(module) for module in model.side(name)] for name in ("query", "document")}
    settings: dict[str, Any] = {
        "device": str(next(model.parameters()).device),
        "prompts": dict(model.prompts),
        "default_prompt_name": model.default_prompt_name,
        "similarity_fn_name": model.similarity,
    }
    # Two sides that differ in a length, a dropout or their weights: the library's own way to say so.
    modules: Modules = sides["query"]
    if not model.is_one:
        modules = [Router(cast(dict[str, Any], sides), default_route="document")]
    return SentenceTransformer(modules=modules, **settings)


def _library_module(module: Any) -> nn.Module:
    if isinstance(module, TokenBag):
        twin = StaticEmbedding(module.tokenizer, embedding_weights=module.embedding.weight.detach())
        # One table, so that a change by either is seen by both.
        twin.embedding = module.embedding
        return twin
    if isinstance(module, BagDropout):
        return Dropout(module.dropout)
    return Normalize() if isinstance(module, UnitLength) else cast(nn.Module, module)
