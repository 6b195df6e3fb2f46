"""What is on disk after a kill at any point of a save: each write and rename is the last one of a process."""

from __future__ import annotations

import os
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import xmc.training.run.checkpoint as checkpoint
from tests.training.run.test_checkpoint import adamw, step_once
from xmc.distributed import World
from xmc.errors import DataError, XMCError
from xmc.training.callbacks.keep_best import KeepBest
from xmc.training.run.checkpoint import CHECKPOINTS, Checkpointer, stored_states
from xmc.training.run.models import RunModels

WRITES = [
    (os, "replace"),
    (os, "symlink"),
    (os, "mkdir"),
    (shutil, "rmtree"),
    (Path, "write_text"),
    (checkpoint, "save_file"),
    (checkpoint, "save_model"),
]


class SmallModels(RunModels):
    """Models that are a file with their step, and the file of its end."""

    def save(self, path: Path, metrics: dict[str, float] | None = None) -> None:
        from xmc.files import atomic_folder

        with atomic_folder(path, overwrite=True) as temporary:
            (temporary / "first").write_text(path.name)
            (temporary / "last").write_text(path.name)


class Callbacks:
    """The one callback of these runs, as a part of a checkpoint."""

    def __init__(self, callback: KeepBest) -> None:
        self.callback = callback

    def state_dict(self) -> dict[str, Any]:
        state = self.callback.state_dict()
        return {self.callback.name: state} if state else {}

    def tensors(self) -> dict[str, torch.Tensor]:
        return {}

    def load(self, state: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        if self.callback.name in state:
            self.callback.load_state_dict(state[self.callback.name])


class Run:
    """A run of one layer in a folder: what is validated, kept and saved as in a real one."""

    def __init__(self, config: Any, folder: Path) -> None:
        from types import SimpleNamespace

        self.layer = torch.nn.Linear(2, 3)
        self.optimiser = adamw(self.layer)
        self.models = SmallModels(folder, config, None, None, World())  # type: ignore[arg-type]
        self.best = KeepBest(self.models)
        self.state: Any = SimpleNamespace(step=0, folder=folder)
        parts = {"callbacks": Callbacks(self.best)}
        self.checkpointer = Checkpointer(
            folder / CHECKPOINTS, {"encoder": self.layer}, {"adamw": self.optimiser}, parts
        )

    def resume(self) -> int:
        self.state.step = self.checkpointer.load_latest() or 0
        return int(self.state.step)

    def go_on(self, until: int) -> None:
        """Steps, of which every second is validated, each better than those before, every third saved."""
        while self.state.step < until:
            step_once(self.layer, self.optimiser)
            self.state.step += 1
            if self.state.step % 2 == 0:
                self.best.after_validation(self.state, {"nDCG@5": float(self.state.step)})
            if self.state.step % 3 == 0:
                path = self.checkpointer.save(self.state.step)
                assert path is not None
                self.best.on_save(self.state, path)


def killed_at(write: int, work: Callable[[], None]) -> bool:
    """Whether ``work`` in another process was killed at its ``write``-th write, before it is done."""
    process = os.fork()
    if process == 0:
        count = 0
        for owner, name in WRITES:
            real = getattr(owner, name)

            def dying(*given: Any, real: Any = real, **named: Any) -> Any:
                nonlocal count
                count += 1
                if count == write:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*given, **named)

            setattr(owner, name, dying)
        code = 1
        try:
            work()
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, "the work ended in an error"
    return os.WIFSIGNALED(status)


@pytest.fixture
def before(config: Any, tmp_path: Path) -> Iterator[Path]:
    """A run that was killed after step 7, of which 2, 4 and 6 were validated and 3 and 6 saved."""
    folder = tmp_path / "run"
    torch.manual_seed(0)
    Run(config, folder).go_on(7)
    yield folder


