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
from xmc.errors import ConfigError, XMCError
from xmc.training import Trainer, train
from xmc.training.run.config import RunOptions
from xmc.training.run.folder import open_run_folder
from xmc.training.run.lock import FolderLock, lock_folder

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


def test_a_run_that_cannot_begin_gives_its_folder_back(config, monkeypatch) -> None:
    def full(*given: object) -> None:
        raise XMCError("the disk is full")

    monkeypatch.setattr("xmc.training.trainer.check_space", full)
    with pytest.raises(XMCError, match="full") as kept:  # with the frames, and in them the trainer
        Trainer(config)
    lock_folder(config.run.dir).release()
    assert kept.value is not None


def test_a_lock_file_is_left_to_those_who_may_hold_it(tmp_path: Path, monkeypatch) -> None:
    """One that came as this one gave way is not followed by a third with a lock file of its own."""
    release, came = FolderLock.release, []

    def late(folder: Path) -> FolderLock:
        lock = lock_folder(folder)
        (tmp_path / "notes.txt").touch()
        return lock

    def give_way(self: FolderLock) -> None:
        release(self)
        came.append(lock_folder(tmp_path))

    monkeypatch.setattr("xmc.training.run.folder.lock_folder", late)
    with monkeypatch.context() as patched:
        patched.setattr(FolderLock, "release", give_way)
        with pytest.raises(ConfigError, match="notes.txt"):
            open_run_folder(RunOptions(dir=str(tmp_path)))
    with pytest.raises(ConfigError, match=f"process {os.getpid()} "):
        lock_folder(tmp_path)
    came[0].release()


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
