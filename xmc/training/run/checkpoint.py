"""Checkpoints to resume from: whole or absent, free of pickles, and usable on another number of ranks.

``checkpoints/step-<n>/`` holds safetensors of each module, each optimiser and the batches, ``state.json``,
and ``SHA256SUMS`` of them all, which `sha256sum --check` reads too. A damaged one is passed over for the one
before. Draws depend on the seed, a stream and its counters alone (`xmc.random_streams`), so no random state
is kept.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn
from tqdm.auto import tqdm

from xmc.distributed import World, from_main
from xmc.encoders.folder_checks import check_finite
from xmc.errors import DataError
from xmc.files import atomic_folder, check_space
from xmc.received import read_json, reading
from xmc.training.learned.optimisers.optimiser import Optimiser
from xmc.training.run.checksums import damaged, write_checksums

__all__ = ["CHECKPOINTS", "Checkpointer", "Stateful", "stored_states"]

CHECKPOINTS = "checkpoints"
"""The folder in a run's."""
_MEND = (
    "train with the configuration (the run's config.yaml) and the version of xmc that it was made with, or "
    "start anew in another folder"
)


class Stateful(Protocol):
    """What has a state besides modules and optimisers."""

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and lists for JSON."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What is kept besides, whole on the main rank. Every rank calls it."""
        ...

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on from both."""
        ...


@dataclass(frozen=True)
class Checkpointer:
    """Saves and loads what a run needs to go on.

    Attributes:
        folder: The ``checkpoints`` folder of the run.
        modules: What is learned, by file name.
        optimisers: What they keep, by name.
        parts: What else has a state, by name.
        world: The ranks, of which the main one writes.
        keep: How many of the newest stay.
    """

    folder: Path
    modules: dict[str, nn.Module]
    optimisers: dict[str, Optimiser]
    parts: dict[str, Stateful] = field(default_factory=dict)
    world: World = field(default_factory=World)
    keep: int = 2

    def save(self, step: int) -> Path | None:
        """Write the checkpoint of ``step``, and remove all but the newest. Every rank calls it.

        Returns:
            Its folder; None on ranks that do not write.

        Raises:
            XMCError: When the disk has no room for it; those that are there stay whole.
        """
        tensors = {name: part.tensors() for name, part in self.parts.items()}  # of every rank's share
        if not self.world.is_main:
            return None
        state = {"step": step, **{name: part.state_dict() for name, part in self.parts.items()}}
        path = self.folder / f"step-{step:08d}"
        check_space(path, self.num_bytes(tensors))
        with atomic_folder(path, overwrite=True) as temporary:
            for name, module in self.modules.items():
                save_model(module, str(temporary / f"{name}.safetensors"))
            for name, optimiser in self.optimisers.items():
                save_file(_contiguous(optimiser.tensors()), temporary / f"optimiser-{name}.safetensors")
            for name, kept in tensors.items():
                if kept:
                    save_file(_contiguous(kept), temporary / f"{name}.safetensors")
            (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
            write_checksums(temporary)
        stored = _stored(self.folder)
        # Of later steps are those that were damaged, or that a run with other options left behind.
        for old in [*stored[: stored.index(path)], *stored[stored.index(path) + self.keep :]]:
            shutil.rmtree(old)
        return path

    def num_bytes(self, tensors: dict[str, dict[str, Tensor]] | None = None) -> int:
        """Bytes of the tensors of a checkpoint as things are, with those ``tensors`` of its parts."""
        groups = [optimiser.tensors() for optimiser in self.optimisers.values()]
        groups += list((tensors or {}).values())
        modules = sum(_module_bytes(module) for module in self.modules.values())
        return modules + sum(tensor.nbytes for group in groups for tensor in group.values())

    def load_latest(self) -> int | None:
        """Load the newest checkpoint that is whole and return its step, or None when there is none at all.

        The main rank looks which it is, and says what it passes over. Every rank calls it.

        Raises:
            DataError: When none of them is whole, or it does not fit the configured model.
            XMCError: When it does not fit a part.
        """
        name = from_main(self._newest_whole, self.world)
        if name is None:
            return None
        path = self.folder / name
        with reading(path, "a checkpoint of this configuration", _MEND):
            for name, module in self.modules.items():
                load_model(module, path / f"{name}.safetensors")
                check_finite(module)
            for name, optimiser in self.optimisers.items():
                optimiser.load(load_file(path / f"optimiser-{name}.safetensors"))
            state: dict[str, Any] = read_json(path / "state.json")
            for name, part in self.parts.items():
                file = path / f"{name}.safetensors"
                part.load(state[name], load_file(file) if file.is_file() else {})
        with reading(path / "state.json", "the step of a checkpoint"):
            return _whole(state["step"])

    def _newest_whole(self) -> str | None:
        reasons: list[str] = []
        for path in _stored(self.folder):
            reason = damaged(path)
            if reason is None:
                if reasons:
                    tqdm.write(f"{'; '.join(reasons)}: going on from the checkpoint before, {path.name}")
                return path.name
            reasons.append(f"{path} is damaged ({reason})")
        if reasons:
            raise DataError(
                f"run.resume: expected a checkpoint that is whole, but {'; '.join(reasons)}: start anew in "
                "another folder, or with --run.overwrite true"
            )
        return None


def stored_states(folder: Path) -> Iterator[dict[str, Any]]:
    """The ``state.json`` of each checkpoint in ``folder``, the newest first; damaged ones are left out."""
    for path in _stored(folder):
        if damaged(path, "state.json") is None:
            with reading(path / "state.json", "the state of a run", _MEND):
                state = read_json(path / "state.json")
            yield state


def _stored(folder: Path) -> list[Path]:
    """The checkpoints, the newest first; each is whole as its name appears last."""
    return sorted(folder.glob("step-*"), reverse=True)


def _whole(step: object) -> int:
    if type(step) is not int or step < 0:
        raise ValueError(f"it is {step!r:.80}")
    return step


def _module_bytes(module: nn.Module) -> int:
    """Of its tensors, each once: of those that are tied one is written."""
    sizes = {(tensor.data_ptr(), tensor.nbytes) for tensor in module.state_dict().values()}
    return sum(nbytes for _, nbytes in sizes)


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
