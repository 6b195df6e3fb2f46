"""A run that is resumed with another configuration: refused, or recorded with the step it changed at."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from xmc.encoders.lora_config import LoraConfig
from xmc.errors import ConfigError
from xmc.files import atomic_file
from xmc.nested import flat
from xmc.objectives.distillation.config import DistillationConfig
from xmc.objectives.margins.config import MarginConfig
from xmc.received import read_text, read_yaml, reading
from xmc.training.config import TrainConfig

__all__ = ["CHANGES_FILE", "check_changes", "read_changes", "record_changes"]

CHANGES_FILE = "changes.jsonl"
SAME_RUN = ("run.", "training.checkpoint_")
"""Options that say where a run's files go and how often, not what is trained."""


def check_changes(config: TrainConfig) -> dict[str, list[Any]]:
    """What of the configuration differs from the run in the folder that ``config`` resumes.

    Every rank reads the same file, so that all refuse or none.

    Returns:
        Before and after of each option that makes another run, by its dotted name.

    Raises:
        ConfigError: When there are any, and ``run.resume_with_changes`` is not given; and for another
            ``run.keep_best``, as other models were kept so far.
        DataError: When the folder's configuration cannot be read.
    """
    path = Path(config.run.dir) / "config.yaml"
    if not config.run.resume or not path.is_file():
        return {}
    with reading(path, "the configuration of a run"):
        before = flat(read_yaml(path))
    after = flat(yaml.safe_load(yaml.safe_dump(asdict(config))))
    # What a run of before there was any of it had.
    later = {
        "negatives": {"clusters": {"vectors": "fresh"}},
        "objective": {"margin": asdict(MarginConfig()), "virtual_negative": None},
        "distillation": asdict(DistillationConfig()),
        "training": {"table_dtype": "float32", "compile": False},
        "data": {
            **{"label_texts": "joint", "label_fold": "max", "label_text_draw": "random"},
            **{"co_labels": None, "co_label_prior": 0.0, "label_query_weight": 1.0, "label_query_until": 1.0},
        },
        "encoder": {
            **{"projection": None, "dimensions": None, "dimension_weights": None},
            **{"frozen_layers": 0, "frozen_cache": False, "frozen_labels": False},
            **{"query_prompt": None, "label_prompt": None, "include_prompt": None},
            "lora": asdict(LoraConfig()),
        },
    }
    before = flat(later) | before
    kept = [values.get("run.keep_best") for values in (before, after)]
    if kept[0] != kept[1]:
        raise ConfigError(
            f"run.keep_best: expected {kept[0]}, which the run in {config.run.dir} began with, got {kept[1]}"
        )
    changed = {
        name: [before.get(name), after.get(name)]
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name) and not name.startswith(SAME_RUN)
    }
    if changed and not config.run.resume_with_changes:
        raise ConfigError(
            f"run.resume: expected the configuration of the run in {config.run.dir}, got another "
            f"{_listed(changed)}: resume with the run's own config.yaml, train anew in another folder, or "
            "give --run.resume_with_changes true to go on as another run, which is recorded"
        )
    return changed


def record_changes(folder: Path, step: int, changes: dict[str, list[Any]]) -> None:
    """Add a line to ``changes.jsonl``: from ``step`` on the run has these options.

    A run that was killed before it kept its new ``config.yaml`` comes here twice with the same.
    """
    said, before = {"step": step, "changes": changes}, read_changes(folder)
    if changes and before[-1:] != [said]:
        with atomic_file(folder / CHANGES_FILE) as temporary:
            temporary.write_text(
                "".join(json.dumps(line) + "\n" for line in [*before, said]), encoding="utf-8"
            )


def read_changes(folder: Path) -> list[dict[str, Any]]:
    """The recorded changes, in their order: step, and before and after by option; empty for none."""
    path = folder / CHANGES_FILE
    if not path.is_file():
        return []
    with reading(path, "a run's changes, one JSON object a line"):
        return [json.loads(line) for line in read_text(path).splitlines()]


def _listed(changes: dict[str, list[Any]]) -> str:
    return ", ".join(f"{name} {before!r} -> {after!r}" for name, (before, after) in changes.items())
