from __future__ import annotations

from pathlib import Path

import pytest

from xmc.errors import ConfigError
from xmc.reports.curves import Curve, LearningCurves
from xmc.reports.run_facts import RunFacts
from xmc.reports.untrained import Gain, open_untrained, training_gains


def test_gains_need_a_validation_before_training() -> None:
    curves = LearningCurves({}, {"P@1": Curve([0.0, 5.0, 9.0], [10.0, 30.0, 20.0])})
    assert training_gains(RunFacts(result={"best_step": 5}, curves=curves)) == [Gain("P@1", 10.0, 30.0, 5)]
    late = LearningCurves({}, {"P@1": Curve([5.0], [30.0])})
    assert training_gains(RunFacts(result={"best_step": 5}, curves=late)) == []
    assert training_gains(RunFacts(curves=curves)) == [], "a run that did not finish"


def test_what_is_no_run_has_no_untrained_encoder(dataset, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="--untrained: expected the first"):
        open_untrained(tmp_path, dataset, "test")
    (tmp_path / "config.yaml").write_text("encoder: {modell: x}\n")
    with pytest.raises(ConfigError, match="expected the configuration of a run"):
        open_untrained(tmp_path, dataset, "test")
