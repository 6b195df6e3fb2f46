"""What a run's folder says of it: configuration, result, machine and learning curves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from xmc.errors import DataError
from xmc.machine import read_machine
from xmc.nested import flat
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
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        values = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
    except (ValueError, OSError, yaml.YAMLError) as error:
        raise DataError(f"expected a run's config.yaml and result.json in {folder}: {error}") from error
    return RunFacts(
        config=flat(config),
        result=values,
        machine={} if machine is None else asdict(machine),
        curves=read_curves(log) if log.is_file() else LearningCurves({}, {}),
    )


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
