"""Label embeddings without training: of a label's text, of queries it is known to fit, and of both together.

A prototype out of support queries is their mean, each weighted by one over the number of its positives: a
query with many labels says less of any one of them. On the unit sphere the mean, made a unit vector, is the
direction whose summed cosine with the weighted queries is largest. Text and support queries are blended as
``k0 / (k0 + n) text + n / (k0 + n) support`` for n queries: the text counts as k0 queries do.

Source: Pereira, Joly, Valduriez, Porto, "Hyperspherical embedding for novel class classification",
arXiv:2102.03243: the weight of a new class is the normalised mean of its examples' embeddings. The weights of
queries and the blend are for queries of several labels and for labels with a text.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from xmc.errors import ConfigError, DataError

__all__ = ["DEFAULT_K0", "blended_prototypes", "support_prototypes"]

DEFAULT_K0 = 2.0
"""How many support queries a label's text counts as; held-out rows chose it on two data sets."""

Floats = NDArray[np.float32]
_SHORT = 1e-6


def support_prototypes(
    queries: Floats,
    relevance: sp.csr_matrix,
    *,
    num_positives: NDArray[np.integer] | None = None,
    normalised: bool = True,
) -> tuple[Floats, NDArray[np.int64]]:
    """The mean embedding of each label's support queries, and how many there are.

    Args:
        queries: Embeddings [N, D].
        relevance: CSR [N, l]: which labels each query is known to have; values other than 0 count alike.
        num_positives: [N], the labels of each query, those not among the l too; those among them when None.
        normalised: Give unit vectors, as the model does; else weighted means.

    Returns:
        Prototypes float32 [l, D], zeros for a label without support, and the support queries of each, int64
        [l].

    Raises:
        ConfigError: When the shapes do not fit, or a query has fewer positives than labels here.
        DataError: When a label's queries cancel out, so that their mean has no direction.
    """
    pairs = sp.csr_matrix(relevance, dtype=np.float64, copy=True)
    pairs.sum_duplicates()
    pairs.eliminate_zeros()
    here = np.diff(pairs.indptr)
    positives = here if num_positives is None else np.asarray(num_positives)
    if queries.ndim != 2 or len(queries) != pairs.shape[0] or positives.shape != here.shape:
        raise ConfigError(
            f"expected queries [N, D], relevance [N, l] and positives [N], got {queries.shape}, "
            f"{pairs.shape} and {positives.shape}"
        )
    if (positives < here).any():
        row = int(np.argmax(positives < here))
        raise ConfigError(
            f"expected at least the {here[row]} labels of query {row} as its positives, got {positives[row]}"
        )
    pairs.data = np.repeat(1.0 / np.maximum(positives, 1), here)
    counts = pairs.getnnz(axis=0).astype(np.int64)
    sums = np.asarray(pairs.T @ np.asarray(queries, dtype=np.float64))
    weights = np.asarray(pairs.sum(axis=0)).ravel()
    means = sums / np.where(counts, weights, 1.0)[:, None]
    return _as_the_model(means, counts > 0, normalised), counts


def blended_prototypes(
    texts: Floats,
    support: Floats,
    counts: NDArray[np.integer],
    *,
    k0: float = DEFAULT_K0,
    normalised: bool = True,
) -> Floats:
    """``k0 / (k0 + n) text + n / (k0 + n) support`` for each label, float32 [l, D].

    A label without support queries is its text, to the last bit.

    Args:
        texts: Embeddings of the labels' texts [l, D].
        support: Prototypes out of support queries [l, D].
        counts: Support queries n of each label [l].
        k0: What the text counts as, in queries: 0 for support queries alone, infinity for the text alone.
        normalised: Give unit vectors, as the model does.

    Raises:
        ConfigError: When k0 is negative or no number, or the shapes do not fit.
        DataError: When text and support queries cancel out.
    """
    if not k0 >= 0:
        raise ConfigError(f"expected k0 to be 0 or more, got {k0}")
    if texts.shape != support.shape or counts.shape != (len(texts),):
        raise ConfigError(
            f"expected texts and support of one shape [l, D] and counts [l], got {texts.shape}, "
            f"{support.shape} and {counts.shape}"
        )
    known = (counts > 0) & (k0 != np.inf)
    share = np.zeros(len(texts))
    share[known] = counts[known] / (k0 + counts[known])
    blended = (1.0 - share)[:, None] * texts + share[:, None] * support
    return np.where(known[:, None], _as_the_model(blended, known, normalised), texts).astype(np.float32)


def _as_the_model(vectors: NDArray[np.float64], known: NDArray[np.bool_], normalised: bool) -> Floats:
    """Unit vectors where the model's are, of the known rows."""
    if not normalised:
        return vectors.astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    lost = np.flatnonzero(known & (lengths < _SHORT))
    if len(lost):
        raise DataError(
            f"expected the embeddings that make label {lost[0]} to have a mean with a direction, but they "
            f"cancel out ({len(lost)} such labels): give other support queries, or none"
        )
    return (vectors / np.where(known, lengths, 1.0)[:, None]).astype(np.float32)
