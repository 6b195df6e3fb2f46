from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distributed.ranks import Ranks
from tests.training.test_world import as_rank
from xmc.errors import ConfigError
from xmc.training import train
from xmc.training.run.config import RunOptions
from xmc.training.run.folder import open_run_folder
from xmc.training.run.lock import lock_folder

WRITER = (
    "import sys; from xmc.training.run.lock import lock_folder; lock = lock_folder(sys.argv[1]);"
    "print('ready', flush=True); sys.stdin.read()"
)


def test_a_second_writer_is_refused_with_the_first_until_that_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None and first.stdout.readline() == "ready\n"
        told = rf"process {first.pid} on {socket.gethostname()} .* writes to it"
        for options in (RunOptions(dir=str(tmp_path), overwrite=True), RunOptions(dir=str(tmp_path))):
            with pytest.raises(ConfigError, match=told):
                open_run_folder(options)
        first.send_signal(signal.SIGKILL)
        first.wait()
    lock = lock_folder(tmp_path)  # what a killed process leaves does not stand in the way
    with pytest.raises(ConfigError, match=f"process {os.getpid()} "):
        lock_folder(tmp_path)
    lock.release()
    lock.release()
    lock_folder(tmp_path).release()


def test_a_folder_that_is_refused_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match="notes.txt"):
        open_run_folder(RunOptions(dir=str(tmp_path)))
    with pytest.raises(ConfigError, match="expected an earlier run"):
        open_run_folder(RunOptions(dir=str(tmp_path / "new"), resume=True))
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_read_only_place_is_refused_before_any_work(tmp_path: Path, monkeypatch) -> None:
    def read_only(self: Path, *given: object, **named: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(ConfigError, match=r"can be written, but .*run cannot \(Read-only file system\)"):
        open_run_folder(RunOptions(dir=str(tmp_path / "run")))


def test_a_run_gives_its_folder_back(config, changed) -> None:
    short = changed(config, training={"epochs": 0.3})
    train(short)
    with lock_folder(short.run.dir).lock:
        with pytest.raises(ConfigError, match=f"process {os.getpid()} "):
            train(changed(short, run={"overwrite": True}))
        assert (Path(short.run.dir) / "result.json").is_file()


def refused(config) -> str:  # type: ignore[no-untyped-def]
    try:
        as_rank(lambda: train(config))
    except ConfigError as error:
        return str(error)
    return "not refused"


def test_the_refusal_reaches_every_rank(config, changed, ranks: Ranks) -> None:
    lock = lock_folder(config.run.dir)
    said = ranks.run(refused, changed(config, run={"overwrite": True}), size=2)
    lock.release()
    assert said[0] == said[1] and f"process {os.getpid()} " in said[0]
