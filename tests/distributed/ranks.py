"""Processes that play the ranks of a distributed run on one machine: gloo, without a GPU or a network."""

from __future__ import annotations

import multiprocessing
import pickle
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Ranks", "run_on_ranks"]

START_SECONDS = 120.0  # importing torch on a busy machine
# What most functions that ranks run need, imported once: ranks are forked from a process that has it.
PRELOADED = ["accelerate", "torch._dynamo", "tests.fixtures.words", "xmc.training.trainer"]


class Ranks:
    """``size`` processes that wait for functions to run; one start serves many runs and smaller worlds.

    A function and its arguments are pickled, so the function must be at the top of a module. It runs on every
    rank with the process group initialised, and what it returns comes back.
    """

    def __init__(self, size: int) -> None:
        # Forked from a server that does nothing else, not from here, where threads may hold locks.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.folder = tempfile.TemporaryDirectory()
        self.runs = 0
        self.pipes: list[Connection] = []
        self.processes = []
        for _ in range(size):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there,), daemon=True)
            process.start()
            there.close()
            self.pipes.append(here)
            self.processes.append(process)
        deadline = time.monotonic() + START_SECONDS
        for rank, pipe in enumerate(self.pipes):
            self._receive(rank, pipe, deadline)

    def run(
        self, function: Callable[..., Any], *arguments: Any, size: int | None = None, seconds: float = 60.0
    ) -> list[Any]:
        """Call ``function(*arguments)`` on ranks 0 .. size - 1 and return what each returned, in rank order.

        Raises:
            RuntimeError: When a rank raised, with its traceback, or died.
            TimeoutError: When a rank took longer than ``seconds``; the processes are ended.
        """
        size = size or len(self.pipes)
        self.runs += 1
        store = str(Path(self.folder.name) / f"store-{self.runs}")
        for rank, pipe in enumerate(self.pipes[:size]):
            # Plain pickling: a pipe's own passes tensors through shared memory, which ends with the process.
            pipe.send_bytes(pickle.dumps((function, arguments, rank, size, store, seconds)))
        deadline = time.monotonic() + seconds
        answers = [self._receive(rank, pipe, deadline) for rank, pipe in enumerate(self.pipes[:size])]
        failures = [f"rank {rank} of {size}:\n{text}" for rank, (text, _) in enumerate(answers) if text]
        if failures:
            raise RuntimeError("\n".join(failures))
        return [result for _, result in answers]

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.kill()
            process.join()
        self.folder.cleanup()

    def _receive(self, rank: int, pipe: Connection, deadline: float) -> Any:
        if not pipe.poll(max(0.0, deadline - time.monotonic())):
            self.close()
            raise TimeoutError(f"rank {rank} did not answer in time")
        try:
            return pickle.loads(pipe.recv_bytes())
        except EOFError:
            self.close()
            raise RuntimeError(f"rank {rank} died") from None

    def __enter__(self) -> Ranks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def run_on_ranks(
    function: Callable[..., Any], size: int, *arguments: Any, seconds: float = 60.0
) -> list[Any]:
    """Call ``function(*arguments)`` on ``size`` fresh processes; see :meth:`Ranks.run`."""
    with Ranks(size) as ranks:
        return ranks.run(function, *arguments, seconds=seconds)


def _serve(pipe: Connection) -> None:
    import torch

    torch.set_num_threads(1)
    pipe.send_bytes(pickle.dumps("ready"))
    while True:
        task = pipe.recv_bytes()
        try:
            answer = pickle.dumps((None, _run(*pickle.loads(task))))
        except BaseException:
            answer = pickle.dumps((traceback.format_exc(), None))
        pipe.send_bytes(answer)


def _run(
    function: Callable[..., Any], arguments: tuple[Any, ...], rank: int, size: int, store: str, seconds: float
) -> Any:
    import torch.distributed as dist

    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=size, timeout=timedelta(seconds=seconds)
    )
    try:
        # A rank whose function communicates nothing could end the group while a peer still connects to it.
        dist.barrier()
        return function(*arguments)
    finally:
        dist.destroy_process_group()
