"""An objective on several prefixes of the vectors at once, so that each of them ranks by itself.

Source: Kusupati et al. 2022, "Matryoshka Representation Learning" (arXiv:2205.13147), equation 1: the loss is
``sum_m c_m L(q[:m], E[:, :m])``. Here the weights ``c`` add up to 1, so that rates and scales of an objective
stay what they are, and a prefix is normalised anew where whole vectors are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives.catalogue import ObjectiveFacts
from xmc.objectives.objective import Loss, Reduction
from xmc.objectives.state import LossStates
from xmc.scoring import ScoreInputs

__all__ = ["Matryoshka", "prefix_of", "prefix_scores", "with_dimensions"]


def prefix_of(vectors: Tensor, dimension: int, *, normalised: bool) -> Tensor:
    """The first components of vectors, [n, d] of [n, D], of length 1 where whole ones are.

    All D leave the vectors as they are, so that the term of the whole is the objective itself.
    """
    if dimension == vectors.shape[1]:
        return vectors
    prefix = vectors[:, :dimension]
    return F.normalize(prefix, dim=1) if normalised else prefix


def prefix_scores(
    inputs: ScoreInputs, dimension: int, *, query_normalised: bool = True, label_normalised: bool = True
) -> ScoreInputs:
    """What is scored by the first ``dimension`` components alone; scale, offsets and weights stay.

    Args:
        inputs: Of whole vectors.
        dimension: d, at most D.
        query_normalised: Whether queries have the length 1.
        label_normalised: Whether labels have; those of a memory are what the label tower gave.

    Raises:
        ConfigError: When labels outside the pool are known by their moments: those of normalised prefixes
            do not follow from those of whole vectors.
    """
    if dimension == inputs.queries.shape[1]:
        return inputs
    extra = inputs.extra
    if extra is not None and extra.moments is not None:
        raise ConfigError(
            "encoder.dimensions: expected an objective that scores the labels of a memory, got moments of "
            "whole vectors, which say nothing of normalised prefixes: leave negatives.memory off, or take "
            "another objective"
        )
    if extra is not None and extra.frozen is not None:
        frozen = prefix_of(extra.frozen.embeddings, dimension, normalised=label_normalised)
        extra = replace(extra, frozen=replace(extra.frozen, embeddings=frozen))
    return replace(
        inputs,
        queries=prefix_of(inputs.queries, dimension, normalised=query_normalised),
        labels=prefix_of(inputs.labels, dimension, normalised=label_normalised),
        extra=extra,
    )


@dataclass(frozen=True)
class Matryoshka:
    """The weighted mean of a loss over prefixes; see :class:`xmc.objectives.objective.Loss`.

    Each prefix is a batch of its own to the loss: tiles, shards, samples, masked pairs and frozen labels are
    scored as ever, one prefix after the other, in a share of the memory for score tiles.

    Attributes:
        loss: Of one prefix.
        dimensions: The prefixes' numbers of components; the largest is D.
        weights: Of each; they add up to 1.
        query_normalised: Whether queries have the length 1, and so their prefixes.
        label_normalised: The same of labels.
    """

    loss: Loss
    dimensions: tuple[int, ...]
    weights: tuple[float, ...]
    query_normalised: bool = True
    label_normalised: bool = True

    @cached_property
    def facts(self) -> ObjectiveFacts:
        """The loss's; but moments of remembered labels say nothing of prefixes."""
        return replace(self.loss.facts, takes_moments=False)

    def __call__(self, inputs: ScoreInputs, reduction: Reduction = "mean") -> Tensor:
        """See :class:`xmc.objectives.objective.Loss`.

        Raises:
            ConfigError: As :func:`prefix_scores`.
        """
        share = max(1, inputs.tile_bytes // len(self.dimensions))
        # Read once for all: the pairs of every prefix are the same.
        whole = replace(inputs, positives=inputs.pairs, masked=inputs.masked_pairs, memory_bytes=share)
        total: Tensor | None = None
        with torch.autocast(inputs.queries.device.type, enabled=False):
            for dimension, weight in zip(self.dimensions, self.weights, strict=True):
                part = prefix_scores(
                    whole,
                    dimension,
                    query_normalised=self.query_normalised,
                    label_normalised=self.label_normalised,
                )
                loss = weight * self.loss(part, reduction)
                total = loss if total is None else total + loss
        assert total is not None
        return total


def with_dimensions(
    loss: Loss,
    dimensions: Sequence[int] | None,
    weights: Sequence[float] | None = None,
    *,
    normalised: tuple[bool, bool] = (True, True),
) -> Loss:
    """The loss over prefixes, or as it is where none are listed.

    Args:
        loss: Of one prefix.
        dimensions: Numbers of components, or None.
        weights: Of each, in any unit; equal ones when None.
        normalised: Whether queries and whether labels have the length 1.

    Raises:
        ConfigError: For a loss that keeps something of whole vectors from batch to batch.
    """
    if not dimensions:
        return loss
    if kept := LossStates(loss).by_name:
        raise ConfigError(
            f"encoder.dimensions: expected null with {', '.join(part.facts.name for part in kept.values())}, "
            f"which keeps means of whole vectors, got {list(dimensions)}"
        )
    given = [1.0] * len(dimensions) if weights is None else list(weights)
    shares = tuple(weight / sum(given) for weight in given)
    return Matryoshka(loss, tuple(dimensions), shares, *normalised)
