"""Ranks that are lost: what the others say, and how soon."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.distributed.ranks import Ranks
from xmc.distributed import World, answering, current_world, from_main, watch_ranks
from xmc.distributed.life import BEAT, Idle
from xmc.distributed.presence import PRESENCE, Presence
from xmc.distributed.watch import GRACE
from xmc.errors import ConfigError, RankError, XMCError

PROGRAM = Path(__file__).parent / "lost_rank.py"


def fail_on(failing: int, place: Path) -> str:
    """A rank raises, and the other waits for it in a collective that it never comes to."""
    import torch
    import torch.distributed as dist

    from xmc.distributed import all_reduce_sum

    world = current_world()
    try:
        with watch_ranks(world, 30.0):
            if world.rank == failing:
                raise ConfigError("the data are bad")
            all_reduce_sum(torch.ones(1), world)
    except XMCError as error:
        said = f"{type(error).__name__}: {error}"
    # What the end of a process does: peers see a closed connection. The store of rank 0 went with the error.
    dist.destroy_process_group()
    dist.init_process_group("gloo", init_method=f"file://{place}/{os.getpid()}", rank=0, world_size=1)
    return said


def raise_on_main() -> str:
    def make() -> int:
        raise ConfigError("the folder is taken")

    world = current_world()
    try:
        from_main(make, world)
    except ConfigError as error:
        return f"{error}, {from_main(lambda: world.rank + 5, world)}"
    return "nothing"


@pytest.mark.parametrize("failing", [0, 1])
def test_the_others_name_the_rank_that_failed_and_why(ranks: Ranks, tmp_path: Path, failing: int) -> None:
    said = ranks.run(fail_on, failing, tmp_path, size=2)
    assert said[failing] == "ConfigError: the data are bad"
    assert said[1 - failing] == f"RankError: rank {failing} failed: ConfigError: the data are bad"


def test_what_the_main_rank_alone_sees_reaches_all(ranks: Ranks) -> None:
    assert ranks.run(raise_on_main, size=3) == ["the folder is taken, 5"] * 3


def test_one_rank_needs_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    stores: list[object] = []
    monkeypatch.setattr("xmc.distributed.watch.TCPStore", lambda *given, **named: stores.append(given))
    before = threading.active_count()
    with watch_ranks(World(), 1.0), answering("a step"):
        assert threading.active_count() == before and PRESENCE.thread is None
    assert not stores


def collectives_of_a_worker_thread() -> tuple[bool, int]:
    """Whether the thread that works is the one watched, and the collectives it is seen to go through."""
    import torch

    from xmc.distributed import all_reduce_sum

    world, seen = current_world(), []

    def work() -> None:
        with watch_ranks(world, 30.0):
            before = PRESENCE.passed
            all_reduce_sum(torch.ones(1), world)
            seen.append((PRESENCE.thread == threading.get_ident(), PRESENCE.passed - before))

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    return seen[0]


def test_the_thread_that_asked_for_the_watch_is_watched(ranks: Ranks) -> None:
    assert ranks.run(collectives_of_a_worker_thread, size=2) == [(True, 1)] * 2


def test_only_doing_nothing_in_a_step_is_a_hang(monkeypatch) -> None:
    now, used, presence = 0.0, 0.0, Presence()
    monkeypatch.setattr("xmc.distributed.life.time.monotonic", lambda: now)
    monkeypatch.setattr("xmc.distributed.life._used", lambda: used)
    idle = Idle()

    def look(work: float = 0.0) -> float:
        nonlocal now, used
        now, used = now + BEAT, used + work
        return idle.seconds(presence)

    assert [look() for _ in range(3)] == [0, 0, 0]  # between steps, or saving a model
    presence.answering = "step 5"
    assert [look() for _ in range(3)] == [BEAT, 2 * BEAT, 3 * BEAT]
    assert look(work=0.5) == 0  # it computes
    look()
    presence.waiting = True
    assert look() == 0  # it waits for another
    presence.waiting = False
    look()
    presence.passed += 1
    assert look() == 0  # it has waited
    now += 3600  # the machine was suspended
    assert look() <= 2 * BEAT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "rank", "cause", "seconds"),
    [
        ("kill", 1, r"rank 1 died \(process \d+ on .* is gone\)", 20),
        ("kill", 0, r"rank 0 died", 20),
        ("raise", 1, "rank 1 failed: ValueError: bad", 20),
        ("raise", 0, "rank 0 failed: ValueError: bad", 20),
        ("hang", 1, r"rank 1 hangs in step 4: for 10 s .*lost_rank.py:\d+", 10 + 4 * BEAT + GRACE + 10),
        ("hang", 0, r"rank 0 hangs in step 4: for 10 s .*lost_rank.py:\d+", 10 + 4 * BEAT + GRACE + 10),
    ],
)
def test_a_lost_rank_ends_the_others(tmp_path: Path, how: str, rank: int, cause: str, seconds: float) -> None:
    """Two processes without a launcher, which would end the other one by itself."""
    environment = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    began = tmp_path / "began"
    started = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), how, str(rank), str(began)],
            env=environment | {"RANK": str(each), "LOCAL_RANK": str(each)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in range(2)
    ]
    other = started[1 - rank]
    try:
        _, said = other.communicate(timeout=200)
        lasted = time.time() - float(began.read_text())
    finally:
        for process in started:
            process.kill()
            process.wait()
    print(f"{how} of rank {rank}: the other ended after {lasted:.1f} s")
    assert re.search(cause, said), said
    assert other.returncode == RankError.exit_code
    assert lasted < seconds
    if how == "kill":
        assert started[rank].returncode == -signal.SIGKILL


def free_port() -> str:
    import socket

    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return str(made.getsockname()[1])
