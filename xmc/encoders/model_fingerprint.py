"""A model's name by what it is: by all that decides a ranking, so that an index refuses another model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from xmc.encoders.label_residuals import LabelResiduals
from xmc.encoders.label_vectors import LabelVectors
from xmc.encoders.metadata import EncoderMetadata, LabelOffsets
from xmc.files import fingerprint

__all__ = ["Weights", "described", "digest", "model_fingerprint"]


class Weights(NamedTuple):
    """A tensor of a module as it is named: the same bytes in another layout are another model."""

    module: int
    """Its module's position in the tower."""
    name: str
    dtype: str
    """As torch calls it: ``torch.float32``."""
    shape: tuple[int, ...]
    data: memoryview


def digest(weights: Iterable[Weights]) -> str:
    """SHA-256 of tensors, in their order; positions, names, types and shapes count as well."""
    total = hashlib.sha256()
    for module, name, dtype, shape, data in weights:
        total.update(f"{module} {name} {dtype} {shape}".encode())
        total.update(data)
    return total.hexdigest()


def described(modules: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """The modules of a tower by name and settings, as one text."""
    return json.dumps(modules, sort_keys=True, default=str)


def model_fingerprint(
    towers: Sequence[tuple[str, str]],
    weights: Sequence[str],
    metadata: EncoderMetadata,
    offsets: LabelOffsets | None,
    residuals: LabelResiduals | None,
    vectors: LabelVectors | None,
) -> str:
    """Names weights, tokenizers, lengths and label parameters; equal after save and load.

    Args:
        towers: Of queries and of labels: how texts become tokens, and the modules by name and settings.
        weights: `digest` of each tower, of one where they share all.
        metadata: Of the model.
        offsets: A number per label, or None.
        residuals: A vector per label that is added, or None.
        vectors: A vector per label that stands for its text, or None.
    """
    parts = [part for tower in towers for part in tower]
    parts += weights
    if offsets is not None:
        # The index divides offsets by the scale, so without offsets it changes no ranking.
        parts += [repr(metadata.scale), "\n".join(offsets.uids), offsets.offsets.tobytes().hex()]
    if residuals is not None:
        parts += ["\n".join(residuals.uids), _sha256(residuals.rows), _sha256(residuals.table)]
    if vectors is not None:
        ranking = f"{metadata.ranking} {metadata.ranking_shift!r}"
        parts += [ranking, "\n".join(vectors.uids), _sha256(vectors.table)]
    return fingerprint(*parts)


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
