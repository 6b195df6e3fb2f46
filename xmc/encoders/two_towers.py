"""Two towers of one model: what they are, what of them is trained, and views of fewer components."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn
from typing_extensions import Self

from xmc.encoders.encoding import encode_texts
from xmc.encoders.label_residuals import LabelResiduals
from xmc.encoders.label_vectors import LabelVectors
from xmc.encoders.metadata import EncoderMetadata, LabelOffsets
from xmc.encoders.module_kinds import is_normalize
from xmc.encoders.opening import library_model, sides_of, towers_of
from xmc.encoders.prefixes import check_cut, cut
from xmc.encoders.sides import shares_weights
from xmc.encoders.static_model import StaticModel
from xmc.encoders.text_input import TextInput
from xmc.encoders.tower import Tower
from xmc.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["TwoTowers"]


class TwoTowers:
    """The towers of a dual encoder, of the same arguments as :class:`xmc.encoders.DualEncoder`.

    Raises:
        ModelError: When the model cannot serve as two text towers.
    """

    truncated_to: int | None = None
    """How many components of each vector are given; None for all. See :meth:`truncated`."""
    _whole: Self | None = None

    def __init__(
        self,
        model: SentenceTransformer | StaticModel,
        metadata: EncoderMetadata | None = None,
        label_offsets: LabelOffsets | None = None,
        label_residuals: LabelResiduals | None = None,
        label_vectors: LabelVectors | None = None,
    ) -> None:
        if model.truncate_dim is not None:
            raise ModelError(
                f"expected a model that keeps its dimensions, got truncate_dim={model.truncate_dim}"
            )
        self._model = model
        self._exported_from: Path | None = None
        self.label_offsets = label_offsets
        self.label_residuals = label_residuals
        self.label_vectors = label_vectors
        # A model without a router gives the same modules twice: one tower may then do for both.
        query, label = sides_of(model)
        self.tied = shares_weights(query, label)
        self.dimension = int(model.get_embedding_dimension() or 0)
        self.query_tower, self.label_tower = towers_of(model, query, label, self.dimension)
        self.labels_frozen = False
        """Whether :meth:`freeze_labels` was called: the label tower is not trained."""
        self.metadata = replace(
            metadata or EncoderMetadata(),
            tied=self.tied,
            query_length=self.query_tower.max_length,
            label_length=self.label_tower.max_length,
        )

    @property
    def normalised(self) -> tuple[bool, bool]:
        """Whether queries and whether labels end in a normalisation."""
        query, label = (is_normalize(tower.modules[-1]) for tower in self.towers)
        return query, label

    def truncated(self, dimension: int) -> Self:
        """The same model, which gives the first ``dimension`` components of each vector.

        They have the length 1 again where whole vectors do. Weights are shared, and so is the fingerprint.

        Raises:
            ConfigError: When the model has fewer components.
            ModelError: When it has a trained table of label vectors, which rank as a whole.
        """
        check_cut(dimension, self.whole.dimension, "dimensions")
        if self.label_vectors is not None:
            raise ModelError(
                "expected a model that encodes labels, got one with a trained vector for each label, whose "
                "first components do not rank by themselves: leave its dimensions as they are"
            )
        view = copy.copy(self.whole)
        view._whole = self.whole
        view.dimension = view.truncated_to = dimension
        return view

    @property
    def whole(self) -> Self:
        """The model itself, where this is one of :meth:`truncated`."""
        return self._whole or self

    @property
    def kind(self) -> Literal["transformer", "static"]:
        """Whether texts go through a transformer or a bag of token vectors."""
        return "transformer" if self.query_tower.padded else "static"

    def freeze_labels(self) -> None:
        """Leave the label tower as it is from now on; the query tower alone is trained.

        Raises:
            ConfigError: When the towers share weights that are trained.
        """
        query, label = ({id(p): p for m in tower.modules for p in m.parameters()} for tower in self.towers)
        if any(p.requires_grad for key, p in label.items() if key in query):
            raise ConfigError(
                "encoder.frozen_labels: expected towers that share no weights that are trained, got towers "
                "that do: part them, or leave frozen_labels false"
            )
        for parameter in label.values():
            parameter.requires_grad_(False)
        self.labels_frozen = True

    @property
    def towers(self) -> tuple[Tower, Tower]:
        """Of queries and of labels; two also where they share all weights."""
        return self.query_tower, self.label_tower

    @property
    def model(self) -> SentenceTransformer:
        """The library's model, which has the weights of the towers."""
        if isinstance(self._model, StaticModel):
            self._model = library_model(self._model, self.query_tower, self.label_tower)
        return self._model

    @property
    def module(self) -> SentenceTransformer | StaticModel:
        """What has the weights of the towers: the library's model, or a static one of modules of our own."""
        return self._model

    def parameters(self) -> Iterator[nn.Parameter]:
        """Every weight once, also when towers share it; those that are not trained ask for no gradient."""
        return self._model.parameters()

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on (or off); frozen layers have none."""
        self._model.train(mode)
        for tower in self.towers:
            tower.calm_frozen()
        return self

    def eval(self) -> Self:
        """Switch dropout off."""
        return self.train(False)

    def to(self, device: torch.device | str) -> Self:
        """Move the weights."""
        self._model.to(device)
        return self

    def _truncated(self, vectors: np.ndarray, tower: Tower) -> np.ndarray:
        if self.truncated_to is None:
            return vectors
        normalised = is_normalize(tower.modules[-1])
        found = cut(np.atleast_2d(vectors), self.truncated_to, normalised=normalised)
        return found[0] if vectors.ndim == 1 else found

    def _encode(self, tower: Tower, texts: TextInput, **options: Any) -> np.ndarray:
        if not _in_training(self._model, tower):
            return encode_texts(tower, texts, **options)
        # Put back afterwards, as validation encodes in the middle of training.
        training = self._model.training
        self._model.eval()
        try:
            return encode_texts(tower, texts, **options)
        finally:
            self.train(training)


def _in_training(model: nn.Module, tower: Tower) -> bool:
    """Whether a part of the tower would drop out; a static tower's modules have no parts that do."""
    parts = list(model.modules()) if tower.padded else tower.modules
    return model.training or any(part.training for part in parts)
