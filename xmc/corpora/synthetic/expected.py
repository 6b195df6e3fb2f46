"""What a ranking of a made-up data set's test queries is worth in expectation, by the law they were drawn by.

The labels that a query got are drawn, some by chances near one half: of 10,000 queries a measured P@1 has a
standard error of 0.4 points. The chance of each label given the query's text is known, and its mean over a
ranking's first labels has none of that noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmc.corpora.synthetic.build import CEILING_AT, CHUNK, Source
from xmc.corpora.synthetic.catalogue import make_catalogue
from xmc.corpora.synthetic.law import Law
from xmc.corpora.synthetic.oracle import Oracle
from xmc.corpora.synthetic.vocabulary import make_vocabulary
from xmc.data.dataset import Dataset
from xmc.errors import DataError

__all__ = ["expected_precision"]

_KNOWN = 100


def expected_precision(dataset: Dataset, ids: NDArray[np.integer]) -> dict[str, float]:
    """Expected P@1, P@3 and P@5 in percent of a ranking of the test queries: a lower bound.

    What is not among the hundred likeliest labels of a query counts as never right.

    Args:
        dataset: Which `build_synthetic` made.
        ids: [N, K] label ids, best first, -1 pads; K of 5 or more.

    Raises:
        DataError: When the data set is another, or the ranking has not its shape.
    """
    made_by = dataset.manifest.sources[0] if dataset.manifest.sources else {}
    if "law" not in made_by or "families" not in made_by:
        raise DataError(f"expected a data set of `xmc data synthetic`, got {dataset.name}")
    most = max(CEILING_AT)
    if ids.ndim != 2 or len(ids) != dataset.num_test or ids.shape[1] < most:
        raise DataError(
            f"expected a ranking [{dataset.num_test}, {most} or more] of the test queries, got "
            f"{list(ids.shape)}"
        )
    law, seed, names = Law(**made_by["law"]), int(made_by["seed"]), int(made_by.get("names", 0))
    catalogue = make_catalogue(
        dataset.num_labels, law.zipf_offset, seed, int(made_by.get("crowding", 1)), names
    )
    source, oracle = Source(catalogue, make_vocabulary(seed, names), law, seed), Oracle(catalogue, law)
    by_rank = np.zeros(most)
    for chunk, start in enumerate(range(0, len(ids), CHUNK)):
        ranked = ids[start : start + CHUNK, :most]
        likeliest, chances = oracle.rank(
            source.queries("test", chunk).observed[: len(ranked)], min(_KNOWN, dataset.num_labels)
        )
        same = ranked[:, :, None] == likeliest[:, None, :]
        by_rank += (same * chances[:, None, :]).sum(axis=(0, 2))
    summed = np.cumsum(by_rank)
    return {f"P@{k}": round(float(100 * summed[k - 1] / k / len(ids)), 4) for k in CEILING_AT}
