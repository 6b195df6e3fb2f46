from __future__ import annotations

import os
import signal

import pytest
import torch

from xmc.distributed import World
from xmc.training.run.interrupt import InterruptGuard, Verdict


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
