"""What speaks for each label that an ensemble ranks, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from xmc.retrieval.evidence import EVIDENCE, gather_evidence


@pytest.mark.parametrize("silent", [False, True])
def test_each_number_is_of_its_label(silent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmc.retrieval.evidence._BLOCK", 3)
    rng = np.random.default_rng(0)
    own = np.array([rng.permutation(30)[:6] for _ in range(8)])
    given = -np.sort(-rng.random((8, 6)), axis=1).astype(np.float32)
    own[2, 4:], given[2, 4:] = -1, -np.inf
    said = rng.standard_normal((8, 6)).astype(np.float32)
    said[rng.random((8, 6)) < 0.3] = np.nan
    ids = np.array([rng.permutation(30)[:9] for _ in range(8)])
    scores = rng.random((8, 9)).astype(np.float32)
    ids[5, 7:], scores[5, 7:] = -1, -np.inf
    found = gather_evidence((own, given), None if silent else said, (ids, scores))
    assert found.shape == (8, 9, len(EVIDENCE)) and np.isfinite(found).all()
    listed = 0
    for row in range(8):
        for rank, label in enumerate(ids[row].tolist()):
            expected = [0.0] * 5
            if label >= 0:
                place = own[row].tolist().index(label) if label in own[row] else None
                listed += place is not None
                model = given[row][own[row] >= 0].min() if place is None else given[row, place]
                heard = np.nan if place is None or silent else said[row, place]
                quiet = bool(np.isnan(heard))
                expected = [scores[row, rank], model, given[row, 0], 0.0 if quiet else heard, float(quiet)]
            np.testing.assert_allclose(found[row, rank], expected, rtol=1e-6)
    assert listed > 5


def test_a_query_without_a_label_has_none() -> None:
    none = np.full((1, 3), -1), np.full((1, 3), -np.inf)
    assert not gather_evidence(none, None, none).any()
