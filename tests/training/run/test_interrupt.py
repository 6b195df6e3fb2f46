from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from xmc.cli.main import guarded
from xmc.distributed import World
from xmc.training import train
from xmc.training.run.interrupt import ECHO_SECONDS, InterruptGuard, Verdict
from xmc.training.step import StepInputs, StepResult, optimise


@pytest.fixture
def default_interrupt():
    """A background job of a shell starts with SIGINT ignored; these tests need Python's own handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_interrupt_asks_and_the_second_stops(default_interrupt):
    with InterruptGuard(World(), torch.device("cpu")) as guard:
        assert guard.agree() is Verdict.GO_ON and guard.agree(Verdict.STOP) is Verdict.STOP
        os.kill(os.getpid(), signal.SIGINT)
        assert guard.agree() is Verdict.INTERRUPT and guard.agree(Verdict.SAVE) is Verdict.INTERRUPT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.sigtimedwait([], 0.5)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_has_an_exit_code_of_its_own(config, changed, monkeypatch, number, code):
    """Sent in the middle of a step: the step is finished and saved."""

    def during(inputs: StepInputs, step: int) -> StepResult:
        if step == 3:
            os.kill(os.getpid(), number)
        return optimise(inputs, step)

    monkeypatch.setattr("xmc.training.loop.optimise", during)
    assert guarded(lambda: train(config)) == code
    assert (Path(config.run.dir) / "checkpoints" / "step-00000004").is_dir()
    monkeypatch.undo()
    assert guarded(lambda: train(changed(config, run={"resume": True}, training={"max_steps": 5}))) == 2
    assert guarded(lambda: train(changed(config, run={"resume": True}))) == 0


def test_a_launchers_echo_of_an_interrupt_is_not_a_second_one(default_interrupt):
    with InterruptGuard(World(0, 2), torch.device("cpu")) as guard:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert guard.asked is Verdict.INTERRUPT
        guard._when -= ECHO_SECONDS + 1
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.sigtimedwait([], 0.5)
