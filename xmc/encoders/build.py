"""From an ``EncoderConfig`` to a sentence-transformers model with a query side and a label side."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Normalize, Router, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, Pooling, StaticEmbedding
from torch import nn

from xmc.encoders.config import EncoderConfig
from xmc.encoders.folder_checks import check_finite, check_layers, check_vocabularies
from xmc.encoders.metadata import EncoderMetadata
from xmc.encoders.quiet import quiet_loading
from xmc.encoders.resolve import resolve_model
from xmc.encoders.sides import share_equal_tables, shares_weights
from xmc.encoders.static import distilled_table, input_table, static_copy
from xmc.encoders.vocabulary import extend_vocabulary
from xmc.errors import ConfigError, ModelError
from xmc.received import reading

__all__ = ["build_model", "open_model", "routes"]

Modules = list[nn.Module]


def open_model(folder: Path, device: str | None = None) -> SentenceTransformer:
    """Open a local sentence-transformers (or bare transformer) folder, without a network.

    Static modules that were saved as one table twice share one table again, where they are still equal.

    Raises:
        ModelError: When the libraries cannot read it.
    """
    weights = {"use_safetensors": True}
    with reading(folder, "a sentence-transformers model", error=ModelError):
        check_layers(folder)
        check_vocabularies(folder)
        with quiet_loading():
            model = SentenceTransformer(
                str(folder), device=device, local_files_only=True, model_kwargs=weights
            )
        check_finite(model)
    metadata = EncoderMetadata.load(folder)
    if metadata is not None and metadata.tied:
        share_equal_tables(*(side[0] for side in routes(model)))
    return model


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


def build_model(config: EncoderConfig, texts: Iterable[str] | None = None) -> SentenceTransformer:
    """The model ``config`` describes, on the CPU.

    ``texts``, which must stand being read twice, are those that ``config.vocabulary`` is learned from.

    A tied static model with two different lengths is saved with its table twice, once beside the tokenizer of
    each length; ``open_model`` ties the two again. A tied transformer keeps both lengths in one module.

    Raises:
        ConfigError: When the model cannot be what the configuration asks for.
        ModelError: When it cannot be found or opened.
    """
    folder = resolve_model(config.model)
    base = open_model(folder, "cpu")
    query_core, label_core = (_core(side) for side in routes(base))
    if config.tied and not shares_weights(query_core, label_core):
        raise ConfigError(f"{config.model} has separate towers: set tied to false, or take another model")
    if _is_static(config, query_core):
        query_core, label_core = _static(config, folder, query_core, label_core, texts)
    else:
        query_core, label_core = _transformer(config, folder, query_core, label_core)
    return _assemble(config, base, query_core, label_core)


def _is_static(config: EncoderConfig, modules: Modules) -> bool:
    """What the configuration says; else what the model is, or what this machine trains in reasonable time."""
    if config.kind != "auto":
        return config.kind == "static"
    if isinstance(modules[0], StaticEmbedding) or config.vocabulary is not None:
        return True
    return not torch.accelerator.is_available()


def _core(modules: Modules) -> Modules:
    """Without the dropout and normalisation at the end, which the configuration decides anew."""
    return [module for module in modules if not isinstance(module, (Dropout, Normalize))]


def _transformer(
    config: EncoderConfig, folder: Path, query: Modules, label: Modules
) -> tuple[Modules, Modules]:
    if not isinstance(query[0], Transformer) or not isinstance(label[0], Transformer):
        raise ConfigError(f'{config.model} begins with {type(query[0]).__name__}: set kind to "static"')
    if not config.tied and query[0] is label[0]:
        # Two towers that start alike, and share nothing from then on.
        label = copy.deepcopy(label)
    limit = _position_limit(query[0])
    for name in ("query_length", "label_length"):
        length = getattr(config, name)
        if limit is not None and length > limit:
            raise ConfigError(
                f"expected {name} of at most {limit}, the limit of {config.model}, got {length}"
            )
    for module in (query[0], label[0]):
        module.query_length, module.document_length = config.query_length, config.label_length
        module.max_seq_length = max(config.query_length, config.label_length)
    # A bare transformer: the library put a mean there, for want of a word on pooling in the folder.
    if isinstance(query[-1], Pooling) and not (folder / "modules.json").exists():
        query[-1] = label[-1] = Pooling(query[0].get_embedding_dimension(), pooling_mode=config.pooling)
    return query, label


def _position_limit(module: Transformer) -> int | None:
    limits = [
        getattr(module.config, "max_position_embeddings", None),
        module.tokenizer.init_kwargs.get("model_max_length"),  # type: ignore[union-attr]
    ]
    known = [int(limit) for limit in limits if isinstance(limit, (int, float)) and 0 < limit < 1 << 30]
    return min(known, default=None)


def _static(
    config: EncoderConfig, folder: Path, query: Modules, label: Modules, texts: Iterable[str] | None
) -> tuple[Modules, Modules]:
    # Made from a transformer now, or taken over from a model that is static already.
    made = query[0] is label[0] and isinstance(query[0], Transformer)
    if made and config.static_init == "distill":
        query, label = [distilled_table(folder)], []
    elif made:
        query, label = [input_table(query[0])], []  # type: ignore[arg-type]
    elif not isinstance(query[0], StaticEmbedding) or not isinstance(label[0], StaticEmbedding):
        raise ConfigError(f"{config.model} has two transformers: a static model starts from one")
    if config.vocabulary is not None:
        query, label = _extended(config, query, label, texts)
    first = static_copy(query[0], config.query_length)  # type: ignore[arg-type]
    if config.tied and config.query_length == config.label_length:
        return [first, *query[1:]], [first, *query[1:]]
    source = first if made or config.tied else label[0]
    second = static_copy(source, config.label_length, share=config.tied)  # type: ignore[arg-type]
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
    config: EncoderConfig, base: SentenceTransformer, query: Modules, label: Modules
) -> SentenceTransformer:
    label_dropout = config.dropout if config.label_dropout is None else config.label_dropout
    settings: dict[str, Any] = {
        "device": "cpu",
        "prompts": dict(base.prompts),
        "default_prompt_name": base.default_prompt_name,
        "similarity_fn_name": "cosine" if config.normalize else "dot",
    }
    same = len(query) == len(label) and all(a is b for a, b in zip(query, label, strict=True))
    if same and label_dropout == config.dropout:
        return SentenceTransformer(modules=[*query, *_tail(config.dropout, config.normalize)], **settings)
    sides: dict[str, Any] = {
        "query": [*query, *_tail(config.dropout, config.normalize)],
        "document": [*label, *_tail(label_dropout, config.normalize)],
    }
    # Two sides that differ in a length, a dropout or their weights: the library's own way to say so.
    router = Router(sides, default_route="document")
    return SentenceTransformer(modules=[router], **settings)


def _tail(dropout: float, normalize: bool) -> Modules:
    tail: Modules = [Dropout(dropout)] if dropout > 0 else []
    return [*tail, Normalize()] if normalize else tail
