"""What a trial is judged by: rows that it has not learned, but not labels that the final model will have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.tuning.trial import HeldOut, joined, judged_fairly, seen_elsewhere, typical

# Labels 0 and 1 have rows on both sides; 2 and 3 belong to a held-out row alone.
RELEVANCE = sp.csr_matrix(
    np.array([[1, 0, 0, 0], [0.5, 1, 0, 0], [0, 1, 2, 0], [0, 0, 0, 1], [1, 0, 1, 0]], dtype=np.float32)
)


def test_labels_that_no_other_row_has_are_apart() -> None:
    kept, apart = seen_elsewhere(RELEVANCE, np.array([2, 3, 4]))
    assert kept.tolist() == [0, 2]  # row 3 has a label of its own alone
    assert apart.toarray().tolist() == [[False, False, True, False], [False, False, True, False]]


def validator_of(rows: list[int], relevance: sp.csr_matrix) -> Any:
    dataset = SimpleNamespace(relevance=lambda half: relevance)
    return SimpleNamespace(dataset=dataset, rows=np.array(rows), apart=None)


def test_rows_of_no_other_label_are_left_out_unless_all_are() -> None:
    validator = validator_of([2, 3, 4], RELEVANCE)
    judged_fairly(validator)
    assert validator.rows.tolist() == [2, 4] and validator.apart.shape == (2, 4)
    alone = validator_of([3], RELEVANCE)
    judged_fairly(alone)
    assert alone.rows.tolist() == [3] and alone.apart is None


def test_held_out_rows_of_folds_are_one_list() -> None:
    def part(rows: list[int], apart: sp.csr_matrix | None) -> HeldOut:
        ids = np.array(rows)[:, None] * 10 + np.arange(3)
        scores = ids / 100
        return HeldOut(np.array(rows), (ids, scores), (ids + 1, scores), np.arange(5), 0.5, apart)

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
    without = joined([part([1], None), part([2], None)])
    assert without is not None and without.apart is None
    assert joined([]) is None and joined([whole]) is whole


def test_a_step_that_waited_does_not_make_the_pace() -> None:
    assert typical([]) == 0
    assert typical([0.9, 0.1, 0.1, 0.1, 0.1, 9.0]) == pytest.approx(0.1)
    assert typical([2.0] * 6) == pytest.approx(2.0), "a slow machine is told"
