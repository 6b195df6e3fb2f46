"""What a script hands to the trainer in place of what a recipe names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.objectives.objective import Loss
from xmc.objectives.plain import PlainLoss
from xmc.training.callbacks.callback import Callback
from xmc.training.config import TrainConfig
from xmc.training.objective import given_objective
from xmc.training.parts import GIVEN, PartConfig, given_name

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Given"]


@dataclass(frozen=True)
class Given:
    """Parts of a run that a script made itself; None and () where the recipe decides."""

    objective: Loss | PlainLoss | None = None
    callbacks: Sequence[Callback] = ()
    dataset: Dataset | None = None
    encoder: DualEncoder | SentenceTransformer | None = None

    @cached_property
    def loss(self) -> Loss | None:
        """The objective as a step calls it.

        Raises:
            ConfigError: When it is none.
        """
        return None if self.objective is None else given_objective(self.objective)

    @cached_property
    def dual_encoder(self) -> DualEncoder | None:
        """The encoder as two towers.

        Raises:
            ModelError: When it cannot serve as such.
        """
        if self.encoder is None:
            return None
        return DualEncoder.checked(self.encoder, "encoder")

    def named(self) -> list[tuple[str, object]]:
        """Objective, encoder and callbacks, each by the name that the run's configuration shows."""
        found: list[tuple[str, object]] = [(given_name(part), part) for part in self.callbacks]
        if self.encoder is not None:
            found.insert(0, (given_name(self.encoder), self.encoder))
        if self.objective is not None:
            found.insert(0, (self._objective_name(), self.objective))
        return found

    def shown_in(self, config: TrainConfig) -> TrainConfig:
        """The configuration with what is given in place of what it named.

        Raises:
            ConfigError: When something is both given and named, or is no such part.
        """
        if self.objective is not None:
            if config.objective.options:
                raise ConfigError(
                    "objective.options: expected none with an objective that is given as an object: make it "
                    "with its options"
                )
            shown = replace(config.objective, name=self._objective_name())
            config = replace(config, objective=shown)
        if self.encoder is not None:
            if config.encoder.builder is not None:
                raise ConfigError("encoder.builder: expected null with an encoder that is given, or neither")
            config = replace(config, encoder=replace(config.encoder, builder=given_name(self.encoder)))
        if self.dataset is not None:
            config = replace(config, data=replace(config.data, path=str(self.dataset.path)))
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise ConfigError(
                    "callbacks: expected objects of classes derived from xmc.training.Callback, got "
                    f"{callback!r}"
                )
        parts = [PartConfig(given_name(callback)) for callback in self.callbacks]
        named = [*config.training.callbacks, *parts]
        return replace(config, training=replace(config.training, callbacks=named))

    def _objective_name(self) -> str:
        """As :func:`given_name`, or after what the objective calls itself, which says more than its class."""
        own = self.loss.facts.name if self.loss is not None else ""
        plain = ":" in own or not own or self.loss is not self.objective
        return given_name(self.objective) if plain else f"{GIVEN}:{own}"
