"""Every shipped YAML is read by what will read it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

from xmc.cli.config import load_train_config
from xmc.training import TrainConfig
from xmc.training.idle_options import idle_options

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = sorted((ROOT / "configs" / "accelerate").glob("*.yaml"))
RECIPES = sorted((ROOT / "xmc" / "recipes").rglob("*.yaml"))


@cache
def read(path: Path) -> TrainConfig:
    """Each once: the parser takes a third of a second."""
    return load_train_config([str(path)])


def test_there_are_some() -> None:
    assert len(RECIPES) >= 3 and len(LAUNCH) >= 3


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_recipe_parses(path: Path) -> None:
    config = read(path)
    assert config.data.path.startswith("data/") and config.run.dir.startswith("runs/")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_recipe_sets_nothing_that_has_no_effect(path: Path) -> None:
    assert idle_options(read(path)) == []


@pytest.mark.parametrize("path", LAUNCH, ids=lambda path: path.name)
def test_launch_config_parses(path: Path) -> None:
    config = load_config_from_file(str(path))
    several = path.name == "several_nodes.yaml"
    assert (config.num_machines > 1) == several and config.num_processes >= config.num_machines
    assert config.machine_rank == 0 and (config.num_processes % config.num_machines) == 0
    # The recipe's training.precision decides, so a launch file that also does would be a second truth.
    assert config.mixed_precision == "no"
    assert config.use_cpu == path.name.startswith("cpu")


def test_several_nodes_are_what_torchrun_is_told() -> None:
    """By accelerate's own way from the file to torchrun's options, on the second machine."""
    words = ["--config_file", str(ROOT / "configs" / "accelerate" / "several_nodes.yaml")]
    words += ["--machine_rank", "1", "--main_process_ip", "10.0.0.1", "scripts/train.py", "api-docs"]
    given, *_ = _validate_launch_command(launch_command_parser().parse_args(words))
    assert given.multi_gpu and not given.cpu
    prepare_multi_gpu_env(given)
    found = {name: str(getattr(given, name)) for name in ("nnodes", "node_rank", "nproc_per_node")}
    assert found == {"nnodes": "2", "node_rank": "1", "nproc_per_node": "8"}
    assert given.rdzv_endpoint == "10.0.0.1:29500" and given.rdzv_backend == "static"
