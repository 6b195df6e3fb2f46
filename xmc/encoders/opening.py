"""From a folder to a model and its two towers: static ones read here, all others by sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from xmc.encoders.backend import require_backend
from xmc.encoders.folder_checks import check_finite, check_vocabularies
from xmc.encoders.sides import share_equal_tables
from xmc.encoders.static_folder import SIDES, prompt_of
from xmc.encoders.static_model import StaticModel, read_static
from xmc.encoders.tower import Tower
from xmc.errors import ModelError
from xmc.received import reading

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["library_model", "open_folder", "open_static", "sides_of", "towers_of"]


def open_folder(
    folder: Path, device: str | None, *, tied: bool, backend: str = "torch"
) -> SentenceTransformer | StaticModel:
    """A static model as it is read without the library; any other through it.

    Args:
        folder: Of a saved model.
        device: None takes an accelerator where there is one.
        tied: Whether equal tables of the two sides are one.
        backend: Of :mod:`xmc.encoders.backend`, for a transformer.

    Raises:
        ModelError: When it cannot be opened, or by another backend than torch though it has no transformer.
    """
    require_backend(backend)
    read = open_static(folder, device, tied=tied)
    if read is None:
        from xmc.encoders.library import open_model

        return open_model(folder, device, backend)
    if backend != "torch":
        raise ModelError(
            f"{folder}: expected a transformer for the backend {backend}, got a static model, which has "
            "nothing for it to compute: leave the backend out (torch)"
        )
    return read


def open_static(folder: Path, device: str | None, *, tied: bool) -> StaticModel | None:
    """As :func:`open_folder`, but None for what only the library reads."""
    with reading(folder, "a sentence-transformers model", error=ModelError):
        read = read_static(folder, device)
        if read is not None:
            check_vocabularies(folder)
            check_finite(read)
    if read is not None and tied:
        share_equal_tables(*(read.side(name)[0] for name in SIDES))
    return read


def library_model(model: StaticModel, query_tower: Tower, label_tower: Tower) -> SentenceTransformer:
    """The library's model of a static one, whose towers keep their tables and take its modules."""
    from xmc.encoders.library import as_library

    whole = as_library(model).train(model.training)
    for side, tower in zip(sides_of(whole), (query_tower, label_tower), strict=True):
        tower.replace_modules(side)
    return whole


def sides_of(model: SentenceTransformer | StaticModel) -> tuple[list[nn.Module], list[nn.Module]]:
    """The modules of queries and of labels; the same objects twice for a model without a router."""
    if isinstance(model, StaticModel):
        return model.side("query"), model.side("document")
    from xmc.encoders.library import routes

    return routes(model)


def towers_of(
    model: SentenceTransformer | StaticModel, query: list[nn.Module], label: list[nn.Module], dimension: int
) -> tuple[Tower, Tower]:
    """One object for both when nothing at all differs: modules, length and prompt."""
    prompts = [prompt_of(side, model.prompts, model.default_prompt_name) for side in SIDES]
    query_tower = Tower(query, dimension, task="query", prompt=prompts[0])
    label_tower = Tower(label, dimension, task="document", prompt=prompts[1])
    shared = len(query) == len(label) and all(a is b for a, b in zip(query, label, strict=True))
    if shared and prompts[0] == prompts[1] and query_tower.max_length == label_tower.max_length:
        return query_tower, query_tower
    return query_tower, label_tower
