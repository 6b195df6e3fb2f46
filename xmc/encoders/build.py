"""From an ``EncoderConfig`` to a model with a query side and a label side.

A static model is made of its own modules; a transformer, and whatever else a folder holds, is opened by
sentence-transformers, which takes seconds to import.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from xmc.encoders.adapters import add_adapters
from xmc.encoders.config import EncoderConfig
from xmc.encoders.metadata import EncoderMetadata
from xmc.encoders.module_kinds import is_dropout, is_normalize, is_pooling, is_static, is_transformer
from xmc.encoders.opening import open_static
from xmc.encoders.resolve import resolve_model
from xmc.encoders.sides import shares_weights
from xmc.encoders.static import distilled_table, input_table, read_input_table, static_copy
from xmc.encoders.static_folder import PROMPTS
from xmc.encoders.static_model import Modules, StaticModel
from xmc.encoders.static_modules import BagDropout, TokenBag, UnitLength
from xmc.encoders.vocabulary import extend_vocabulary
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["build_model"]


@dataclass(frozen=True)
class _Base:
    """What a model starts from: the modules of both sides without dropout and normalisation at the end."""

    query: Modules
    label: Modules
    prompts: dict[str, str]
    default_prompt_name: str | None = None
    made: bool = False
    """Whether the query side is a table that was made from a transformer now."""


def build_model(
    config: EncoderConfig, texts: Iterable[str] | None = None
) -> SentenceTransformer | StaticModel:
    """The model ``config`` describes, on the CPU.

    ``texts``, which must stand being read twice, are those that ``config.vocabulary`` is learned from.

    A tied static model with two different lengths is saved with its table twice, once beside the tokenizer of
    each length; opening it ties the two again. A tied transformer keeps both lengths in one module.

    Raises:
        ConfigError: When the model cannot be what the configuration asks for.
        ModelError: When it cannot be found or opened.
    """
    folder = resolve_model(config.model)
    base = _static_base(config, folder) or _library_base(folder)
    base = replace(base, prompts=_prompts(config, base.prompts))
    if config.tied and not shares_weights(base.query, base.label):
        raise ConfigError(f"{config.model} has separate towers: set tied to false, or take another model")
    if base.made or _is_static(config, base.query):
        _check_no_transformer(config)
        sides = _static(config, folder, base, texts)
    else:
        sides = _transformer(config, folder, base.query, base.label)
    if config.projection is not None:
        from xmc.encoders.projection import project

        sides = project(*sides, config.projection, texts)
    return _assemble(config, base, *sides)


def _prompts(config: EncoderConfig, own: dict[str, str]) -> dict[str, str]:
    """The model's own prompts, with those of the configuration in their place."""
    asked = {"query": config.query_prompt, "document": config.label_prompt}
    return {**own, **{name: prompt for name, prompt in asked.items() if prompt is not None}}


def _check_no_transformer(config: EncoderConfig) -> None:
    found = f"{config.model} becomes a static model here"
    if config.lora.rank:
        raise ConfigError(
            f'lora.rank: expected 0, as {found}, got {config.lora.rank}: set kind to "transformer"'
        )
    if config.include_prompt is not None:
        raise ConfigError(f"include_prompt: expected null, as {found}, which adds up all tokens")


def _static_base(config: EncoderConfig, folder: Path) -> _Base | None:
    """What a static model starts from, or None where it is the library's to open."""
    if config.kind == "transformer":
        return None
    metadata = EncoderMetadata.load(folder)
    read = open_static(folder, "cpu", tied=metadata is not None and metadata.tied)
    if read is not None:
        query, label = (_core(read.side(name)) for name in ("query", "document"))
        return _Base(query, label, read.prompts, read.default_prompt_name)
    if config.kind == "auto" and config.vocabulary is None and torch.accelerator.is_available():
        return None
    table = read_input_table(folder)
    return None if table is None else _Base([table], [table], dict(PROMPTS), made=True)


def _library_base(folder: Path) -> _Base:
    from xmc.encoders.library import open_model, routes

    # Weights that are kept in half precision, as most decoders are, would lose the small steps of training.
    model = open_model(folder, "cpu").float()
    query, label = (_core(side) for side in routes(model))
    prompts = {name: text or "" for name, text in model.prompts.items()}
    return _Base(query, label, prompts, model.default_prompt_name)


def _is_static(config: EncoderConfig, modules: Modules) -> bool:
    """What the configuration says; else what the model is, or what this machine trains in reasonable time."""
    if config.kind != "auto":
        return config.kind == "static"
    if is_static(modules[0]) or config.vocabulary is not None:
        return True
    return not torch.accelerator.is_available()


def _core(modules: Modules) -> Modules:
    """Without the dropout and normalisation at the end, which the configuration decides anew."""
    return [module for module in modules if not is_dropout(module) and not is_normalize(module)]


