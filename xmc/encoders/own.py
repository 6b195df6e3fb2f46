"""Dual encoders of the user's own making: called by name, and checked before anything is trained."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import nn

from xmc.encoders.config import EncoderConfig
from xmc.encoders.tower import Tower
from xmc.errors import ConfigError, ModelError, XMCError
from xmc.plugins import load_object

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["TwoTowers", "as_sentence_transformer", "call_builder", "check_encoding", "check_towers"]


class TwoTowers(Protocol):
    """What :func:`check_towers` needs of a dual encoder."""

    dimension: int
    query_tower: Tower
    label_tower: Tower

    @property
    def module(self) -> nn.Module:
        """What has the weights of both towers."""


def call_builder(config: EncoderConfig, texts: Iterable[str] | None) -> object:
    """What the function that ``config.builder`` names makes of the configuration and the training texts.

    Args:
        config: Handed to the builder, which may read any of it; what it does not read has no effect.
        texts: Queries, then labels, which may be iterated as often as it takes.

    Raises:
        ConfigError: When there is no such function, or it fails.
    """
    name = str(config.builder)
    found = load_object(name)
    if not callable(found):
        raise ConfigError(
            f"encoder.builder: expected {name} to be a function of the EncoderConfig and the training texts, "
            f"got {type(found).__name__}"
        )
    try:
        return found(config, texts)
    except XMCError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)[1:]
        place = f", at {frames[0].filename}:{frames[0].lineno}" if frames else ""
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise ConfigError(f"encoder.builder: {name} failed: {said}{place}") from error


def as_sentence_transformer(made: object, name: str) -> SentenceTransformer:
    """What a builder made, which is no dual encoder.

    Raises:
        ModelError: When it is no ``SentenceTransformer`` either.
    """
    from sentence_transformers import SentenceTransformer

    if not isinstance(made, SentenceTransformer):
        raise ModelError(
            f"{name}: expected it to return a SentenceTransformer or an xmc.DualEncoder, got "
            f"{type(made).__name__}"
        )
    return made


def check_towers(encoder: TwoTowers, name: str) -> None:
    """Refuse an encoder whose towers do not meet in one space, or that could not be opened once saved.

    Raises:
        ModelError: Beginning with ``name``.
    """
    check_encoding(encoder, name)
    modules = {type(module) for module in encoder.module.modules()}
    own = sorted(kind.__name__ for kind in modules if _in_a_file(kind.__module__))
    if own:
        raise ModelError(
            f"{name}: its modules {', '.join(own)} are of a file that is named by its path, where "
            "SentenceTransformer does not find them again in a saved model: put them into a package that is "
            "installed where the model is used"
        )


def check_encoding(encoder: TwoTowers, name: str) -> None:
    """Refuse an encoder that cannot encode a text on either side into its dimension.

    Raises:
        ModelError: Beginning with ``name``.
    """
    for side, tower in (("queries", encoder.query_tower), ("labels", encoder.label_tower)):
        tower.check_ids()
        try:
            width = _width(tower)
        except (RuntimeError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ModelError(f"{name}: its {side} cannot be encoded: {error}") from error
        if width != encoder.dimension:
            raise ModelError(
                f"{name}: expected embeddings of {encoder.dimension} components on both routes, as the model "
                f"says, got {width} for {side}: end both in the same dimension"
            )


@torch.no_grad()
def _width(tower: Tower) -> int:
    [ids] = tower.tokenize(["a text"])
    return tower(np.array(ids, dtype=np.int64), np.array([0, len(ids)])).shape[1]


def _in_a_file(module: str) -> bool:
    return module == "__main__" or module.startswith("xmc.plugins.")
