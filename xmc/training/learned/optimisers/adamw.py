"""AdamW with a peak rate for each kind of parameter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from xmc.distributed import World

__all__ = ["AdamW", "ParameterGroup"]

_BETAS = 0.9, 0.999
_EPSILON = 1e-8
_KEPT = ("step", "exp_avg", "exp_avg_sq")
"""Of a parameter, by torch's names: the count of its steps and its two moments."""


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a peak rate, a weight decay, and whether their gradients are clipped."""

    parameters: Sequence[nn.Parameter]
    peak_rate: float
    weight_decay: float = 0.0
    clipped: bool = False


class AdamW:
    """AdamW (Loshchilov & Hutter 2019) of dense parameters; see :class:`.optimiser.Optimiser`.

    torch's function of one step, with what it keeps held here: its class ``torch.optim.AdamW``, made once,
    imports torch's compiler, which takes two seconds.

    Args:
        groups: What is trained; groups without a parameter are left out.
    """

    def __init__(self, groups: Iterable[ParameterGroup]) -> None:
        self.groups = [group for group in groups if group.parameters]
        self.dense: Sequence[nn.Parameter] = [p for group in self.groups for p in group.parameters]
        self.rates = [group.peak_rate for group in self.groups]
        """The rate of each group at the last step."""
        # By place, not by name: the order of parameters is that of the groups, which the recipe decides.
        self._kept: dict[int, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """See :class:`.optimiser.Optimiser`."""
        for parameter in self.dense:
            parameter.grad = None

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

    @torch.no_grad()
    def step_unasked(self, factor: float, norm: Tensor, most: float | None) -> None:
        """As :meth:`shrink` and :meth:`step`, by a norm that the host does not read.

        What torch's kernel has for gradients that were scaled and may have overflown decides within.

        Args:
            factor: As of :meth:`step`.
            norm: Scalar, of all gradients that are clipped; where it is not finite nothing changes.
            most: What they are brought down to where it is larger; None for no clipping.
        """
        divisor = None if most is None else (norm / most).clamp(min=1.0)
        self._step(factor, divisor, 1.0 - torch.isfinite(norm).to(norm.dtype))

    def step(self, factor: float) -> None:
        """See :class:`.optimiser.Optimiser`; a parameter without a gradient stays as it is."""
        self._step(factor)

    @torch.no_grad()
    def _step(self, factor: float, divisor: Tensor | None = None, left_out: Tensor | None = None) -> None:
        """Step with the clipped gradients over ``divisor``, and not at all where ``left_out`` is 1."""
        # From the peak at each step, so that a resumed run needs no schedule's state.
        self.rates = [group.peak_rate * factor for group in self.groups]
        first = 0
        for group, rate in zip(self.groups, self.rates, strict=True):
            moved = {
                place: parameter
                for place, parameter in enumerate(group.parameters, first)
                if parameter.grad is not None
            }
            first += len(group.parameters)
            for place in moved.keys() - self._kept.keys():
                self._kept[place] = _begun(moved[place])
            if not moved:
                continue
            steps, means, squares = ([self._kept[place][name] for place in moved] for name in _KEPT)
            adamw(
                list(moved.values()),
                [parameter.grad for parameter in moved.values() if parameter.grad is not None],
                means,
                squares,
                [],
                steps,
                fused=True,
                grad_scale=divisor if group.clipped else None,
                found_inf=left_out,
                amsgrad=False,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                lr=rate,
                weight_decay=group.weight_decay,
                eps=_EPSILON,
                maximize=False,
            )

    def tensors(self) -> dict[str, Tensor]:
        """The moments and the count of steps of each parameter, by its place among :attr:`dense`."""
        return {f"{place}.{name}": x for place, kept in self._kept.items() for name, x in kept.items()}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """See :class:`.optimiser.Optimiser`."""
        places = {int(key.partition(".")[0]) for key in tensors}
        if places - set(range(len(self.dense))):
            raise ValueError(f"expected moments of {len(self.dense)} parameters, got them of {max(places)}")
        self._kept = {place: _begun(self.dense[place]) for place in sorted(places)}
        if missing := self.tensors().keys() ^ tensors.keys():
            raise ValueError(f"expected the count of steps and two moments of each parameter: {min(missing)}")
        for name, mine in self.tensors().items():
            if mine.shape != tensors[name].shape:
                raise ValueError(f"{name}: expected {list(mine.shape)}, got {list(tensors[name].shape)}")
            mine.copy_(tensors[name])

    def _clipped(self) -> list[Tensor]:
        groups = [group for group in self.groups if group.clipped]
        return [p.grad for group in groups for p in group.parameters if p.grad is not None]


def _begun(parameter: Tensor) -> dict[str, Tensor]:
    """What is kept of a parameter before its first step."""
    step = torch.zeros((), dtype=torch.float32, device=parameter.device)
    return dict(zip(_KEPT, (step, torch.zeros_like(parameter), torch.zeros_like(parameter)), strict=True))