def _transformer(
    config: EncoderConfig, folder: Path, query: Modules, label: Modules
) -> tuple[Modules, Modules]:
    from sentence_transformers.sentence_transformer.modules import Pooling

    if not is_transformer(query[0]) or not is_transformer(label[0]):
        raise ConfigError(f'{config.model} begins with {type(query[0]).__name__}: set kind to "static"')
    if config.frozen_labels and query[0] is label[0]:
        label = _parted(label)  # before there are adapters, which it does not need
    if config.lora.rank:
        trained = [query] if config.frozen_labels else [query, label]
        for transformer in {id(modules[0]): modules[0] for modules in trained}.values():
            add_adapters(transformer, config.lora)
    if not config.tied and query[0] is label[0]:
        label = _parted(label)
    limit = _position_limit(query[0])
    for name in ("query_length", "label_length"):
        length = getattr(config, name)
        if limit is not None and length > limit:
            raise ConfigError(
                f"expected {name} of at most {limit}, the limit of {config.model}, got {length}"
            )
    module: Any
    for module in (query[0], label[0]):
        module.query_length, module.document_length = config.query_length, config.label_length
        module.max_seq_length = max(config.query_length, config.label_length)
    # A bare transformer: the library put a mean there, for want of a word on pooling in the folder.
    if is_pooling(query[-1]) and not (folder / "modules.json").exists():
        first: Any = query[0]
        query[-1] = label[-1] = Pooling(first.get_embedding_dimension(), pooling_mode=config.pooling)
    for module in [*query, *label]:
        if config.include_prompt is not None and is_pooling(module):
            module.include_prompt = config.include_prompt
    return query, label


def _parted(modules: Modules) -> Modules:
    """A tower that starts alike and is trained by itself; weights that are not trained stay shared."""
    frozen = [p for module in modules for p in module.parameters() if not p.requires_grad]
    return copy.deepcopy(modules, {id(parameter): parameter for parameter in frozen})


def _position_limit(module: Any) -> int | None:
    limits = [
        getattr(module.config, "max_position_embeddings", None),
        module.tokenizer.init_kwargs.get("model_max_length"),
    ]
    known = [int(limit) for limit in limits if isinstance(limit, (int, float)) and 0 < limit < 1 << 30]
    return min(known, default=None)


def _static(
    config: EncoderConfig, folder: Path, base: _Base, texts: Iterable[str] | None
) -> tuple[Modules, Modules]:
    query, label = base.query, base.label
    # Made from a transformer now, or taken over from a model that is static already.
    made = base.made or (query[0] is label[0] and is_transformer(query[0]))
    if made and config.static_init == "distill":
        query, label = [distilled_table(folder)], []
    elif made:
        query, label = [query[0] if base.made else input_table(query[0])], []
    elif not is_static(query[0]) or not is_static(label[0]):
        raise ConfigError(f"{config.model} has two transformers: a static model starts from one")
    if config.vocabulary is not None:
        query, label = _extended(config, query, label, texts)
    first = static_copy(query[0], config.query_length)
    if config.tied and config.query_length == config.label_length:
        return [first, *query[1:]], [first, *query[1:]]
    source = first if made or config.tied else label[0]
    second = static_copy(source, config.label_length, share=config.tied)
    rest = label[1:] if config.tied else copy.deepcopy(label[1:])
    return [first, *query[1:]], [second, *rest]


def _extended(
    config: EncoderConfig, query: Modules, label: Modules, texts: Iterable[str] | None
) -> tuple[Modules, Modules]:
    if texts is None:
        raise ConfigError("encoder.vocabulary: expected the data set's texts to learn it from, got none")
    first = extend_vocabulary(query[0], texts, config.vocabulary)  # type: ignore[arg-type]
    if not label or label[0] is query[0]:
        # One vocabulary for both sides where they had one module, learned once.
        return [first, *query[1:]], [first, *label[1:]] if label else []
    return [first, *query[1:]], [extend_vocabulary(label[0], texts, config.vocabulary), *label[1:]]  # type: ignore[arg-type]


def _assemble(
    config: EncoderConfig, base: _Base, query: Modules, label: Modules
) -> SentenceTransformer | StaticModel:
    label_dropout = config.dropout if config.label_dropout is None else config.label_dropout
    same = len(query) == len(label) and all(a is b for a, b in zip(query, label, strict=True))
    sides = {"query": [*query, *_tail(config.dropout, config.normalize)]}
    if same and label_dropout == config.dropout:
        sides["document"] = sides["query"]
    else:
        sides["document"] = [*label, *_tail(label_dropout, config.normalize)]
    similarity = "cosine" if config.normalize else "dot"
    model = StaticModel(sides, dict(base.prompts), base.default_prompt_name, similarity)
    if all(
        isinstance(module, (TokenBag, BagDropout, UnitLength)) for side in sides.values() for module in side
    ):
        return model
    from xmc.encoders.library import as_library

    return as_library(model)


def _tail(dropout: float, normalize: bool) -> list[nn.Module]:
    tail: list[nn.Module] = [BagDropout(dropout)] if dropout > 0 else []
    return [*tail, UnitLength()] if normalize else tail
