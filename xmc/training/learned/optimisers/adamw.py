"""AdamW with a peak rate for each kind of parameter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xmc.distributed import World

__all__ = ["AdamW", "ParameterGroup"]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a peak rate, a weight decay, and whether their gradients are clipped."""

    parameters: Sequence[nn.Parameter]
    peak_rate: float
    weight_decay: float = 0.0
    clipped: bool = False


class AdamW:
    """AdamW (Loshchilov & Hutter 2019) of dense parameters; see :class:`.optimiser.Optimiser`.

    Args:
        groups: What is trained; groups without a parameter are left out.
    """

    def __init__(self, groups: Iterable[ParameterGroup]) -> None:
        self.groups = [group for group in groups if group.parameters]
        named = [
            {"params": list(g.parameters), "lr": g.peak_rate, "weight_decay": g.weight_decay}
            for g in self.groups
        ]
        self._adamw = torch.optim.AdamW(named, fused=True)
        self.dense: Sequence[nn.Parameter] = [p for group in self.groups for p in group.parameters]

    @property
    def rates(self) -> list[float]:
        """The rate of each group at the last step."""
        return [group["lr"] for group in self._adamw.param_groups]

    def zero_grad(self) -> None:
        """See :class:`.optimiser.Optimiser`."""
        self._adamw.zero_grad(set_to_none=True)

    def gather(self, world: World) -> None:
        """See :class:`.optimiser.Optimiser`; all gradients are dense."""

    def clipped_square(self) -> Tensor | None:
        """See :class:`.optimiser.Optimiser`."""
        gradients = self._clipped()
        return torch.nn.utils.get_total_norm(gradients).square() if gradients else None

    def shrink(self, scale: float) -> None:
        """See :class:`.optimiser.Optimiser`."""
        for gradient in self._clipped():
            gradient.mul_(scale)

    def step(self, factor: float) -> None:
        """See :class:`.optimiser.Optimiser`."""
        for ours, theirs in zip(self.groups, self._adamw.param_groups, strict=True):
            # Set from the peak at each step, so that a resumed run needs no schedule's state.
            theirs["lr"] = ours.peak_rate * factor
        self._adamw.step()

    def tensors(self) -> dict[str, Tensor]:
        """The moments and the count of steps of each parameter, by its place among :attr:`dense`."""
        state = self._adamw.state_dict()["state"]
        # By place, not by name: the order of parameters is that of the groups, which the recipe decides.
        return {f"{place}.{name}": x for place, values in state.items() for name, x in values.items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """See :class:`.optimiser.Optimiser`."""
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            place, name = key.split(".", 1)
            state.setdefault(int(place), {})[name] = tensor
        # Options come from the recipe; of a checkpoint the moments alone are taken.
        groups = self._adamw.state_dict()["param_groups"]
        self._adamw.load_state_dict({"state": state, "param_groups": groups})

    def _clipped(self) -> list[Tensor]:
        groups = [group for group in self.groups if group.clipped]
        return [p.grad for group in groups for p in group.parameters if p.grad is not None]
