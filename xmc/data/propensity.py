"""Label propensities: how likely a true label is to be in the data, by its training frequency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from xmc.errors import ConfigError

__all__ = [
    "KNOWN_PROPENSITIES",
    "Propensity",
    "describe_propensity",
    "inverse_propensity",
    "known_propensity",
    "propensity_source",
]


@dataclass(frozen=True)
class Propensity:
    """The constants A and B of Jain, Prabhu and Varma, "Extreme multi-label loss functions" (KDD 2016).

    Raises:
        ConfigError: When ``a`` or ``b`` is negative or not finite.
    """

    a: float = 0.55
    b: float = 1.5

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, constants that are negative or not finite."""
        if not all(np.isfinite(value) and value >= 0 for value in (self.a, self.b)):
            raise ConfigError(f"expected propensity constants of at least 0, got a={self.a}, b={self.b}")


_AMAZON = Propensity(0.6, 2.6)
_WIKIPEDIA = Propensity(0.5, 0.4)
_OTHER = Propensity(0.55, 1.5)

_PAPER = "Jain, Prabhu, Varma, KDD 2016, fitted on Amazon and Wikipedia; 0.55 and 1.5 for all others"
_NGAME = "the configuration published with NGAME (WSDM 2023)"
_SEE_ALSO = f"{_NGAME}; others use 0.5 and 0.4 (Renee) or, for the titles, 0.6 and 2.6 (SiameseXML)"

_TABLE: dict[str, tuple[Propensity, str]] = {
    "Amazon-670K": (_AMAZON, _PAPER),
    "Amazon-3M": (_AMAZON, _PAPER),
    "AmazonTitles-670K": (_AMAZON, _PAPER),
    "AmazonTitles-3M": (_AMAZON, _PAPER),
    "LF-Amazon-131K": (_AMAZON, _PAPER),
    "LF-AmazonTitles-131K": (_AMAZON, _NGAME),
    "LF-AmazonTitles-1.3M": (_AMAZON, _NGAME),
    "Wikipedia-500K": (_WIKIPEDIA, _PAPER),
    "WikiTitles-500K": (_WIKIPEDIA, _PAPER),
    "LF-Wikipedia-500K": (_WIKIPEDIA, _NGAME),
    "LF-WikiTitles-500K": (_WIKIPEDIA, _PAPER),
    "AmazonCat-13K": (_OTHER, _PAPER),
    "AmazonCat-14K": (_OTHER, _PAPER),
    "Bibtex": (_OTHER, _PAPER),
    "Delicious": (_OTHER, _PAPER),
    "Delicious-200K": (_OTHER, _PAPER),
    "EURLex-4K": (_OTHER, _PAPER),
    "LF-WikiSeeAlso-320K": (_OTHER, _SEE_ALSO),
    "LF-WikiSeeAlsoTitles-320K": (_OTHER, _SEE_ALSO),
    "Mediamill": (_OTHER, _PAPER),
    "RCV1-2K": (_OTHER, _PAPER),
    "Wiki10-31K": (_OTHER, _PAPER),
}

KNOWN_PROPENSITIES: dict[str, Propensity] = {name: constants for name, (constants, _) in _TABLE.items()}
"""Published constants by the data set's whole name; part of a name never decides."""

_BY_FOLDED_NAME = {name.casefold(): row for name, row in _TABLE.items()}


def known_propensity(name: str) -> Propensity:
    """The published constants of the data set ``name`` (whole name, any case), else 0.55 and 1.5."""
    row = _BY_FOLDED_NAME.get(name.casefold())
    return row[0] if row else Propensity()


def propensity_source(name: str) -> str | None:
    """Where the published constants of the data set ``name`` are from; None when it is not in the table."""
    row = _BY_FOLDED_NAME.get(name.casefold())
    return row[1] if row else None


def describe_propensity(name: str, constants: Propensity) -> str:
    """Where the constants that the data set ``name`` was prepared with are from, in a few words."""
    source = propensity_source(name)
    if source is not None and constants == known_propensity(name):
        return f"published for {name}: {source}"
    if source is None and constants == Propensity():
        return f"the default, as {name} is not in the table of published constants"
    return "given when the data set was prepared"


def inverse_propensity(relevance_train: sp.csr_matrix, a: float, b: float) -> np.ndarray:
    """Each label's weight ``w = 1 + C (n + B)^-A`` with ``C = (ln N - 1) (B + 1)^A``, n its training points.

    Jain, Prabhu and Varma (KDD 2016), equation 5, which gives the propensity ``p = 1 / w``: the chance that a
    true label was recorded. It rises with a label's frequency, so a hit on a rare label weighs more. Entries
    count as one point whatever their relevance.

    Args:
        relevance_train: CSR [N, L] of the training rows.
        a: The exponent A of the data set.
        b: The shift B of the data set.

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
