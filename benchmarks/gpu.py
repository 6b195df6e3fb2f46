"""Check and time every way of scoring on a GPU: ``python benchmarks/gpu.py --json gpu.json``.

Cases run in a process apart from this one, which is replaced after a fault or a hang: a failing case is
recorded with its error and does not stop the others. Without a GPU everything runs small on the CPU, with
Triton's kernels in its interpreter.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from tqdm.auto import tqdm

# Triton reads it when it is imported, so it is set before anything can do that.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from benchmarks.gpu_cases import IMPLEMENTATIONS, Case, CheckCase, TimeCase, run_case
from xmc.files import atomic_file
from xmc.objectives import CATALOGUE

__all__ = ["cases_for", "main", "report", "run_all"]

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "softmax": [{"over_positives": "mean"}, {"over_positives": "sum"}],
    "supervised_contrastive": [{"mean": "out"}, {"mean": "in"}],
    "soft_top_k": [{"k": 5, "alpha": 2.0}, {"k": "positives", "alpha": 0.7}],
}
WITHOUT_SCORES = tuple(name for name, facts in CATALOGUE.items() if facts.takes_moments)
DTYPES = ("bfloat16", "float32", "float16")
CASE_SECONDS = 150.0
QUICK_OBJECTIVES = ("decoupled_softmax", "binary_cross_entropy", "soft_top_k")


def cases_for(queries: Sequence[int], labels: Sequence[int], dimension: int, *, quick: bool) -> list[Case]:
    """Checks of every objective and implementation, and times at every B and L; fewer if quick."""
    names = [name for name in CATALOGUE if not quick or name in QUICK_OBJECTIVES]
    shape = (17, 90, 20) if quick else (300, 5001, 100)
    # Triton first, and bfloat16 first: what is most worth knowing should time run out.
    ways = sorted(IMPLEMENTATIONS, key=lambda way: way != "triton")
    dtypes = DTYPES[: 1 if quick else None]
    checks = [
        CheckCase(name, way, dtype, *shape, options)
        for dtype in dtypes
        for way in ways
        for name in names
        for options in OPTIONS.get(name, [{}])[: 1 if quick else None]
        if name not in WITHOUT_SCORES or way in ("dense", "triton")
    ]
    repeats = 1 if quick and not torch.cuda.is_available() else 20
    times = [
        TimeCase(way, num_queries, num_labels, dimension, repeats=repeats)
        for num_labels in labels
        for num_queries in queries
        for way in ways
    ]
    return [*checks, *times]


class _Worker:
    """A process that runs cases; replaced when one broke or hung."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.pool: ProcessPoolExecutor | None = None

    def run(self, case: Case, seconds: float) -> dict[str, Any]:
        context = multiprocessing.get_context("spawn")
        # Spawned, as CUDA does not survive a fork; one process at a time, kept while it is well.
        self.pool = self.pool or ProcessPoolExecutor(1, mp_context=context)
        kind = "check" if isinstance(case, CheckCase) else "time"
        try:
            found = self.pool.submit(run_case, case, self.device).result(seconds)
        except (TimeoutError, BrokenProcessPool) as error:
            text = f"took longer than {seconds:.0f} s" if isinstance(error, TimeoutError) else "process died"
            found = {"kind": kind, **asdict(case), "error": text}
            self.end()
        if "CUDA error" in (found["error"] or ""):
            self.end()  # after a fault no later call of that process can succeed
        return found

    def end(self) -> None:
        """Stop the process, also while it is at work."""
        if self.pool is not None:
            # shutdown waits for the work at hand, which may hang forever in a kernel.
            for process in list(self.pool._processes.values()):
                process.kill()
            self.pool.shutdown(wait=False, cancel_futures=True)
            self.pool = None


def run_all(
    cases: Sequence[Case], device: str, *, budget: float, isolate: bool = True
) -> Iterator[dict[str, Any]]:
    """The answer to each case, as it comes; those that ``budget`` seconds are too short for say so."""
    worker, started = _Worker(device), time.monotonic()
    try:
        for case in tqdm(cases, desc="cases", mininterval=1.0):
            # What does not fit the budget is listed as not run, so that nothing is missing without a word.
            left = budget - (time.monotonic() - started)
            if left <= 0:
                kind = "check" if isinstance(case, CheckCase) else "time"
                yield {"kind": kind, **asdict(case), "error": "not run: out of time"}
            elif isolate:
                yield worker.run(case, min(left, CASE_SECONDS))
            else:
                yield run_case(case, device)
    finally:
        worker.end()


