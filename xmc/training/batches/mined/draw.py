"""Which of its mined labels each row brings to its batch: a draw for all rows at once, an epoch at a time."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmc.training.batches.mined.config import MinedConfig
from xmc.training.batches.mined.search import MinedLabels

__all__ = ["draw_mined"]

ROWS_AT_ONCE = 65_536


def draw_mined(
    config: MinedConfig, mined: MinedLabels, num_labels: int, generator: np.random.Generator
) -> sp.csr_matrix:
    """Draw ``config.count`` labels of each row's window without replacement, or all where it holds fewer.

    "rank" gives each label of the window the same chance; "score" draws one after the other with chances
    proportional to ``exp(sharpness * score)`` (the Gumbel top-k trick).

    Args:
        config: How many, and how.
        mined: Lists of N rows.
        num_labels: L.
        generator: Decides the draw.

    Returns:
        CSR bool [N, L].
    """
    chosen = []
    for start in range(0, len(mined.ids), ROWS_AT_ONCE):
        ids = mined.ids[start : start + ROWS_AT_ONCE]
        # The count largest of log-weight + Gumbel noise are drawn without replacement, with chances in
        # proportion to the weights (Efraimidis and Spirakis 2006; Kool et al. 2019, arXiv 1903.06059).
        # Without a log-weight all chances are equal.
        keys = generator.gumbel(size=ids.shape)
        if config.draw == "score":
            keys += config.sharpness * mined.scores[start : start + ROWS_AT_ONCE]
        # Pads come last, and are drawn only where a window holds fewer labels than are wanted.
        keys[ids < 0] = -np.inf
        best = np.argpartition(-keys, min(config.count, keys.shape[1]) - 1, axis=1)[:, : config.count]
        chosen.append(np.take_along_axis(ids, best, 1))
    drawn = np.concatenate(chosen) if chosen else np.empty((0, 0), dtype=np.int32)
    rows, columns = np.nonzero(drawn >= 0)
    labels = drawn[rows, columns].astype(np.int64)
    return sp.csr_matrix((np.ones(len(rows), dtype=bool), (rows, labels)), shape=(len(drawn), num_labels))
