"""A long run that is killed on the way, beside one that is not: do memory, speed and the end stay the same?

    python benchmarks/soak.py DATASET --out FOLDER [--recipe yso-finnatitles-24k] [--KEY VALUE]

Both runs train at once, one thread each, with mined labels, the label memory, validation and checkpoints; one
gets SIGKILL in the middle of its work and is resumed. Speed is counted in steps per second of processor time,
which neighbours on the machine change less than seconds on the clock. The figures are in
docs/benchmarks/training.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from xmc.files import sha256_file

__all__ = ["Sample", "SoakedRun", "main", "quiet_speeds", "slope"]

EVERY = 5.0
SETTINGS = {
    "negatives.mined.count": "4",
    "negatives.mined.every": "500",
    "negatives.mined.wait": "true",  # so that the same seed gives the same run
    "negatives.memory.enabled": "true",
    "negatives.memory.sample": "4096",
    "negatives.uniform": "2048",
    "validation.every": "500",
    "training.checkpoint_minutes": "3",
    "run.overwrite": "true",
}


@dataclass(frozen=True)
class Sample:
    """What a run was at, ``seconds`` after its (last) start."""

    seconds: float
    cpu_seconds: float
    memory_bytes: int
    step: int


@dataclass
class SoakedRun:
    """One run, by as many processes as it takes: a kill ends one of them.

    Attributes:
        name: Of its folder.
        kills: Steps at which it is killed, in order.
        parts: The samples of each process.
    """

    name: str
    command: list[str]
    folder: Path
    kills: list[int]
    parts: list[list[Sample]] = field(default_factory=list)
    process: psutil.Popen | None = None

    def start(self) -> None:
        """Start it, or go on where its last checkpoint is."""
        resumed = ["--run.resume", "true", "--run.overwrite", "false"] if self.parts else []
        log = (self.folder.parent / f"{self.name}.log").open("a")
        one = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        self.process = psutil.Popen(
            [*self.command, *resumed], stdout=log, stderr=log, env={**os.environ, **one, "NO_COLOR": "1"}
        )
        self.parts.append([])
        self.started = time.monotonic()

    def look(self) -> bool:
        """Take a sample, kill where it is time to; whether the run is at work.

        Raises:
            RuntimeError: When it failed by itself.
        """
        assert self.process is not None
        code = self.process.poll()
        if code is not None:
            if code != 0:
                raise RuntimeError(f"{self.name} ended with {code}: see {self.folder.parent}/{self.name}.log")
            return False
        step = last_step(self.folder / "metrics.jsonl")
        try:
            times, memory = self.process.cpu_times(), own_memory(self.process)
        except psutil.NoSuchProcess:
            return True  # ended since it was asked
        used = times.user + times.system
        self.parts[-1].append(Sample(time.monotonic() - self.started, used, memory, step))
        if self.kills and step >= self.kills[0]:
            print(f"{self.name}: SIGKILL after step {step}", flush=True)
            self.kills.pop(0)
            self.process.kill()
            self.process.wait()
            self.start()
        return True


def own_memory(process: psutil.Process) -> int:
    """Bytes that a process has for itself: pages of mapped files are the system's to take back."""
    held = process.memory_info()
    return int(held.rss - held.shared)


def last_step(file: Path) -> int:
    """The step of the last whole line of a log of metrics; 0 before there is one."""
    try:
        with file.open("rb") as lines:
            lines.seek(max(0, lines.seek(0, os.SEEK_END) - 20_000))
            for line in reversed(lines.read().splitlines()):
                try:
                    return int(json.loads(line)["step"])
                except (ValueError, KeyError):
                    continue
    except FileNotFoundError:
        pass
    return 0


def slope(part: Sequence[Sample], skipped: float = 0.25) -> dict[str, float]:
    """Growth of memory in MiB an hour and of speed in percent an hour of one process, by least squares.

    Args:
        part: Its samples.
        skipped: The share of its time, from the start, that is warming up.
    """
    last = part[-1].seconds
    kept = [sample for sample in part if sample.seconds >= skipped * last]
    hours = np.array([sample.seconds for sample in kept]) / 3600
    memory = np.array([sample.memory_bytes for sample in kept]) / 2**20
    # Validation and mining come at set steps: a speed is that of a tenth of the time, which holds several.
    edges = np.linspace(0, len(kept) - 1, 11).astype(int)
    ends = [kept[edge] for edge in edges]
    speeds = np.array(
        [(b.step - a.step) / (b.cpu_seconds - a.cpu_seconds) for a, b in zip(ends, ends[1:], strict=False)]
    )
    middles = (hours[edges[1:]] + hours[edges[:-1]]) / 2
    return {
        "minutes": last / 60,
        "memory_mib": float(memory.max()),
        "memory_mib_per_hour": float(np.polyfit(hours, memory, 1)[0]),
        "steps_per_cpu_second": float(speeds.mean()),
        "speed_percent_per_hour": float(100 * np.polyfit(middles, speeds, 1)[0] / speeds.mean()),
    }


def quiet_speeds(file: Path, parts: int = 4) -> list[float]:
    """Rows a second between two lines of a log, the most in each part of a run: what neighbours slow least.

    Args:
        file: The metrics of a run that was not killed, whose lines have the mean speed of all steps so far.
        parts: Of equally many lines.
    """
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    logged = [line for line in lines if "rows_per_second" in line]
    steps = np.array([line["step"] for line in logged])
    # Steps over their mean speed are their time, but for the rows of a step.
    taken = steps / np.array([line["rows_per_second"] for line in logged])
    return [float(part.max()) for part in np.array_split(np.diff(steps) / np.diff(taken), parts)]


def outcome(folder: Path) -> dict[str, object]:
    """The metrics on the held-out rows, and the digests of all weights of the model."""
    result = json.loads((folder / "result.json").read_text())
    weights = sorted((folder / "model").resolve().rglob("*.safetensors"))
    return {
        "steps": result["num_steps"],
        "validation": result["validation"],
        "weights": {
            str(file.relative_to((folder / "model").resolve())): sha256_file(file) for file in weights
        },
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run both and print, as JSON, slopes, ends and whether the ends are the same."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="yso-finnatitles-24k")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--kills", type=int, default=2)
    given, more = parser.parse_known_args(argv)
    given.out.mkdir(parents=True, exist_ok=True)
    runs = []
    for name in ("unbroken", "killed"):
        folder = given.out / name
        settings = {
            **SETTINGS,
            "data.path": str(given.dataset),
            "run.dir": str(folder),
            "training.epochs": "1000",
            "training.max_steps": str(given.steps),
        }
        words = [word for key, value in settings.items() for word in (f"--{key}", value)]
        command = [sys.executable, "-m", "xmc", "train", given.recipe, *words, *more]
        # Not at a round step, where a checkpoint or a validation may just have been.
        kills = [round(given.steps * (i + 1) / (given.kills + 1)) + 37 for i in range(given.kills)]
        runs.append(SoakedRun(name, command, folder, kills if name == "killed" else []))
    for run in runs:
        run.start()
    try:
        while any([run.look() for run in runs]):
            time.sleep(EVERY)
    finally:
        for run in runs:
            if run.process is not None and run.process.poll() is None:
                run.process.terminate()
    ends = {run.name: outcome(run.folder) for run in runs}
    told = {
        "slopes": {run.name: [slope(part) for part in run.parts] for run in runs},
        "quiet_rows_per_second": quiet_speeds(runs[0].folder / "metrics.jsonl"),
        "ends": ends,
        "equal": ends["unbroken"] == ends["killed"],
    }
    (given.out / "soak.json").write_text(json.dumps(told, indent=2))
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
