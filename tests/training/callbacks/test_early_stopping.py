from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from xmc.errors import ConfigError
from xmc.training import train
from xmc.training.callbacks import EarlyStopping


class Run(SimpleNamespace):
    """A run of which only the step matters."""

    reason: str | None = None

    def stop(self, reason: str) -> None:
        self.reason = reason


def heard(callback: EarlyStopping, values: list[float], first: int = 1) -> list[Any]:
    reasons = []
    for step, value in enumerate(values, start=first):
        run = Run(step=step)
        callback.after_validation(run, {"P@1": value})  # type: ignore[arg-type]
        reasons.append(run.reason)
    return reasons


def test_waits_for_validations_in_a_row_without_a_better_metric() -> None:
    reasons = heard(EarlyStopping("P@1", 2), [10.0, 9.0, 11.0, 11.0, 10.5])
    assert reasons == [None] * 4 + ["no better P@1 than 11.00 in 2 validations"]


def test_the_untrained_model_is_none_to_beat() -> None:
    assert heard(EarlyStopping("P@1", 1), [50.0, 10.0, 11.0], first=0) == [None] * 3


def test_a_resumed_run_goes_on_waiting() -> None:
    before, after = EarlyStopping("P@1", 2), EarlyStopping("P@1", 2)
    assert before.state_dict() == {}
    heard(before, [10.0, 9.0])
    after.load_state_dict(before.state_dict())
    assert heard(after, [9.5], first=3) == ["no better P@1 than 10.00 in 2 validations"]


def test_a_run_that_was_interrupted_when_it_was_to_stop_stops_again() -> None:
    before, after, run = EarlyStopping("P@1", 1), EarlyStopping("P@1", 1), Run(step=2)
    heard(before, [10.0, 9.0])
    after.load_state_dict(before.state_dict())
    after.on_start(run)  # type: ignore[arg-type]
    assert run.reason == "no better P@1 than 10.00 in 1 validations"


def test_there_have_to_be_validations(config, changed) -> None:
    with pytest.raises(ConfigError, match="training.patience: expected validations"):
        changed(config, training={"patience": 2}, validation={"rows": 0})


def test_a_run_ends_by_it(config, changed) -> None:
    # At a rate of nothing no validation is better than the first.
    still = changed(
        config,
        training={"patience": 2, "learning_rate": 1e-12},
        validation={"every": 3},
        objective={"label_offsets": False},
    )
    result = train(still)
    assert (result.num_steps, result.best_step) == (9, 3)
    assert result.stopped is not None and result.stopped.startswith("no better nDCG@5 than")
    with pytest.raises(ConfigError, match="training.patience: expected a whole number of at least 1"):
        changed(config, training={"patience": 0})
