"""Checkpoints to resume from: whole or absent, free of pickles, and usable on another number of ranks.

``checkpoints/step-<n>/`` holds safetensors of the encoder, the score parameters and the optimiser, and
``state.json``;
``checkpoints/latest`` names the newest. Dropout and pools depend on the seed and the batch number alone, so
no random
state is kept.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn

from xmc.errors import DataError
from xmc.files import atomic_file, atomic_folder

__all__ = ["Checkpointer"]

KEPT = 2


@dataclass(frozen=True)
class Checkpointer:
    """Saves and loads what a run needs to go on.

    Attributes:
        folder: The ``checkpoints`` folder of the run.
        modules: What is learned, by file name.
        optimizer: Its moments.
    """

    folder: Path
    modules: dict[str, nn.Module]
    optimizer: torch.optim.Optimizer

    def save(self, step: int, state: dict[str, Any], tensors: dict[str, Tensor] | None = None) -> Path:
        """Write the checkpoint of ``step`` with a JSON-able ``state``, and keep the newest two.

        ``tensors`` are what label sources keep besides; they come back in the state under that name.
        """
        path = self.folder / f"step-{step:08d}"
        with atomic_folder(path, overwrite=True) as temporary:
            for name, module in self.modules.items():
                save_model(module, str(temporary / f"{name}.safetensors"))
            save_file(_moments(self.optimizer), temporary / "optimizer.safetensors")
            if tensors:
                save_file(_contiguous(tensors), temporary / "sources.safetensors")
            (temporary / "state.json").write_text(json.dumps({"step": step, **state}), encoding="utf-8")
        with atomic_file(self.folder / "latest") as temporary:
            temporary.write_text(path.name, encoding="utf-8")
        for old in sorted(self.folder.glob("step-*"))[:-KEPT]:
            shutil.rmtree(old)
        return path

    def load_latest(self) -> dict[str, Any] | None:
        """Load the newest checkpoint in place and return its state, or None when there is none.

        Raises:
            DataError: When the checkpoint does not fit the configured model.
        """
        pointer = self.folder / "latest"
        if not pointer.is_file():
            return None
        path = self.folder / pointer.read_text(encoding="utf-8").strip()
        try:
            for name, module in self.modules.items():
                load_model(module, path / f"{name}.safetensors")
            _restore_moments(self.optimizer, load_file(path / "optimizer.safetensors"))
            state: dict[str, Any] = json.loads((path / "state.json").read_text(encoding="utf-8"))
            if (path / "sources.safetensors").is_file():
                state["tensors"] = load_file(path / "sources.safetensors")
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise DataError(
                f"{path}: expected a checkpoint of this configuration: {error}; train with the "
                "configuration it was made with (the run's config.yaml), or start anew in another folder"
            ) from error
        return state


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return _contiguous(
        {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}
    )


def _restore_moments(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
