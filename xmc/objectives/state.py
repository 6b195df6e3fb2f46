"""Losses that keep something from batch to batch, such as momentum means, and its place in checkpoints."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from xmc.objectives.objective import Loss
from xmc.objectives.terms import parts_of

__all__ = ["KeepsState", "LossStates"]


@runtime_checkable
class KeepsState(Protocol):
    """What a loss has besides a value where it keeps something. The state is the same on every rank."""

    def commit(self) -> None:
        """Take over what the last batch left: its gradients are there, and it will not be scored again."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        ...

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        ...


class LossStates:
    """The states of a loss and of its terms, as one part of a checkpoint.

    Attributes:
        by_name: Each that keeps something, by its place among the terms and its name.
    """

    def __init__(self, loss: Loss) -> None:
        self.by_name = {
            f"{place}.{part.facts.name}": part
            for place, part in enumerate(parts_of(loss))
            if isinstance(part, KeepsState)
        }

    def __bool__(self) -> bool:
        """Whether any does."""
        return bool(self.by_name)

    def commit(self) -> None:
        """See :class:`KeepsState`."""
        for part in self.by_name.values():
            part.commit()

    def state_dict(self) -> dict[str, Any]:
        """The names, for a checkpoint's JSON."""
        return {"names": list(self.by_name)}

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps, each under the name of its loss."""
        return {
            f"{name}.{key}": tensor
            for name, part in self.by_name.items()
            for key, tensor in part.tensors().items()
        }

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on from a checkpoint of the same terms.

        Raises:
            DataError: When a loss cannot take what it is given.
        """
        for name, part in self.by_name.items():
            start = f"{name}."
            part.load({key[len(start) :]: x for key, x in tensors.items() if key.startswith(start)})
