from __future__ import annotations

import pytest

from xmc.errors import DataError
from xmc.reports.curves import Curve, read_curves, thinned

LINES = (
    '{"step": 0, "validation": {"P@1": 10.0}}\n'
    '{"step": 10, "loss": 3.5, "learning_rate": 0.1, "epoch": 0.5}\n'
    '{"step": 20, "loss": 2.5, "learning_rate": 0.2}\n'
    '{"step": 20, "validation": {"P@1": 30.0}}\n'
)


def test_loss_and_validation_by_step(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "metrics.jsonl"
    path.write_text(LINES + '{"step": 30, "lo', encoding="utf-8")
    found = read_curves(path)
    assert found.training["loss"] == Curve([10, 20], [3.5, 2.5]) and "epoch" not in found.training
    assert found.validation == {"P@1": Curve([0, 20], [10, 30])}


def test_a_damaged_line_is_named(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "metrics.jsonl"
    path.write_text(f"nonsense\n{LINES}", encoding="utf-8")
    with pytest.raises(DataError, match="line 1"):
        read_curves(path)
    with pytest.raises(DataError, match="expected a run's log"):
        read_curves(tmp_path / "nowhere")


def test_thinning_averages_blocks() -> None:
    assert thinned(Curve([1, 2, 3, 4, 5], [1, 3, 5, 7, 9]), 3) == Curve([1.5, 3.5, 5], [2, 6, 9])
    assert thinned(Curve()) == Curve()
