"""Says what of a training step got slower since its ratios were recorded; exit code 1 when anything did.

    python benchmarks/guard.py [--record]

Ratios are those of `xmc bench step` on a made data set: one thread, in processor time, so that other work on
the machine changes them little. What is slower by more than 15 % is measured again, and has to be so each
time. benchmarks/ratios.json has a record of each kind of processor, with its machine and day: a run is
compared with that of its own, and where there is none with the latest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import torch

from xmc.bench.step_ratios import bench_step
from xmc.cli.config import load_train_config
from xmc.corpora.synthetic.build import build_synthetic
from xmc.files import atomic_file
from xmc.machine import this_machine

__all__ = ["CASES", "main", "measure", "slower"]

FILE = Path(__file__).with_name("ratios.json")
TOLERANCE = 0.15
RUNS = 3
GUARDED = ("step", "scoring", "encoding", "optimiser")
"""Not the optimiser's share, which grows when something else gets faster, nor what a busy machine changes."""
MACHINE = ("cpu", "cores", "device", "torch", "python", "system")

SMALL = {
    "training.batch_size": "256",
    "training.epochs": "20",
    "negatives.uniform": "1024",
    "negatives.memory.enabled": "false",
    "negatives.memory.sample": "1024",
    "negatives.memory.refresh": "128",
}
CASES = {
    "sampled": {},
    "memory": {"negatives.memory.enabled": "true"},
    "whole tables": {"training.token_optimiser": "adamw"},
}
"""What each case changes of the recipe synthetic-1m, made small."""

Ratios = dict[str, dict[str, float]]


def measure(data: Path, steps: int) -> Ratios:
    """The ratios of each case on the data set in ``data``."""
    found = {}
    for name, changes in CASES.items():
        keys = {**SMALL, **changes, "data.path": str(data)}
        words = [word for key, value in keys.items() for word in (f"--{key}", value)]
        config = load_train_config(["synthetic-1m", *words])
        _, ratios = bench_step(config, steps, clock=time.process_time)
        found[name] = {key: round(value, 4) for key, value in asdict(ratios).items()}
    return found


def slower(recorded: Ratios, found: Ratios, tolerance: float = TOLERANCE) -> dict[tuple[str, str], float]:
    """By case and ratio, how many times what was recorded it is now, where that is beyond the tolerance.

    Raises:
        ValueError: When the recorded cases are not those that were measured.
    """
    if recorded.keys() != found.keys():
        raise ValueError(
            f"expected the cases {', '.join(found)}, got {', '.join(recorded)}: --record them anew"
        )
    growth = {(case, name): found[case][name] / recorded[case][name] for case in found for name in GUARDED}
    return {place: times for place, times in growth.items() if times > 1 + tolerance}


def middle(runs: Sequence[Ratios]) -> Ratios:
    """The median over runs."""
    return {
        case: {name: statistics.median(run[case][name] for run in runs) for name in runs[0][case]}
        for case in runs[0]
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and compare, or record; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write the ratios instead of comparing")
    parser.add_argument("--file", type=Path, default=FILE, help="where they are recorded")
    parser.add_argument("--labels", type=int, default=5_000, help="labels and queries of the made data set")
    parser.add_argument("--steps", type=int, default=15, help="steps of each case and run")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="xmc-guard-") as folder:
        data, count = Path(folder) / "data", options.labels
        build_synthetic(data, num_labels=count, num_queries=count, num_test=100, progress=False)
        if options.record:
            record(options.file, middle([measure(data, options.steps) for _ in range(RUNS)]), options)
            return 0
        return compare(nearest_record(read_records(options.file)), data, options)


def read_records(file: Path) -> list[dict[str, Any]]:
    """One of each kind of processor, the latest last."""
    records = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(records, list) or not records:
        raise SystemExit(
            f"expected a list of records in {file}, got {records!r:.40}: remove it and --record anew"
        )
    return records


def nearest_record(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """That of this machine's kind of processor, or else the latest."""
    own = [one for one in records if one["machine"]["cpu"] == this_machine().cpu]
    return (own or list(records))[-1]


def record(file: Path, ratios: Ratios, options: argparse.Namespace) -> None:
    """Write the ratios, with the machine, the day and the size they are of, in place of its processor's."""
    machine = {name: value for name, value in asdict(this_machine()).items() if name in MACHINE}
    said = {"date": date.today().isoformat(), "machine": machine, **_size(options), "cases": ratios}
    before = read_records(file) if file.exists() else []
    others = [one for one in before if one["machine"]["cpu"] != machine["cpu"]]
    with atomic_file(file) as partial:
        partial.write_text(json.dumps([*others, said], indent=2) + "\n", encoding="utf-8")


def compare(recorded: Mapping[str, Any], data: Path, options: argparse.Namespace) -> int:
    """Print every ratio beside the recorded one; 1 when one of them is slower each time."""
    size = _size(options)
    if missing := [name for name in size if name not in recorded]:
        raise SystemExit(f"expected the number of {missing[0]} in {options.file}, got none: --record anew")
    if any(recorded[name] != value for name, value in size.items()):
        asked, told = (" and ".join(f"{of[name]} {name}" for name in size) for of in (recorded, size))
        raise SystemExit(f"expected the size that was recorded, {asked}, got {told}")
    machine = asdict(this_machine())
    changed = [name for name in MACHINE if recorded["machine"][name] != machine[name]]
    if changed:
        told = "; ".join(f"{name} {recorded['machine'][name]}, now {machine[name]}" for name in changed)
        print(
            f"recorded elsewhere ({told}): ratios of another processor may differ by half and more",
            file=sys.stderr,
        )
    runs = [measure(data, options.steps)]
    worse = slower(recorded["cases"], runs[0])
    while worse and len(runs) < RUNS:
        runs.append(measure(data, options.steps))
        again = slower(recorded["cases"], runs[-1])
        worse = {place: min(times, again[place]) for place, times in worse.items() if place in again}
    found = middle(runs)
    print(f"| ratio | {recorded['date']} | now |\n|---|---|---|")
    for case, ratios in recorded["cases"].items():
        for name, value in ratios.items():
            print(f"| {case}: {name} | {value:.3f} | {found[case][name]:.3f} |")
    for (case, name), times in worse.items():
        print(f"slower: {case}: {name} is {times:.2f} times what it was on {recorded['date']}")
    return int(bool(worse))


def _size(options: argparse.Namespace) -> dict[str, int]:
    return {"labels": options.labels, "steps": options.steps}


if __name__ == "__main__":
    sys.exit(main())
