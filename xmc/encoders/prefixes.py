"""Vectors cut to their first components, and given the length 1 again where whole ones have it.

Source: Kusupati et al. 2022, "Matryoshka Representation Learning" (arXiv:2205.13147), section 3: a model
trained for it ranks by any of its prefixes. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError

__all__ = ["check_cut", "check_dimensions", "cut", "shorter"]

_LEAST_LENGTH = np.float32(1e-12)


def cut(vectors: NDArray[np.floating[Any]], dimension: int, *, normalised: bool) -> NDArray[np.float32]:
    """The first components of vectors, float32 [N, d] of [N, D].

    Args:
        vectors: [N, D].
        dimension: d, at most D; D leaves all as it is.
        normalised: Whether they are to have the length 1; a prefix of zeros stays one.
    """
    if dimension == vectors.shape[1]:
        return np.asarray(vectors, dtype=np.float32)
    prefix = np.array(vectors[:, :dimension], dtype=np.float32)
    if normalised:
        prefix /= np.maximum(np.linalg.norm(prefix, axis=1, keepdims=True), _LEAST_LENGTH)
    return prefix


def shorter(dimensions: Sequence[int] | None, whole: int) -> tuple[int, ...]:
    """Those of ``dimensions`` that are less than all, the largest first."""
    return tuple(sorted((d for d in dimensions or () if d < whole), reverse=True))


def check_cut(dimension: int, whole: int, option: str) -> None:
    """Refuse a number of components that vectors of ``whole`` cannot be cut to.

    Raises:
        ConfigError: Naming the option.
    """
    if not 1 <= dimension <= whole:
        raise ConfigError(f"{option}: expected 1 to {whole} components, which the model has, got {dimension}")


def check_dimensions(dimensions: Sequence[int] | None, whole: int) -> None:
    """Refuse prefixes to train that a model of ``whole`` components has not, or that leave some untrained.

    Raises:
        ConfigError: Saying what to list.
    """
    if dimensions is None:
        return
    if max(dimensions) != whole:
        raise ConfigError(
            f"encoder.dimensions: expected {whole}, the components of the model, and smaller numbers, got "
            f"{list(dimensions)}: components beyond the largest would not be trained"
        )
