"""Whether another process lives, by itself or by its beats."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, cast

import psutil
import pytest

from xmc.distributed.life import BEAT, Peer


class Store:
    """A store that holds one beat."""

    def __init__(self) -> None:
        self.beat = b"1"

    def check(self, keys: list[str]) -> bool:
        return True

    def get(self, key: str) -> bytes:
        return self.beat


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """One that waits until it is ended."""
    command = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as started:
        yield started
        started.kill()


def lost(peer: Peer, store: Store) -> str | None:
    return peer.lost(cast(Any, store), 1, 2 * BEAT)


def test_a_step_of_the_system_s_clock_ends_nobody(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = psutil.Process.create_time
    peer = Peer(process.pid, psutil.Process(process.pid).create_time(), "host", here=True)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: told(self) + 3600)
    assert lost(peer, Store()) is None
    process.kill()
    deadline = time.monotonic() + 20
    while lost(peer, Store()) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    # A zombie until it is waited for.
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    died = f"died (process {process.pid} on host is gone)"
    assert lost(peer, Store()) == died
    process.wait()
    assert lost(peer, Store()) == died


@pytest.mark.parametrize("there", ["another process", "no process"])
def test_a_process_that_cannot_be_told_lives_by_its_beats(
    there: str, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container with the name of this host and processes of its own."""
    created = psutil.Process(process.pid).create_time() - 100
    if there == "no process":
        process.kill()
        process.wait()
    now = 0.0
    monkeypatch.setattr("xmc.distributed.life.time.monotonic", lambda: now)
    peer, store = Peer(process.pid, created, "host", here=True), Store()
    assert lost(peer, store) is None
    said = []
    for _ in range(3):
        now += BEAT
        said.append(lost(peer, store))
    assert said[:2] == [None, None] and said[2] is not None and "gave no sign of life" in said[2]
    store.beat = b"2"
    assert lost(peer, store) is None
