"""One system, one data set, one seed: run it, judge its lists by our ruler, keep what came."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import NotInstalled, interpreter
from benchmarks.peers.measuring import run_within
from benchmarks.peers.peer import Peer
from xmc.data import Dataset
from xmc.errors import XMCError
from xmc.evaluation import score_predictions
from xmc.files import atomic_file

__all__ = ["Conditions", "Result", "read_result", "run_peer"]


@dataclass(frozen=True)
class Conditions:
    """What is the same for all systems."""

    threads: int = 2
    limit: float = 3600.0
    """Seconds for training, prediction and all around them."""


@dataclass(frozen=True)
class Result:
    """What is kept of a run; ``failed`` says why there are no figures."""

    peer: str
    title: str
    data: str
    fingerprint: str
    seed: int
    options: list[str]
    threads: int
    queries: int
    failed: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    """In percent."""
    train_seconds: float = 0.0
    predict_seconds: float = 0.0
    peak_bytes: int = 0
    model_bytes: int = 0
    report: dict[str, Any] = field(default_factory=dict)
    """What else the system's script says: versions, steps."""
    date: str = ""
    load: list[float] = field(default_factory=list)
    """Processes at work on the machine in the minute before and at the end, this one among them."""


def read_result(file: Path) -> Result | None:
    """The result in a file, or None where there is none."""
    return Result(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def run_peer(
    peer: Peer,
    dataset: Dataset,
    material: Path,
    seed: int,
    out: Path,
    environments: Path,
    conditions: Conditions,
    *,
    retry: bool = False,
) -> Result:
    """A result kept in ``out`` of the same data, options and threads, or that of a run.

    A failure is a result too, and run again with ``retry`` alone. Beside ``PEER-SEED.json`` there is a folder
    with the lists, the report and the log.
    """
    file, folder = out / f"{peer.name}-{seed}.json", out / f"{peer.name}-{seed}"
    same: dict[str, Any] = {
        "peer": peer.name,
        "title": peer.title,
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "seed": seed,
        "options": list(peer.options),
        "threads": conditions.threads,
        "queries": dataset.num_test,
    }
    kept = read_result(file)
    is_same = kept is not None and all(getattr(kept, name) == value for name, value in same.items())
    if kept is not None and is_same and not (kept.failed and retry):
        return kept
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    came: dict[str, Any] = {"date": datetime.now(timezone.utc).isoformat(timespec="minutes")}
    load = os.getloadavg()[0]
    try:
        came |= _measured(peer, dataset, material, seed, folder, environments, conditions)
    except (NotInstalled, _Failed, XMCError) as error:
        came["failed"] = str(error)
    result = Result(**same, **came, load=[round(load, 2), round(os.getloadavg()[0], 2)])
    with atomic_file(file) as temporary:
        temporary.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
    return result


class _Failed(Exception):
    """A run without a result."""


def _measured(
    peer: Peer,
    dataset: Dataset,
    material: Path,
    seed: int,
    folder: Path,
    environments: Path,
    conditions: Conditions,
) -> dict[str, Any]:
    python, log = interpreter(peer.environment, environments), folder / "log.txt"
    words = ["--material", material, "--out", folder, "--seed", seed, "--threads", conditions.threads]
    # Our own package is found where this file is; those of others have nothing of ours.
    more = {} if peer.environment is not None else {"PYTHONPATH": str(Path(__file__).parents[2])}
    ended = run_within(
        [str(python), str(peer.script), *map(str, words), *peer.options],
        conditions.limit,
        conditions.threads,
        log,
        more,
    )
    if ended.code is None:
        raise _Failed(f"not done within {conditions.limit:,.0f} s")
    lists, report = folder / "predictions.npz", folder / "report.json"
    if ended.code or not lists.is_file() or not report.is_file():
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = lines[-1].strip() if lines else "it said nothing"
        raise _Failed(f"exit code {ended.code}: {last}")
    said = json.loads(report.read_text(encoding="utf-8"))
    metrics = score_predictions(lists, dataset).metrics
    numbers = {name: said.pop(name) for name in ("train_seconds", "predict_seconds", "model_bytes")}
    return {"metrics": metrics, "peak_bytes": ended.peak_bytes, "report": said, **numbers}
