"""Which calibration belongs to an index, and what is said where it is only about right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from xmc.encoders import DualEncoder
from xmc.prediction import Calibration, find_calibration
from xmc.prediction.curve import Point
from xmc.prediction.platt import Platt
from xmc.retrieval import LabelIndex


@pytest.mark.parametrize(
    ("factory", "fitted_with", "warning"),
    [
        ("Flat", 300, None),
        ("IVF2,Flat", 300, None),
        ("SQ4", 300, "fitted on exact scores, and those of the index SQ4 are approximate"),
        ("Flat", 200, "fitted with 200 labels, and here are 300"),
    ],
)
def test_what_makes_probabilities_about_right_is_warned_of(
    factory: str,
    fitted_with: int,
    warning: str | None,
    make_encoder: Callable[..., DualEncoder],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 3)).round(3)
    texts = [" ".join(map(str, row)) for row in vectors.tolist()]
    index = LabelIndex.build(make_encoder("m"), texts, factory=factory, progress=False)
    point = Point(1, 1, 1, 1, 1, 1)
    Calibration("m", fitted_with, "rows", 1, 3, Platt(2.0, -1.0), 0.0, [point]).save(tmp_path / "c.json")
    caplog.clear()
    found = find_calibration(index, tmp_path / "c.json")
    assert found is not None and found.num_labels == fitted_with
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == (warning is not None) and (warning or "") in " ".join(told)
