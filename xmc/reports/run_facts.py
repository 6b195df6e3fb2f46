"""What a run's folder says of it: configuration, result, machine and learning curves."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from xmc.machine import read_machine
from xmc.nested import flat
from xmc.received import read_json, read_yaml, reading
from xmc.reports.curves import LearningCurves, read_curves

__all__ = ["RunFacts", "peculiarities", "read_run"]


@dataclass(frozen=True)
class RunFacts:
    """Of one run; a part that its folder does not hold is empty."""

    config: dict[str, Any] = field(default_factory=dict)
    """Every option by its dotted name."""
    result: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    curves: LearningCurves = field(default_factory=lambda: LearningCurves({}, {}))


def read_run(folder: str | Path | None) -> RunFacts:
    """The facts of a run's folder; none for None, a system that is no run.

    Raises:
        DataError: When a file of the folder is damaged.
    """
    if folder is None:
        return RunFacts()
    folder = Path(folder)
    log, result = folder / "metrics.jsonl", folder / "result.json"
    machine = read_machine(folder)
    with reading(folder, "a run's config.yaml and result.json"):
        config = read_yaml(folder / "config.yaml")
        values = read_json(result) if result.is_file() else {}
        if not (isinstance(config, dict) and isinstance(values, dict)):
            raise ValueError("they hold no mappings")
        _check_result(values)
    return RunFacts(
        config=flat(config),
        result=values,
        machine={} if machine is None else asdict(machine),
        curves=read_curves(log) if log.is_file() else LearningCurves({}, {}),
    )


def _check_result(result: dict[str, Any]) -> None:
    """Refuse, with a ValueError, a result whose lists of changes and plugins are none.

    What is missing is of an earlier version.
    """
    for name, keys in (("changes", {"step", "changes"}), ("plugins", set())):
        listed = result.get(name, [])
        if not isinstance(listed, list) or not all(
            isinstance(one, dict) and keys <= set(one) for one in listed
        ):
            raise ValueError(f"{name}: expected a list of mappings, got {listed!r:.80}")
    for change in result.get("changes", []):
        pairs = change["changes"].values() if isinstance(change["changes"], dict) else [None]
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise ValueError(f"changes: expected before and after of each option, got {change!r:.80}")
    for name in ("num_steps", "best_step", "seconds", "rows_per_second", "skipped_steps"):
        if name in result and (type(result[name]) not in (int, float) or not math.isfinite(result[name])):
            raise ValueError(f"{name}: expected a number, got {result[name]!r:.80}")


def peculiarities(name: str, facts: RunFacts) -> list[str]:
    """What makes a run another than its configuration says, a sentence each; none for an ordinary one."""
    result, told = facts.result, []
    for change in result.get("changes", []):
        listed = ", ".join(f"{key} {old} to {new}" for key, (old, new) in change["changes"].items())
        told.append(f"{name} was resumed with another configuration after step {change['step']}: {listed}.")
    if result.get("plugins"):
        code = ", ".join(plugin.get("name", "?") for plugin in result["plugins"])
        told.append(f"{name} used code of its own: {code}.")
    if result.get("skipped_steps"):
        told.append(f"{name} skipped {result['skipped_steps']} steps, which were not finite.")
    if result.get("stopped"):
        told.append(f"{name} ended before its last step: {result['stopped']}.")
    return told