@pytest.mark.parametrize("last", [9, pytest.param(13, marks=pytest.mark.slow)])
def test_a_kill_at_any_write_loses_no_model_and_no_checkpoint(
    config, before: Path, tmp_path: Path, last: int
) -> None:
    def work() -> None:
        run = Run(config, folder)
        run.resume()
        run.go_on(last)

    for write in range(1, 200):
        folder = tmp_path / f"killed-{write}"
        shutil.copytree(before, folder, symlinks=True)
        killed = killed_at(write, work)
        best = folder / "model"
        assert (best / "first").read_text() == (best / "last").read_text() == best.resolve().name
        for state in stored_states(folder / CHECKPOINTS):
            for kept in state["callbacks"].get("KeepBest", {}).get("kept", []):
                assert (folder / "models" / f"step-{kept['step']:08d}" / "last").is_file()
        run = Run(config, folder)
        step = run.resume()
        assert step in (6, 9, 12)
        # What the checkpoint knows as the best is what the user finds, whatever came after it.
        assert best.resolve().name == f"step-{run.models.kept[0].step:08d}"
        assert run.models.kept[0].step == step - step % 2
        run.go_on(last)
        assert best.resolve().name == f"step-{last - last % 2:08d}"
        names = sorted(path.name for path in (folder / CHECKPOINTS).glob("step-*"))
        newest = last - last % 3
        assert names[-2:] == [f"step-{newest - 3:08d}", f"step-{newest:08d}"]
        shutil.rmtree(folder)
        if not killed:
            break
    assert not killed and write > 15


def test_a_model_that_was_left_behind_is_replaced_whole(config, tmp_path: Path) -> None:
    Run(config, tmp_path).go_on(2)  # killed before its first checkpoint: the next run writes this model again
    for write in range(1, 30):
        killed = killed_at(write, lambda: Run(config, tmp_path).go_on(2))
        assert (tmp_path / "model" / "last").is_file()
        if not killed:
            break
    assert not killed and write > 5
    assert (tmp_path / "model").resolve().name == "step-00000002"


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "no checksums"])
def test_a_damaged_checkpoint_is_passed_over(config, before: Path, capsys, damage: str) -> None:
    newest = before / CHECKPOINTS / "step-00000006"
    weights = newest / "encoder.safetensors"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:-4])
    elif damage == "changed":
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    else:
        (weights if damage == "missing" else newest / "SHA256SUMS").unlink()
    run = Run(config, before)
    assert run.resume() == 3
    said = capsys.readouterr().out
    assert f"{newest} is damaged" in said and "going on from the checkpoint before, step-00000003" in said
    assert (before / "model").resolve().name == "step-00000002"
    run.go_on(5)
    assert newest.is_dir()  # until the run has come as far again
    run.go_on(6)
    assert Run(config, before).resume() == 6


def test_no_whole_checkpoint_is_an_error_and_none_at_all_is_not(config, before: Path, tmp_path: Path) -> None:
    for path in (before / CHECKPOINTS).glob("step-*/state.json"):
        path.write_text("{}")
    with pytest.raises(DataError, match="expected a checkpoint that is whole.*step-00000006.*step-00000003"):
        Run(config, before).resume()
    assert Run(config, tmp_path / "new").resume() == 0


def test_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 3)
    checkpointer = Checkpointer(tmp_path, {"encoder": layer}, {}, keep=3)
    for step in range(1, 6):
        checkpointer.save(step)
    assert sorted(path.name[-1] for path in tmp_path.iterdir()) == ["3", "4", "5"]


def test_a_full_disk_leaves_the_checkpoint_before(config, before: Path, monkeypatch) -> None:
    import errno

    def full(*given: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = Run(config, before)
    run.resume()
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(XMCError, match=r"no space left while writing .*step-00000009 \(.* MB are free\)"):
        run.go_on(9)
    monkeypatch.undo()
    monkeypatch.setattr("xmc.files._free", lambda path: 10)
    with pytest.raises(XMCError, match=r"expected 0.0 MB free to write .*step-00000009, got 0.0 MB"):
        run.checkpointer.save(9)
    assert Run(config, before).resume() == 6
    assert sorted(path.name for path in (before / CHECKPOINTS).iterdir()) == [
        "step-00000003",
        "step-00000006",
    ]
