"""Runs cases in a process of their own, so that a crash or a hang is a finding too.

``python -m tests.fuzz.watch --start 0 --stop 10000`` runs all, ``--start 165 --stop 166`` one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["MAX_GROWTH", "MAX_SECONDS", "run_case", "run_watched"]

MAX_SECONDS = 5.0
"""Of the processor, so that what else a machine does counts for nothing; and six times as long by the clock,
as what waits takes none of it."""
MAX_GROWTH = 1 << 30
"""Bytes that reading a case may add to the process at its peak."""

_STUCK, _STARTING = 120.0, 900.0
"""Seconds by the clock for a case in which even a signal is not heard, and for imports on a busy machine."""

_ROOM = 4 << 30


class TookTooLongError(BaseException):
    """Past every ``except Exception``."""


def run_case(number: int, valid: Path, work: Path) -> dict[str, Any]:
    """Make and read one case; its kind, what was done, what came of it, seconds and bytes."""
    from tests.fuzz.corpus import make_case
    from tests.fuzz.oracle import check
    from tests.fuzz.valid import DATA

    folder = work / str(number)
    folder.mkdir()
    case = make_case(number, valid, folder / "in")
    made = folder / "made"
    made.mkdir()
    logging.disable(logging.CRITICAL)
    before, started = _start_peak(), time.process_time()
    facts: dict[str, Any] = {"number": number, "kind": case.kind, "said": case.said, "fault": None}
    try:
        with _limited(MAX_SECONDS):
            facts["result"] = check(case, valid / DATA, made)
    except TookTooLongError:
        facts["fault"] = f"longer than {MAX_SECONDS:g} s"
    except Exception:
        facts["fault"] = traceback.format_exc()
    finally:
        logging.disable(logging.NOTSET)
    facts["seconds"] = round(time.process_time() - started, 3)
    facts["growth"] = max(0, _peak() - before)
    if facts["fault"] is None and facts["growth"] > MAX_GROWTH:
        facts["fault"] = f"{facts['growth'] >> 20} MiB more memory"
    shutil.rmtree(folder, ignore_errors=True)
    return facts


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLongError

    timers = (
        (signal.SIGALRM, signal.ITIMER_REAL, 6 * seconds),
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),
    )
    before = [signal.signal(kind, stop) for kind, _, _ in timers]
    for _, timer, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (kind, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(kind, handler)


def _start_peak() -> int:
    """Resident bytes now, from which the peak is counted anew where Linux allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise AssertionError(name)


def run_watched(numbers: range, valid: Path, work: Path) -> Iterator[dict[str, Any]]:
    """The results of cases that another process runs; one that crashes or is stuck is killed and replaced."""
    left = list(numbers)
    while left:
        work.mkdir(parents=True, exist_ok=True)
        for facts in _worker(left, valid, work):
            left.remove(facts["number"])
            yield facts
        shutil.rmtree(work, ignore_errors=True)


def _worker(left: list[int], valid: Path, work: Path) -> Iterator[dict[str, Any]]:
    listed = work / "numbers.json"
    listed.write_text(json.dumps(left))
    command = [sys.executable, "-m", "tests.fuzz.watch", "--worker", str(listed), str(valid), str(work)]
    errors = work / "stderr"
    with errors.open("wb") as sink, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink) as process:
        assert process.stdout is not None
        begun: int | None = None
        for line in _lines_within(process):
            content = json.loads(line)
            if "begun" in content:
                begun = content["begun"]
            else:
                begun = None
                yield content
    if begun is not None:
        last = errors.read_text(errors="replace")[-2000:]
        yield {
            "number": begun, "kind": _kind(begun), "said": (), "seconds": 0.0, "growth": 0,
            "fault": f"the process ended with {process.returncode} (or was stuck)\n{last}",
        }  # fmt: skip
    elif process.returncode:
        last = errors.read_text(errors="replace")[-4000:]
        raise RuntimeError(f"the process ended with {process.returncode} between cases\n{last}")


def _kind(number: int) -> str:
    from tests.fuzz.corpus import kind_of

    return kind_of(number)


def _lines_within(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """The lines a process prints; it is killed where the next takes too long."""
    import select

    assert process.stdout is not None
    pending, descriptor, seconds = b"", process.stdout.fileno(), _STARTING
    while True:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        if not ready:
            process.kill()
            return
        data, seconds = os.read(descriptor, 1 << 16), _STUCK
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        yield from (line.decode() for line in lines)


def _work(listed: Path, valid: Path, work: Path) -> None:
    import faulthandler

    import tests.fuzz.oracle  # noqa: F401  (before the room for memory is counted)

    faulthandler.enable()
    # Not one byte more than a machine that runs other things can spare: a bomb ends in a MemoryError.
    size = _status("VmSize") + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print
    for number in json.loads(listed.read_text()):
        print(json.dumps({"begun": number}), file=out, flush=True)
        print(json.dumps(run_case(number, valid, work)), file=out, flush=True)


def _report(results: list[dict[str, Any]]) -> str:
    kinds: dict[str, Counter[str]] = {}
    for facts in results:
        kind = kinds.setdefault(facts["kind"], Counter())
        kind["cases"] += 1
        kind["fault" if facts["fault"] else "valid" if facts["result"] == "valid" else "error"] += 1
    lines = [f"{kind:20} {dict(count)}" for kind, count in sorted(kinds.items())]
    slowest = max(results, key=lambda facts: facts["seconds"])
    largest = max(results, key=lambda facts: facts["growth"])
    lines.append(f"slowest {slowest['seconds']} s (case {slowest['number']}); ")
    lines.append(f"most memory {largest['growth'] >> 20} MiB (case {largest['number']})")
    return "\n".join(lines)


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", nargs=3, type=Path)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--stop", type=int, default=10_000)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.worker:
        _work(*options.worker)
        return 0
    from tests.fuzz.valid import make_valid

    started, results = time.perf_counter(), []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        make_valid(Path(folder) / "valid")
        numbers = range(options.start, options.stop, options.step)
        for facts in run_watched(numbers, Path(folder) / "valid", Path(folder) / "work"):
            results.append(facts)
            if options.out:
                with options.out.open("a") as sink:
                    sink.write(json.dumps(facts) + "\n")
            if facts["fault"]:
                print(
                    f"case {facts['number']} ({facts['kind']}): {facts['said']}\n{facts['fault']}", flush=True
                )
    print(_report(results), f"\n{time.perf_counter() - started:.0f} s in all")
    return int(any(facts["fault"] for facts in results))


if __name__ == "__main__":
    sys.exit(_main())
