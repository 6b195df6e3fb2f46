"""Checkpoints to resume from: whole or absent, free of pickles, and usable on another number of ranks.

``checkpoints/step-<n>/`` holds safetensors of each module, each optimiser and the batches, and
``state.json``; ``checkpoints/latest`` names the newest. Draws depend on the seed, a stream and its
counters alone (`xmc.random_streams`), so no random state is kept.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn

from xmc.distributed import World
from xmc.errors import DataError
from xmc.files import atomic_file, atomic_folder
from xmc.training.learned.optimisers.optimiser import Optimiser

__all__ = ["Checkpointer", "Stateful"]

KEPT = 2


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
    """

    folder: Path
    modules: dict[str, nn.Module]
    optimisers: dict[str, Optimiser]
    parts: dict[str, Stateful] = field(default_factory=dict)
    world: World = field(default_factory=World)

    def save(self, step: int) -> Path | None:
        """Write the checkpoint of ``step``, and keep the newest two. Every rank calls it.

        Returns:
            Its folder; None on ranks that do not write.
        """
        tensors = {name: part.tensors() for name, part in self.parts.items()}  # of every rank's share
        if not self.world.is_main:
            return None
        state = {"step": step, **{name: part.state_dict() for name, part in self.parts.items()}}
        path = self.folder / f"step-{step:08d}"
        with atomic_folder(path, overwrite=True) as temporary:
            for name, module in self.modules.items():
                save_model(module, str(temporary / f"{name}.safetensors"))
            for name, optimiser in self.optimisers.items():
                save_file(_contiguous(optimiser.tensors()), temporary / f"optimiser-{name}.safetensors")
            for name, kept in tensors.items():
                if kept:
                    save_file(_contiguous(kept), temporary / f"{name}.safetensors")
            (temporary / "state.json").write_text(json.dumps(state), encoding="utf-8")
        with atomic_file(self.folder / "latest") as temporary:
            temporary.write_text(path.name, encoding="utf-8")
        for old in sorted(self.folder.glob("step-*"))[:-KEPT]:
            shutil.rmtree(old)
        return path

    def load_latest(self) -> int | None:
        """Load the newest checkpoint in place and return its step, or None when there is none.

        Raises:
            DataError: When the checkpoint does not fit the configured model.
            XMCError: When it does not fit a part.
        """
        pointer = self.folder / "latest"
        if not pointer.is_file():
            return None
        path = self.folder / pointer.read_text(encoding="utf-8").strip()
        try:
            for name, module in self.modules.items():
                load_model(module, path / f"{name}.safetensors")
            for name, optimiser in self.optimisers.items():
                optimiser.load(load_file(path / f"optimiser-{name}.safetensors"))
            state: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
            for name, part in self.parts.items():
                file = path / f"{name}.safetensors"
                part.load(state[name], load_file(file) if file.is_file() else {})
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise DataError(
                f"{path}: expected a checkpoint of this configuration: {error}; train with the "
                "configuration it was made with (the run's config.yaml), or start anew in another folder"
            ) from error
        return int(state["step"])


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
