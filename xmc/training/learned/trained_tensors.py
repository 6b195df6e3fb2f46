"""The trained part of a module as a checkpoint keeps it: frozen weights stay out, named by their digest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from xmc.encoders.model_fingerprint import Weights, digest

__all__ = ["TrainedTensors", "count_parameters"]

FROZEN = "frozen.sha256"


class _Keys(NamedTuple):
    """What a module answers after loading."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class TrainedTensors(nn.Module):
    """A view of ``module``: its state is the parameters that are trained, and a digest of those that are not.

    Frozen weights are where they came from, so that a checkpoint need not hold them; one that was made on
    others is refused, as what was trained fits those alone.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._whole = [module]  # in a list, or it would be a part

    def state_dict(self, *_: Any, **__: Any) -> Any:
        """The parameters that are trained, by name, and 32 bytes that name the frozen ones."""
        return {FROZEN: self._frozen, **self._trained()}

    def load_state_dict(
        self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False
    ) -> _Keys:
        """Go on from :meth:`state_dict`, in place.

        Raises:
            ValueError: When it was trained on other frozen weights, or has other parameters.
        """
        trained = self._trained()
        if differing := sorted(set(state_dict) ^ {FROZEN, *trained}):
            raise ValueError(f"it has other trained parameters than this model: {', '.join(differing[:3])}")
        if not torch.equal(state_dict[FROZEN].cpu(), self._frozen):
            raise ValueError(
                "its adapters were trained on other weights than those of encoder.model, which has changed"
            )
        with torch.no_grad():
            for name, parameter in trained.items():
                expected, got = tuple(parameter.shape), tuple(state_dict[name].shape)
                if expected != got:
                    raise ValueError(f"{name}: expected shape {expected}, got {got}")
                parameter.copy_(state_dict[name])
        return _Keys([], [])

    def _trained(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self._whole[0].named_parameters() if p.requires_grad}

    @cached_property
    def _frozen(self) -> Tensor:
        """uint8 [32]. Taken once: nothing changes them."""
        named = sorted(self._whole[0].named_parameters())
        kept = [(name, p.detach().cpu().contiguous()) for name, p in named if not p.requires_grad]
        found = digest(
            Weights(0, name, str(p.dtype), tuple(p.shape), p.flatten().view(torch.uint8).numpy().data)
            for name, p in kept
        )
        return torch.frombuffer(bytearray.fromhex(found), dtype=torch.uint8)


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Numbers in the parameters of ``module``: of those that are trained, and of all."""
    every = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return sum(size for size, trained in every if trained), sum(size for size, _ in every)