def report(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a table of times, and of the checks those that are worth a look."""
    times = [one for one in results if one["kind"] == "time"]
    lines = [
        "| implementation | B | L | ms | products | share of rate | extra memory | of 4 B L |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in times:
        shape = f"| {one['implementation']} | {one['num_queries']:,} | {one['num_labels']:,} "
        if one["error"]:
            lines.append(f"{shape}| {one['error'].splitlines()[0][:60]} | | | | |")
            continue
        memory, share = one["extra_bytes"], one["share_of_scores"]
        lines.append(
            f"{shape}| {one['milliseconds']:.2f} | {one['products']:.2f} | {one['share_of_rate']:.0%} "
            f"| {'' if memory is None else f'{memory / 2**20:,.0f} MiB'} "
            f"| {'' if share is None else f'{share:.1%}'} |"
        )
    checks = [one for one in results if one["kind"] == "check"]
    right = [one for one in checks if not one["error"] and one["within_tolerance"]]
    once = [one for one in right if one["repeatable"]]
    lines += ["", f"{len(right)} of {len(checks)} checks within tolerance, {len(once)} of these repeatable."]
    lines += [f"- {_name(one)}: {_fault(one)}" for one in checks if one not in once]
    return "\n".join(lines)


def _name(one: dict[str, Any]) -> str:
    options = ", ".join(f"{key}={value}" for key, value in one["options"].items())
    return f"{one['objective']}({options}), {one['implementation']}, {one['dtype']}"


def _fault(one: dict[str, Any]) -> str:
    if one["error"]:
        return str(one["error"].splitlines()[0])
    errors = ", ".join(f"{part} {error:.1e}" for part, error in one["errors"].items())
    return errors if not one["within_tolerance"] else f"two runs differ; {errors}"


def machine(device: str) -> dict[str, Any]:
    """What the numbers are of."""
    found = {"device": platform.processor() or platform.machine(), "torch": torch.__version__}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {"device": properties.name, "memory_bytes": properties.total_memory}
        found |= {"cuda": torch.version.cuda}
    try:
        import triton
    except ImportError:
        return found | {"triton": None}
    return found | {"triton": triton.__version__}


def main(arguments: Sequence[str] | None = None, *, isolate: bool = True) -> int:
    """Run the script; 0 when every check that was run is within tolerance, 1 otherwise."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--json", type=Path, default=Path("gpu.json"), help="where results go (default %(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few objectives, one small shape; always without a GPU"
    )
    parser.add_argument("--queries", type=int, nargs="+", default=[1024, 4096], help="values of B to time")
    parser.add_argument(
        "--labels", type=int, nargs="+", default=[131_072, 1_305_265], help="values of L to time"
    )
    parser.add_argument("--dimension", type=int, default=384, help="D")
    parser.add_argument("--budget", type=float, default=540.0, help="seconds; what is left then is not run")
    given = parser.parse_args(arguments)
    quick = given.quick or not cuda
    if quick:
        given.queries, given.labels = ([1024], [131_072]) if cuda else ([32], [200])
        given.dimension = given.dimension if cuda else 16
    device = "cuda" if cuda else "cpu"
    results: list[dict[str, Any]] = []
    cases = cases_for(given.queries, given.labels, given.dimension, quick=quick)
    for found in run_all(cases, device, budget=given.budget, isolate=isolate):
        results.append(found)
        # Written each time, so that a run that is ended early leaves what it found.
        with atomic_file(given.json) as path:
            path.write_text(json.dumps({"machine": machine(device), "cases": results}, indent=1))
    print(report(results))
    print(f"written to {given.json}")
    checks = [one for one in results if one["kind"] == "check" and one["error"] != "not run: out of time"]
    return 0 if all(not one["error"] and one["within_tolerance"] for one in checks) else 1


if __name__ == "__main__":
    raise SystemExit(main())
