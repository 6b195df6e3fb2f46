"""``accelerate launch --cpu --num_processes 2`` runs the user's own program twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest
import torch
import yaml

from xmc.distributed import launch
from xmc.errors import ConfigError
from xmc.training import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
CPU_CONFIG = ROOT / "configs" / "accelerate" / "cpu_two_processes.yaml"
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch"]
ASKED = {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1"}

# A program that moves to another folder before it asks for its ranks, then writes what each of them sees.
MINE = """
import json, os, sys, time
from pathlib import Path

here = os.getcwd()
os.chdir("/")
from xmc.distributed import start_missing_processes

start_missing_processes()
assert "torch" not in sys.modules
seen = {"arguments": sys.argv[1:], "folder": here, "pid": os.getpid(), "dev": sys.flags.dev_mode}
out = Path(here, sys.argv[1])
(out / f"rank{os.environ['RANK']}.json").write_text(json.dumps(seen))
if "wait" in sys.argv:
    try:
        time.sleep(120)
    except KeyboardInterrupt:
        (out / f"interrupted{os.environ['RANK']}").touch()
        raise
sys.exit(3 if "fail" in sys.argv and os.environ["RANK"] == "1" else 0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with ``mine.py`` and room for what its ranks write."""
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    (tmp_path / "what I saw").mkdir()
    return tmp_path


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k not in (launch.STARTED, *ASKED, *launch._SIZES)}
    return subprocess.Popen(
        [*ACCELERATE, "--cpu", "--num_processes", "2", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )


def seen_by_ranks(folder: Path) -> list[dict[str, object]]:
    files = sorted((folder / "what I saw").glob("rank*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def test_the_users_script_runs_on_every_rank_with_its_own_arguments(folder: Path) -> None:
    started = start(folder, "--no_python", sys.executable, "-X", "dev", "mine.py", "what I saw", "--a", "b c")
    _, errors = started.communicate(timeout=120)
    assert started.returncode == 0, errors[-2000:]
    assert errors.count("starting 2 with torchrun") == 1
    expected = {"arguments": ["what I saw", "--a", "b c"], "folder": str(folder), "dev": True}
    ranks = seen_by_ranks(folder)
    assert [{k: rank[k] for k in expected} for rank in ranks] == [expected, expected]
    assert ranks[0]["pid"] != ranks[1]["pid"]


TRAINS = """
import sys
from pathlib import Path

from xmc.cli.config import load_train_config
from xmc.training import Callback, train


class Note(Callback):
    def on_end(self, run, error):
        Path(f"rank{run.world.rank}of{run.world.size}").write_text(f"{run.step} {sys.argv[1]}")


result = train(load_train_config([sys.argv[1]]), callbacks=[Note()])
assert result.num_steps == 2
"""


@pytest.mark.slow
def test_a_script_that_trains_trains_on_both_ranks(tmp_path: Path, config: TrainConfig) -> None:
    (tmp_path / "mine.py").write_text(TRAINS, encoding="utf-8")
    short = replace(config, training=replace(config.training, max_steps=2))
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(asdict(short)), encoding="utf-8")
    started = start(tmp_path, "mine.py", "recipe.yaml")
    _, errors = started.communicate(timeout=240)
    assert started.returncode == 0, errors[-2000:]
    assert errors.count("starting 2 with torchrun") == 1
    for rank in (0, 1):
        assert (tmp_path / f"rank{rank}of2").read_text() == "2 recipe.yaml"
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert [plugin["name"] for plugin in result["plugins"]] == ["<python>:__main__.Note"]


@pytest.mark.slow
def test_a_module_runs_again_as_one_and_a_failing_rank_fails_the_launch(folder: Path) -> None:
    started = start(folder, "-m", "mine", "what I saw", "fail")
    _, errors = started.communicate(timeout=120)
    assert started.returncode != 0
    assert "exitcode  : 3" in errors
    assert len(seen_by_ranks(folder)) == 2


@pytest.mark.slow
def test_ctrl_c_reaches_the_ranks_and_leaves_no_process(folder: Path) -> None:
    started = start(folder, "mine.py", "what I saw", "wait")
    until(lambda: len(seen_by_ranks(folder)) == 2)
    ours = psutil.Process(started.pid).children(recursive=True)
    assert len(ours) == 3  # torchrun in place of the first process, and two ranks
    assert {rank["pid"] for rank in seen_by_ranks(folder)} < {process.pid for process in ours}
    os.killpg(started.pid, signal.SIGINT)
    assert started.wait(timeout=60) != 0
    until(lambda: not any(process.is_running() for process in ours))
    assert len(list((folder / "what I saw").glob("interrupted*"))) == 2


def until(condition: object, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_interpreters_options_and_the_module_are_kept() -> None:
    command = launch.torchrun_command(3, ["python", "-u", "-m", "my.module", "a b"])
    torchrun, program = command[:6], command[6:]
    assert torchrun[-2:] == ["--nproc_per_node", "3"]
    assert program == ["--no-python", sys.executable, "-u", "-m", "my.module", "a b"]


def test_nothing_to_start_again_is_an_error() -> None:
    with pytest.raises(ConfigError, match="a program"):
        launch.torchrun_command(2, ["python"])


@pytest.mark.parametrize(
    "command",
    [
        ["python", "/bin/accelerate", "launch"],
        ["python", "/bin/accelerate-launch"],
        ["python", "-m", "accelerate.commands.launch"],
        ["C:\\Scripts\\accelerate.exe".replace("\\", os.sep), "launch"],
    ],
    ids=" ".join,
)
def test_reads_the_number_from_the_command_line(command: list[str]) -> None:
    words = ["--cpu", "--num_processes", "3", "mine.py", "--num_processes", "5"]
    assert launch.processes_asked_for([*command, *words]) == 3


def test_reads_the_number_from_the_config_file() -> None:
    command = ["accelerate", "launch", "--config_file", str(CPU_CONFIG), "mine.py", "a.yaml"]
    assert launch.processes_asked_for(command) == 2


@pytest.mark.parametrize(
    "words", [[], ["--num_processes", "4", "--num_machines", "2"]], ids=["no number", "machines"]
)
def test_says_what_to_do_when_it_cannot_start_them(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="torchrun --nproc_per_node"):
        launch.processes_asked_for(["accelerate", "launch", "--cpu", *words, "mine.py"])


@pytest.mark.parametrize(
    "command",
    [
        ["python", "/home/me/accelerate/mine.py", "launch"],
        ["python", "/home/me/accelerate_launch.py"],
        ["bash", "-c", "python mine.py"],
        ["accelerate", "test"],
    ],
    ids=" ".join,
)
def test_other_commands_are_no_launch(command: list[str]) -> None:
    assert launch._launch_arguments(command) is None


def test_windows_waits_for_the_processes_and_passes_their_exit_code_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    code = f"import os, sys; sys.exit(7 if os.environ['{launch.STARTED}'] == '1' else 0)"
    with pytest.raises(SystemExit) as left:
        launch._become([sys.executable, "-c", code])
    assert left.value.code == 7


class Started(Exception):
    """The processes would have been started."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """This process as accelerate leaves one alone."""
    for name in (launch.STARTED, "SLURM_STEP_NUM_TASKS", *launch._SIZES):
        monkeypatch.delenv(name, raising=False)
    for name, value in ASKED.items():
        monkeypatch.setenv(name, value)

    class Parent:
        def cmdline(self) -> list[str]:
            return ["accelerate", "launch", "--cpu", "--num_processes", "2", "mine.py"]

        def cwd(self) -> str:
            return str(tmp_path)

    def become(command: list[str]) -> None:
        raise Started

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(psutil.Process, "parent", lambda _: Parent())
    monkeypatch.setattr(launch, "_become", become)
    return monkeypatch


def starts() -> bool:
    """Whether the processes would be started."""
    try:
        launch.start_missing_processes()
    except Started:
        return True
    return False


def test_starts_where_accelerate_left_the_process_alone(asked: pytest.MonkeyPatch) -> None:
    assert starts()


@pytest.mark.parametrize("name", ASKED)
def test_nothing_starts_where_accelerate_asked_for_nothing(name: str, asked: pytest.MonkeyPatch) -> None:
    asked.delenv(name)
    assert not starts()


@pytest.mark.parametrize(
    "environment",
    [
        {"ACCELERATE_USE_CPU": "False"},
        {"WORLD_SIZE": "2"},
        {"OMPI_COMM_WORLD_SIZE": "2"},
        {"SLURM_STEP_NUM_TASKS": "4"},
        {launch.STARTED: "1"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_other_starts_are_left_alone(environment: dict[str, str], asked: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        asked.setenv(name, value)
    assert not starts()


def test_a_batch_script_of_slurm_is_no_launcher(asked: pytest.MonkeyPatch) -> None:
    asked.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert starts()


def test_nothing_starts_once_ranks_have_met(asked: pytest.MonkeyPatch) -> None:
    asked.setattr(torch.distributed, "is_initialized", lambda: True)
    assert not starts()


def test_nothing_starts_in_a_worker(asked: pytest.MonkeyPatch) -> None:
    asked.setattr(multiprocessing, "parent_process", object)
    assert not starts()


def test_an_interactive_session_is_told_why(asked: pytest.MonkeyPatch) -> None:
    asked.setattr(sys, "ps1", ">>> ", raising=False)
    with pytest.raises(ConfigError, match="interactive session cannot be started again"):
        launch.start_missing_processes()


def test_a_process_of_another_parent_works_alone_and_says_so(
    asked: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked.setattr(psutil.Process, "parent", lambda _: None)
    assert not starts()
    assert "works alone" in caplog.text
