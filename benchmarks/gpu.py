"""Check and time training on a GPU: ``python benchmarks/gpu.py --json gpu.json``, eight minutes at most.

Stages come in order of worth, each with a limit of its own, and what was found is written after every case,
so that a run cut off keeps it. Cases run in a process apart from this one, which is replaced after a fault or
a hang. Beside this repository it needs PyTorch, Triton, sentence-transformers, transformers, accelerate,
pyarrow and scipy, and no download. Without a GPU everything runs small on the CPU (``--miniature``), with
Triton's kernels in its interpreter.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, TimeoutError, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from tqdm.auto import tqdm

# Triton reads it when it is imported, so it is set before anything can do that.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from benchmarks.gpu_cases import Case, asked, run_case
from benchmarks.gpu_files import begin_process
from benchmarks.gpu_given import check_data, check_encoder
from benchmarks.gpu_report import report
from benchmarks.gpu_stages import AT_ONCE, PATIENCE, STAGES, WAYS, Choices, Stage, stages
from benchmarks.gpu_texts import SmokeCase
from xmc.errors import XMCError
from xmc.files import atomic_file

__all__ = ["main", "run_stage"]

NOT_RUN = "not run: out of time"
BUDGET = 470.0
START_SECONDS = 90.0
DEATH_SECONDS = 3.0
"""A killed process that is within a call of the driver ends a little later."""


def is_fault(error: str | None) -> bool:
    """Whether an error is one of a launch: "CUDA error" as torch says it, "Triton Error [CUDA]" as Triton."""
    return error is not None and "CUDA" in error


class Worker:
    """A process that runs cases; replaced when one broke or hung."""

    def __init__(self, device: str, seconds: float = START_SECONDS) -> None:
        self.device, self.seconds = device, seconds
        self.pool: ProcessPoolExecutor | None = None
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        """Of the files of its cases, which a process that is killed leaves."""

    def start(self, seconds: float = math.inf) -> None:
        """Begin a process where there is none, and wait for its imports, for ``seconds`` at most."""
        if self.pool is None:
            self.folder = tempfile.TemporaryDirectory(prefix="xmc-gpu-", ignore_cleanup_errors=True)
            # Spawned, as CUDA does not survive a fork; one process at a time, kept while it is well.
            context = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(
                1, mp_context=context, initializer=begin_process, initargs=(self.folder.name,)
            )
            # A process that never answers is found by the case that waits for it next.
            wait([self.pool.submit(asked, SmokeCase())], min(seconds, self.seconds))

    def run(self, case: Case, seconds: float) -> dict[str, Any]:
        """What :func:`benchmarks.gpu_cases.run_case` says, or that it took longer than ``seconds``.

        Where a process has to be begun first, that is within them.
        """
        until = time.monotonic() + seconds
        self.start(seconds)
        assert self.pool is not None
        left = max(0.0, until - time.monotonic())
        try:
            found: dict[str, Any] = self.pool.submit(run_case, case, self.device).result(left)
        except (TimeoutError, BrokenProcessPool) as error:
            text = f"took longer than {seconds:.0f} s" if isinstance(error, TimeoutError) else "process died"
            found = asked(case) | {"error": text}
            self.end()
        if is_fault(found["error"]):
            self.end()  # no later call of that process can succeed
        return found

    def end(self) -> None:
        """Stop the process, also while it is at work, and remove the files that it left."""
        if self.pool is not None:
            # shutdown waits for the work at hand, which may hang forever in a kernel.
            processes = list(self.pool._processes.values())
            for process in processes:
                process.kill()
            self.pool.shutdown(wait=False, cancel_futures=True)
            self.pool = None
            for process in processes:
                process.join(DEATH_SECONDS)  # until then it may write
        if self.folder is not None:
            self.folder.cleanup()
            self.folder = None


def run_stage(
    stage: Stage, device: str, *, left: float, workers: Sequence[Worker] = ()
) -> Generator[dict[str, Any], None, None]:
    """The answer to each case, as it comes; those that time is too short for say so.

    Closed early, it begins no further case.

    Args:
        stage: Its limit, and its cases.
        device: "cuda" or "cpu".
        left: Seconds left to the whole run, if those are fewer than the stage's own.
        workers: Run the cases, as many at once as the stage allows; this process does where there are none,
            without a limit for one.
    """
    until = time.monotonic() + min(left, stage.seconds)
    answers: Generator[dict[str, Any], None, None]
    if len(few := workers[: stage.at_once]) > 1:
        answers = _side_by_side(stage, device, until, few)
    else:
        answers = (_answer(stage, case, device, until, *few) for case in stage.cases)
    with closing(answers):
        yield from tqdm(answers, desc=stage.name, total=len(stage.cases), mininterval=1.0)


def _side_by_side(
    stage: Stage, device: str, until: float, workers: Sequence[Worker]
) -> Generator[dict[str, Any], None, None]:
    """The answers of several workers, in the order in which they are ready."""
    free: SimpleQueue[Worker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def answer(case: Case) -> dict[str, Any]:
        worker = free.get()
        try:
            return _answer(stage, case, device, until, worker)
        finally:
            free.put(worker)

    threads = ThreadPoolExecutor(len(workers))
    try:
        for done in as_completed([threads.submit(answer, case) for case in stage.cases]):
            yield done.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _answer(
    stage: Stage, case: Case, device: str, until: float, worker: Worker | None = None
) -> dict[str, Any]:
    # What does not fit is listed as not run, so that nothing is missing without a word.
    started = time.monotonic()
    if worker is not None and until > started:
        worker.start(until - started)  # in place of one that broke: the stage pays for it, not the case
    seconds = min(until - time.monotonic(), stage.case_seconds)
    if seconds <= 0:
        found = asked(case) | {"error": NOT_RUN}
    else:
        found = run_case(case, device) if worker is None else worker.run(case, seconds)
    return found | {"stage": stage.name, "taken": round(time.monotonic() - started, 2)}


def machine(device: str) -> dict[str, Any]:
    """What the numbers are of."""
    found = {"device": platform.processor() or platform.machine(), "torch": torch.__version__}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {"device": properties.name, "memory_bytes": properties.total_memory}
        found |= {"cuda": torch.version.cuda, "processors": properties.multi_processor_count}
    try:
        import triton
    except ImportError:
        return found | {"triton": None}
    return found | {"triton": triton.__version__}


def main(arguments: Sequence[str] | None = None, *, isolate: bool = True) -> int:
    """Run the script; 0 when everything that was run worked and was within tolerance, 1 otherwise."""
    given = _parse(arguments)
    cuda = torch.cuda.is_available()
    device = "cuda" if cuda else "cpu"
    choices = Choices(
        miniature=given.miniature or not cuda,
        encoder=given.encoder,
        data=given.data,
        queries=tuple(given.queries),
        labels=tuple(given.labels),
        dimensions=tuple(given.dimensions),
        ways=tuple(given.ways),
    )
    results: list[dict[str, Any]] = []
    patience = PATIENCE if choices.miniature else 1
    # Those beside the first are begun by the stage that has use for them.
    workers = [Worker(device, patience * START_SECONDS) for _ in range(AT_ONCE)] if isolate else []
    budget = patience * BUDGET if given.budget is None else given.budget
    started = time.monotonic()
    try:
        for worker in workers[:1]:
            worker.start(budget)  # its imports are no stage's
        for stage in stages(choices):
            if stage.name not in given.stages:
                continue
            left = budget - (time.monotonic() - started)
            with closing(run_stage(stage, device, left=left, workers=workers)) as answers:
                for found in answers:
                    results.append(found)
                    # Written each time, so that a run that is ended early leaves what it found.
                    with atomic_file(given.json) as path:
                        path.write_text(json.dumps({"machine": machine(device), "cases": results}, indent=1))
            print(report([one for one in results if one["stage"] == stage.name]) + "\n", flush=True)
            for worker in workers[1:]:
                worker.end()  # a stage that takes times has the device to itself
    finally:
        for worker in workers:
            worker.end()
    print(f"written to {given.json}")
    run = [one for one in results if one["error"] != NOT_RUN]
    return 0 if all(not one["error"] and one.get("within_tolerance", True) for one in run) else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    plain = Choices()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--json", type=Path, default=Path("gpu.json"), help="where results go (default %(default)s)"
    )
    parser.add_argument("--miniature", action="store_true", help="everything small; always without a GPU")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, help="only these")
    parser.add_argument("--encoder", help="a model's folder or a shape's name; random weights without")
    parser.add_argument("--data", help="a prepared data set to train on a part of; one is made without")
    parser.add_argument("--queries", type=int, nargs="+", default=plain.queries, help="values of B to time")
    parser.add_argument("--labels", type=int, nargs="+", default=plain.labels, help="values of L to time")
    parser.add_argument("--dimensions", type=int, nargs="+", default=plain.dimensions, help="values of D")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=plain.ways, help="implementations to time")
    parser.add_argument(
        "--budget",
        type=float,
        help=f"seconds in all; what is left then is not run (default {BUDGET:.0f}, more with --miniature)",
    )
    given = parser.parse_args(arguments)
    if given.budget is not None and not given.budget > 0:
        parser.error(f"--budget: expected seconds above 0, got {given.budget:g}")
    for name, check in (("encoder", check_encoder), ("data", check_data)):
        if (place := getattr(given, name)) is not None:
            try:
                check(place)
            except XMCError as error:
                parser.error(f"--{name}: {error}")
    return given


if __name__ == "__main__":
    raise SystemExit(main())
