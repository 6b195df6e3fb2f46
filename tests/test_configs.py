"""Every shipped YAML is read by what will read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

from xmc.cli.config import load_train_config

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = sorted((ROOT / "configs" / "accelerate").glob("*.yaml"))
RECIPES = sorted((ROOT / "xmc" / "recipes").rglob("*.yaml"))


def test_there_are_some() -> None:
    assert len(RECIPES) >= 3 and len(LAUNCH) >= 3


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_recipe_parses(path: Path) -> None:
    config = load_train_config([str(path)])
    assert config.data.path.startswith("data/") and config.run.dir.startswith("runs/")


@pytest.mark.parametrize("path", LAUNCH, ids=lambda path: path.name)
def test_launch_config_parses(path: Path) -> None:
    config = load_config_from_file(str(path))
    assert config.num_machines == 1 and config.num_processes >= 1
    # The recipe's training.precision decides, so a launch file that also does would be a second truth.
    assert config.mixed_precision == "no"
    assert config.use_cpu == path.name.startswith("cpu")
