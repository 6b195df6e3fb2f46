"""Label propensities: how likely a true label is to be in the data, by its training frequency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from xmc.errors import ConfigError

__all__ = ["KNOWN_PROPENSITIES", "Propensity", "inverse_propensity", "known_propensity"]


@dataclass(frozen=True)
class Propensity:
    """The constants A and B of Jain, Prabhu and Varma, "Extreme multi-label loss functions" (KDD 2016).

    Raises:
        ConfigError: When ``a`` or ``b`` is negative or not finite.
    """

    a: float = 0.55
    b: float = 1.5

    def __post_init__(self) -> None:
        if not all(np.isfinite(value) and value >= 0 for value in (self.a, self.b)):
            raise ConfigError(f"expected propensity constants of at least 0, got a={self.a}, b={self.b}")


_AMAZON = Propensity(0.6, 2.6)
_WIKIPEDIA = Propensity(0.5, 0.4)
_OTHER = Propensity(0.55, 1.5)

KNOWN_PROPENSITIES: dict[str, Propensity] = {
    "Amazon-670K": _AMAZON,
    "Amazon-3M": _AMAZON,
    "AmazonTitles-670K": _AMAZON,
    "AmazonTitles-3M": _AMAZON,
    "LF-Amazon-131K": _AMAZON,
    "LF-AmazonTitles-131K": _AMAZON,
    "LF-AmazonTitles-1.3M": _AMAZON,
    "Wikipedia-500K": _WIKIPEDIA,
    "WikiTitles-500K": _WIKIPEDIA,
    "LF-Wikipedia-500K": _WIKIPEDIA,
    "LF-WikiTitles-500K": _WIKIPEDIA,
    "AmazonCat-13K": _OTHER,
    "AmazonCat-14K": _OTHER,
    "Bibtex": _OTHER,
    "Delicious": _OTHER,
    "Delicious-200K": _OTHER,
    "EURLex-4K": _OTHER,
    "LF-WikiSeeAlso-320K": _OTHER,
    "LF-WikiSeeAlsoTitles-320K": _OTHER,
    "Mediamill": _OTHER,
    "RCV1-2K": _OTHER,
    "Wiki10-31K": _OTHER,
}
"""Published constants by the data set's whole name; part of a name never decides."""

_BY_FOLDED_NAME = {name.casefold(): value for name, value in KNOWN_PROPENSITIES.items()}


def known_propensity(name: str) -> Propensity:
    """The published constants of the data set ``name`` (whole name, any case), else 0.55 and 1.5."""
    return _BY_FOLDED_NAME.get(name.casefold(), Propensity())


def inverse_propensity(relevance_train: sp.csr_matrix, a: float, b: float) -> np.ndarray:
    """Each label's weight ``w = 1 + C (n + B)^-A`` with ``C = (ln N - 1) (B + 1)^A``, n its training points.

    Jain, Prabhu and Varma (KDD 2016), equation 5. Entries count as one point whatever their relevance.

    Args:
        relevance_train: CSR [N, L] of the training rows.
        a, b: The constants of the data set.

    Returns:
        float64 [L].

    Raises:
        ConfigError: When there is no training row.
    """
    num_rows, num_labels = relevance_train.shape
    if num_rows == 0:
        raise ConfigError("expected at least one training row to weigh labels by propensity, got none")
    points = np.bincount(relevance_train.indices[relevance_train.data != 0], minlength=num_labels)
    c = (np.log(num_rows) - 1.0) * (b + 1.0) ** a
    weights: np.ndarray = 1.0 + c * (points + b) ** -a
    return weights
