from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from accelerate.utils import LoggerType

from xmc.errors import ConfigError
from xmc.training import train
from xmc.training.run.trackers import check_trackers


class Recorded(GeneralTracker):
    """Stands for a library that takes a project and the name of a run."""

    name = "recorded"
    requires_logging_directory = False
    made: dict[str, Any] = {}

    def __init__(self, project: str, **options: object) -> None:
        super().__init__(_blank=True)
        self.made.update(project=project, options=options, logged=[])

    def start(self) -> None:
        self.made["started"] = True

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.made["configuration"] = values

    def log(self, values: dict[str, Any], step: int | None = None, **_: object) -> None:
        self.made["logged"].append((step, values))


def test_unknown_trackers_are_named_with_the_known() -> None:
    check_trackers(["tensorboard"])
    with pytest.raises(ConfigError, match="tensorboard.* got nope"):
        check_trackers(["tensorboard", "nope"])


def test_each_tracker_gets_its_folder_or_the_project_the_name_and_the_configuration(
    config: Any, changed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "wandb", Recorded)
    installed = [LoggerType.TENSORBOARD, LoggerType.WANDB]
    monkeypatch.setattr("accelerate.tracking._available_trackers", installed)
    chosen = {"trackers": ["wandb", "tensorboard"], "project": "catalogue"}
    for name, shown in ((None, "run"), ("first try", "first try")):
        options = {**chosen, "name": name, "overwrite": True}
        train(changed(config, training={"epochs": 0.3}, run=options))
        folder = Path(config.run.dir)
        assert [path.parent for path in folder.rglob("events.out.tfevents*")] == [folder / "tensorboard"]
        made = Recorded.made
        assert made["started"] and (made["project"], made["options"]) == ("catalogue", {"name": shown})
        assert made["configuration"]["training.epochs"] == 0.3
        assert made["configuration"]["encoder.kind"] == "static"
        assert {step for step, _ in made["logged"]} == {0, 1, 2, 3} and "train/loss" in made["logged"][1][1]
