"""A rank of two that takes steps with a collective each, until one is lost: arguments HOW RANK FILE."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from xmc.cli.main import guarded


def lose(how: str, began: Path) -> None:
    began.write_text(str(time.time()))
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "raise":
        raise ValueError("bad")
    time.sleep(1000)


def work(how: str, lost: int, began: Path) -> None:
    import torch
    import torch.distributed as dist

    from xmc.distributed import all_reduce_sum, answering, current_world, watch_ranks

    dist.init_process_group("gloo")
    world = current_world()
    with watch_ranks(world, 10.0):
        for step in range(1, 100):
            with answering(f"step {step}"):
                if step == 4 and world.rank == lost:
                    lose(how, began)
                all_reduce_sum(torch.ones(1), world)


if __name__ == "__main__":
    sys.exit(guarded(lambda: work(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
