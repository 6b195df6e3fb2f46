"""Cases of the GPU benchmark that several processes work on side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from tqdm.auto import tqdm

from benchmarks import gpu
from benchmarks.gpu import run_stage
from benchmarks.gpu_cases import CheckCase
from benchmarks.gpu_stages import Stage
from xmc.errors import XMCError

ROOT = Path(__file__).resolve().parents[2]
SMALL = CheckCase("decoupled_softmax", "tiled", "bfloat16", 5, 40, 6)
CASES = [replace(SMALL, num_labels=labels) for labels in range(40, 52)]
PATIENCE = 30.0
"""Seconds that a test waits for another thread before it fails."""


class PlayedWorker(gpu.Worker):
    """In place of a process: answers with the case's labels, or dies of cases that break it."""

    def __init__(self, *, breaks: set[int] | None = None, until: threading.Event | None = None) -> None:
        super().__init__("cpu")
        self.breaks, self.until = breaks or set(), until
        self.begun, self.at_work = 0, False
        self.seen: list[int] = []
        self.working = threading.Event()

    def start(self, seconds: float = 0.0) -> None:
        if self.pool is None:
            self.begun += 1
            self.pool = object()  # type: ignore[assignment]

    def run(self, case: Any, seconds: float) -> dict[str, Any]:
        assert self.pool is not None and not self.at_work, "one case at a time, of a process that is there"
        self.at_work = True
        self.seen.append(case.num_labels)
        self.working.set()
        if self.until is not None:
            assert self.until.wait(PATIENCE)
        self.at_work = False
        died = case.num_labels in self.breaks
        if died:
            self.end()
        return {"labels": case.num_labels, "error": "process died" if died else None}

    def end(self) -> None:
        self.pool = None


def stage_of(workers: int) -> Stage:
    return Stage("check", 1e6, 1e6, CASES, at_once=workers)


def test_all_workers_are_used_and_each_case_is_answered_once() -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    class Meeting(PlayedWorker):
        def run(self, case: Any, seconds: float) -> dict[str, Any]:
            if not self.seen:
                both.wait()  # passed only where two are at work at once
            return super().run(case, seconds)

    workers = [Meeting(), Meeting(), PlayedWorker()]
    found = list(run_stage(stage_of(2), "cpu", left=1e6, workers=workers))
    assert sorted(one["labels"] for one in found) == [case.num_labels for case in CASES]
    assert all(one["stage"] == "check" and one["error"] is None for one in found)
    assert [worker.begun for worker in workers] == [1, 1, 0], "the third is more than the stage allows"
    assert sorted(workers[0].seen + workers[1].seen) == sorted(one["labels"] for one in found)


def test_a_worker_that_breaks_is_replaced() -> None:
    workers = [PlayedWorker(breaks={41, 45}), PlayedWorker(breaks={41, 45})]
    found = {one["labels"]: one["error"] for one in run_stage(stage_of(2), "cpu", left=1e6, workers=workers)}
    assert len(found) == len(CASES)
    assert {labels for labels, error in found.items() if error is not None} == {41, 45}
    assert 3 <= sum(worker.begun for worker in workers) <= 4, "of one that broke last no other is begun"


def test_a_run_that_is_ended_early_begins_no_further_case() -> None:
    """The end does not wait for those at work, which the caller's end of their processes cuts off."""
    until = threading.Event()
    workers = [PlayedWorker(), PlayedWorker(until=until)]
    try:
        with closing(run_stage(stage_of(2), "cpu", left=1e6, workers=workers)) as answers:
            next(answers)
            assert workers[1].working.wait(PATIENCE)
        # Here while the second is still at work: it waits for what comes after.
        assert workers[1].at_work
    finally:
        until.set()
    threads = [one for one in threading.enumerate() if one.name.startswith("ThreadPoolExecutor")]
    for thread in threads:
        thread.join(PATIENCE)
    assert len(workers[1].seen) == 1 and not workers[1].at_work


def test_an_error_of_the_caller_ends_the_cases_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A results file that cannot be written: workers are ended, and none is begun for a case that waited."""
    until = threading.Event()
    workers: list[PlayedWorker] = []

    def worker(*_: Any) -> PlayedWorker:
        workers.append(PlayedWorker(until=until if workers else None))
        return workers[-1]

    monkeypatch.setattr(gpu, "Worker", worker)
    monkeypatch.setattr(gpu, "stages", lambda _: [stage_of(2)])
    try:
        with pytest.raises(XMCError, match="folder"):
            gpu.main(["--miniature", "--stages", "check", "--json", str(tmp_path)])
    finally:
        until.set()
    assert all(worker.pool is None for worker in workers)
    assert len(workers[1].seen) <= 1


SCRIPT = """
from benchmarks.gpu import Worker
from tests.benchmarks.test_gpu_side_by_side import BarCase

if __name__ == "__main__":
    worker = Worker("cpu")
    print(worker.run(BarCase(), 300.0)["error"])
    worker.end()
"""


@dataclass(frozen=True)
class BarCase:
    """Shows a bar, as a training does."""

    kind: ClassVar[str] = "bar"

    def measure(self, device: str) -> dict[str, Any]:
        return {"seen": list(tqdm(range(3)))}


@pytest.mark.skipif(torch.cuda.is_available(), reason="runs small on a CPU alone")
def test_a_process_that_is_killed_leaves_no_semaphore(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["None"] and "leaked" not in done.stderr
