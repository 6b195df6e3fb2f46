from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from xmc.cli import launch
from xmc.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
CPU_CONFIG = ROOT / "configs" / "accelerate" / "cpu_two_processes.yaml"


@pytest.mark.parametrize(
    "start",
    [
        ["python", "/bin/accelerate", "launch"],
        ["python", "/bin/accelerate-launch"],
        ["python", "-m", "accelerate.commands.launch"],
    ],
    ids=" ".join,
)
def test_reads_the_number_from_the_command_line(start: list[str]) -> None:
    command = [*start, "--cpu", "--num_processes", "3", "scripts/train.py", "a.yaml"]
    assert launch.processes_asked_for(command) == 3


def test_reads_the_number_from_the_config_file() -> None:
    command = ["accelerate", "launch", "--config_file", str(CPU_CONFIG), "scripts/train.py", "a.yaml"]
    assert launch.processes_asked_for(command) == 2


def test_says_what_to_do_when_the_number_is_nowhere() -> None:
    with pytest.raises(ConfigError, match="torchrun --nproc_per_node"):
        launch.processes_asked_for(["accelerate", "launch", "--cpu", "scripts/train.py"])


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"ACCELERATE_USE_CPU": "True"},
        {"ACCELERATE_USE_CPU": "False", "MASTER_ADDR": "127.0.0.1"},
        {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2"},
        {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1", "OMPI_COMM_WORLD_SIZE": "2"},
    ],
)
def test_other_starts_are_left_alone(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCELERATE_USE_CPU", "MASTER_ADDR", *launch._RANKED):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started processes"))
    assert not launch._left_alone(os.environ)
    launch.start_missing_processes(["a.yaml"])


@pytest.mark.slow
def test_accelerate_launch_on_two_cpu_processes_trains_on_two(recipe: Path, tmp_path: Path) -> None:
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CPU_CONFIG)]
    done = subprocess.run(
        [*accelerate, str(ROOT / "scripts" / "train.py"), str(recipe)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "starting 2 with torchrun" in done.stderr
    assert (tmp_path / "run" / "result.json").is_file()
