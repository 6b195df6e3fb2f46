"""Rows held out in several ways as one list of them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from xmc.tuning.held_out import HeldOut, Learned, joined


def test_held_out_rows_of_folds_are_one_list() -> None:
    def part(rows: list[int], apart: sp.csr_matrix | None) -> HeldOut:
        ids = np.array(rows)[:, None] * 10 + np.arange(3)
        scores = ids / 100
        learned = Learned(np.setdiff1d(np.arange(5), rows), np.zeros((5 - len(rows), 3), dtype=np.int64))
        return HeldOut(
            np.array(rows),
            (ids, scores),
            (ids + 1, scores),
            np.arange(5),
            0.5,
            apart,
            ((len(rows), learned),),
        )

    some = sp.csr_matrix(np.eye(2, 4, dtype=bool))
    whole = joined([part([1, 3], some), part([0], None), part([3], None)])
    assert whole is not None and whole.rows.tolist() == [1, 3, 0, 3] and whole.near_seconds == 1.5
    assert whole.lists[0][:, 0].tolist() == [10, 30, 0, 30] and whole.near[0][:, 0].tolist() == [
        11,
        31,
        1,
        31,
    ]
    assert whole.lists[1][1].tolist() == [0.3, 0.31, 0.32] and whole.voters.tolist() == [0, 1, 2, 3, 4]
    assert whole.apart is not None and whole.apart.toarray()[:2].tolist() == some.toarray().tolist()
    assert whole.apart.shape == (4, 4) and whole.apart.nnz == 2
    assert [(count, own.rows.tolist()) for count, own in whole.learned] == [
        (2, [0, 2, 4]),
        (1, [1, 2, 3, 4]),
        (1, [0, 1, 2, 4]),
    ]
    without = joined([part([1], None), part([2], None)])
    assert without is not None and without.apart is None
    assert joined([]) is None and joined([whole]) is whole
