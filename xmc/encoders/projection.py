"""Vectors of fewer components: a linear layer after a tower, from the data's principal directions on.

These are the directions of the second moments of texts' vectors, not of their deviations from a mean: scores
are inner products, and of all projections to d components these keep the products of the vectors best
(Eckart and Young 1936).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from xmc.encoders.encoding import encode_texts
from xmc.encoders.module_kinds import is_static
from xmc.encoders.static_modules import UnitLength
from xmc.encoders.tower import Tower
from xmc.errors import ConfigError

__all__ = ["principal_directions", "project", "spread_sample"]

SAMPLE = 4_096
"""Texts whose vectors the directions are of: a few times the components of a large model."""

Modules = list[nn.Module]


def principal_directions(vectors: Tensor, dimension: int) -> Tensor:
    """The directions [D, d] of the largest second moments of vectors [n, D], orthonormal, the largest first.

    Of each, the component that is the largest is above 0, so that they are the same everywhere.
    """
    moments = vectors.double().T @ vectors.double()
    found: Tensor = torch.linalg.eigh(moments).eigenvectors.flip(1)[:, :dimension]
    largest = found.gather(0, found.abs().argmax(0, keepdim=True))
    kept: Tensor = found * largest.sign()
    return kept.float()


def spread_sample(texts: Iterable[str], count: int) -> list[str]:
    """At most ``count`` texts that are not blank, evenly spread over all; ``texts`` are read twice."""
    total = sum(1 for text in texts if text.strip())
    filled = (text for text in texts if text.strip())
    return list(islice(filled, 0, None, max(1, -(-total // count))))


def project(
    query: Modules, label: Modules, dimension: int, texts: Iterable[str] | None
) -> tuple[Modules, Modules]:
    """Both sides with vectors of ``dimension`` components, by one linear map of a text's vector.

    A bag of tokens is a mean, which a linear map passes through: its table is mapped, and nothing is added.
    A transformer gets a layer without bias after its pooling (the library's ``Dense``), one for both sides
    where they share their modules.

    Args:
        query: Modules without dropout and normalisation at the end.
        label: The same of labels.
        dimension: d, below the D that the sides have.
        texts: Of the data set, which must stand being read twice.

    Raises:
        ConfigError: When there are no texts, or not fewer components, or more than a table in a static side.
    """
    if is_static(query[0]) and max(len(query), len(label)) > 1:
        raise ConfigError(
            "encoder.projection: expected a static model of token vectors alone, got one with "
            f"{', '.join(type(module).__name__ for module in [*query[1:], *label[1:]])} after them"
        )
    sample = [] if texts is None else spread_sample(texts, SAMPLE)
    if not sample:
        raise ConfigError("encoder.projection: expected the data set's texts to start from, got none")
    tower = Tower([*query, UnitLength()], _width(query), task="query")
    if not dimension < tower.dimension:
        raise ConfigError(
            f"encoder.projection: expected fewer components than the {tower.dimension} of the model, got "
            f"{dimension}"
        )
    training = [module.training for module in query]
    vectors = encode_texts(_in_eval(tower), sample, name="a sample of texts")
    for module, mode in zip(query, training, strict=True):
        module.train(mode)
    directions = principal_directions(torch.from_numpy(np.ascontiguousarray(vectors)), dimension)
    if is_static(query[0]):
        _map_tables([query[0], label[0]], directions)
        return query, label
    return _with_layer(query, label, directions)


def _in_eval(tower: Tower) -> Tower:
    for module in tower.modules:
        module.eval()
    return tower


def _width(modules: Sequence[Any]) -> int:
    if is_static(modules[0]):
        return int(modules[0].embedding.embedding_dim)
    told = (m.get_embedding_dimension() for m in reversed(modules) if hasattr(m, "get_embedding_dimension"))
    return int(next(told))


def _map_tables(bags: Sequence[Any], directions: Tensor) -> None:
    made: dict[int, nn.EmbeddingBag] = {}
    for bag in bags:
        table = bag.embedding
        if id(table) not in made:
            mapped = table.weight.detach() @ directions
            made[id(table)] = nn.EmbeddingBag.from_pretrained(mapped, freeze=False, mode=table.mode)
    for bag, mapped_table in [(bag, made[id(bag.embedding)]) for bag in bags]:
        bag.embedding = mapped_table


def _with_layer(query: Modules, label: Modules, directions: Tensor) -> tuple[Modules, Modules]:
    from sentence_transformers.sentence_transformer.modules import Dense

    whole, kept = directions.shape
    layer = Dense(whole, kept, bias=False, activation_function=nn.Identity())
    with torch.no_grad():
        layer.linear.weight.copy_(directions.T)
    same = query[0] is label[0]
    return [*query, cast(nn.Module, layer)], [
        *label,
        cast(nn.Module, layer if same else copy.deepcopy(layer)),
    ]
