from __future__ import annotations

import numpy as np
import pytest

from xmc.errors import DataError
from xmc.evaluation import load_predictions, save_predictions

IDS = np.array([[3, 1, 2], [0, -1, -1]])
SCORES = np.array([[0.5, 0.5, -2.0], [1.0, -np.inf, -np.inf]])


def test_round_trip_with_the_stated_types(tmp_path):
    save_predictions(tmp_path / "predictions.npz", IDS, SCORES)
    ids, scores = load_predictions(tmp_path / "predictions.npz")
    assert ids.dtype == np.int32 and scores.dtype == np.float32
    np.testing.assert_array_equal(ids, IDS)
    np.testing.assert_array_equal(scores, SCORES)
    with np.load(tmp_path / "predictions.npz") as content:
        assert sorted(content) == ["ids", "scores"] and content["ids"].dtype == np.int32


@pytest.mark.parametrize(
    ("ids", "scores", "text"),
    [
        (IDS, SCORES[:, ::-1], "row 0.*best prediction first"),
        (IDS[:, ::-1], SCORES, "row 1.*only at the end"),
        (np.where(IDS == 3, -2, IDS), SCORES, "row 0.*0 or more"),
        (IDS, np.where(SCORES == 1.0, np.nan, SCORES), "row 1.*NaN"),
        (IDS, SCORES[:1], r"like ids"),
        (IDS.astype(float), SCORES, "integers"),
    ],
)
def test_what_is_not_predictions_is_refused_and_leaves_nothing(tmp_path, ids, scores, text):
    with pytest.raises(DataError, match=text):
        save_predictions(tmp_path / "predictions.npz", ids, scores)
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_explained(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", labels=IDS)
    np.savez(tmp_path / "object.npz", ids=np.array([[{}]], dtype=object), scores=SCORES)
    np.save(tmp_path / "array.npz.npy", IDS)
    for name in ("text.npz", "other.npz", "object.npz", "array.npz.npy", "missing.npz"):
        with pytest.raises(DataError, match=name):
            load_predictions(tmp_path / name)
