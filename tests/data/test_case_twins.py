from __future__ import annotations

from pathlib import Path

import pytest

from xmc.data import Dataset, DatasetWriter
from xmc.data.case_twins import CaseTwins, case_twins


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["Shoes", "hats", "boots"], CaseTwins(0, None)),
        (["a b", "Shoes", "A  B", "shoes", "SHOES", "x"], CaseTwins(5, ("a b", "A  B"))),
        (["same", "same", "", " "], CaseTwins(0, None)),
        (["Same", "same", "same"], CaseTwins(3, ("Same", "same"))),
    ],
)
def test_twins_are_counted(texts: list[str], expected: CaseTwins, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "out", name="toy") as writer:
        for uid, text in enumerate(texts):
            writer.add_label(str(uid), text)
    assert case_twins(Dataset.load(tmp_path / "out")) == expected
