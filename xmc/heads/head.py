"""The factored output layer: a label table trained in time independent of the number of labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from xmc.errors import ConfigError
from xmc.files import atomic_file
from xmc.heads.errors import IllConditionedError
from xmc.heads.policy import StabilityPolicy, StabilityRecord, stabilise
from xmc.heads.stabilise import inverse_drift, refresh_moments, unfactor
from xmc.heads.state import FactoredState, factor, plain_table
from xmc.heads.step import FactoredStep, factored_step
from xmc.objectives.build import build_objective
from xmc.objectives.catalogue import CATALOGUE, facts_of
from xmc.objectives.objective import Objective
from xmc.objectives.statistics.moments import SphericalValue
from xmc.scoring.positives import PositivesLike

__all__ = ["FactoredHead"]

RECORDS_KEPT = 1000


class FactoredHead(nn.Module):
    """L label vectors, trained by exact SGD on a spherical loss, each step at a cost without L.

    Its buffers are all there is to it: ``state_dict`` and ``load_state_dict`` (or ``save_model`` of
    safetensors) make a checkpoint from which training goes on to the same bits. Adaptive rates and momentum
    are not possible: they would need a number for every entry of the table at every step.

    Args:
        table: [L, D] float32 or float64, taken over, not copied.
        loss: The name of an objective that takes moments, or the value of one: row losses from the positives'
            scores and the moments of the negatives.
        options: The loss's own keywords, such as ``{"a": 1.0, "b": 5.0, "decoupled": True}``.
        weight_decay: Of every row, at every step.
        policy: When the head is stabilised.

    Raises:
        ConfigError: When the table, the loss or its options cannot be used.
    """

    factor: Tensor
    mix: Tensor
    inverse: Tensor
    shift: Tensor
    mean: Tensor
    scatter: Tensor
    steps: Tensor
    since: Tensor

    def __init__(
        self,
        table: Tensor,
        loss: str | SphericalValue = "spherical_z_loss",
        options: dict[str, Any] | None = None,
        *,
        weight_decay: float = 0.0,
        policy: StabilityPolicy | None = None,
    ) -> None:
        super().__init__()
        self.loss = _value(loss, options or {})
        self.weight_decay = weight_decay
        self.policy = policy or StabilityPolicy()
        self.records: list[StabilityRecord] = []
        for name, tensor in vars(factor(table)).items():
            # Buffers, not parameters: no autograd and no optimiser, the step below is both.
            self.register_buffer(name, tensor.contiguous())
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("since", torch.zeros((), dtype=torch.int64))

    @property
    def num_labels(self) -> int:
        """L."""
        return len(self.factor)

    @property
    def dimension(self) -> int:
        """D."""
        return self.factor.shape[1]

    @property
    def state(self) -> FactoredState:
        """The buffers as a state."""
        return FactoredState(self.factor, self.mix, self.inverse, self.shift, self.mean, self.scatter)

    def step(
        self, queries: Tensor, positives: PositivesLike, lr: float, *, masked: PositivesLike | None = None
    ) -> FactoredStep:
        """One step of SGD on the mean loss of a batch, and what the policy finds due after it.

        Where U could not stand the step, the table is multiplied out first and, failing that, within it: the
        step is exact in any case, and costs L D^2 then.

        Args:
            queries: [B, D], any scale multiplied in.
            positives: In any form that :func:`xmc.scoring.as_positives` reads.
            lr: Learning rate, of the mean over the batch's rows.
            masked: Pairs, none of them positive, that are neither positive nor negative.

        Raises:
            ConfigError: When shapes, ids or rates do not fit.
            IllConditionedError: When U must be stabilised and the policy is off, or training diverged.
        """
        arguments = queries, positives, self.loss, lr, self.weight_decay, masked
        try:
            result = factored_step(self.state, *arguments)
        except IllConditionedError:
            if not self.policy.enabled:
                raise
            # Not hidden from the user: it is noted among the records.
            result = self._folding_step(*arguments)
        self._keep(result.state)
        self.steps += 1
        # Kept as buffers, so that a resumed run is stabilised at the same steps and ends with the same bits.
        self.since += 1
        due = self.policy.due(int(self.steps), int(self.since), self.num_labels, result.state.condition)
        if due:
            state, record = stabilise(self.state, self.policy, due, int(self.steps))
            self._keep(state)
            self._note(record)
        return replace(result, state=self.state)

    def table(self, dtype: torch.dtype | None = None) -> Tensor:
        """The label vectors as a plain matrix [L, D], a new one in ``dtype`` (the factor's when None)."""
        return plain_table(self.state, dtype)

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write the plain matrix as ``table`` in a safetensors file, whole or not at all."""
        with atomic_file(path) as temporary:
            save_file({"table": self.table(dtype).cpu()}, temporary)

    def restart(self, table: Tensor) -> None:
        """Put other label vectors [L, D] in the place of these; the count of steps goes on.

        Raises:
            ConfigError: When the shape is another.
        """
        if table.shape != self.factor.shape:
            raise ConfigError(f"expected a table of {list(self.factor.shape)}, got {list(table.shape)}")
        # In place, as a factor of millions of rows is not to be there twice.
        self.factor.copy_(table)
        self._keep(factor(self.factor))
        self.since.zero_()

    def consolidate(self) -> None:
        """Multiply the table out and compute its moments anew; 2 L D^2, and no change of the table."""
        self._keep(refresh_moments(unfactor(self.state)))
        self.since.zero_()

    def _folding_step(self, *arguments: Any) -> FactoredStep:
        """The step after multiplying the table out, or else with that as part of it."""
        condition, drift = self.state.condition, inverse_drift(self.state)
        self._keep(unfactor(self.state))
        try:
            result = factored_step(self.state, *arguments)
        except IllConditionedError:
            # U = 1 is not enough where 1 - lr A itself is almost singular: it is applied to every row then.
            result = factored_step(self.state, *arguments, fold=True)
        self.since.zero_()
        self._note(StabilityRecord(int(self.steps), condition, drift, unfactored=True))
        return result

    def _keep(self, state: FactoredState) -> None:
        for name, tensor in vars(state).items():
            if name != "factor":  # which is changed in place
                getattr(self, name).copy_(tensor)

    def _note(self, record: StabilityRecord) -> None:
        if record.unfactored:
            self.since.zero_()
        self.records.append(record)
        del self.records[:-RECORDS_KEPT]


def _value(loss: str | SphericalValue, options: dict[str, Any]) -> SphericalValue:
    if callable(loss):
        if options:
            raise ConfigError(
                f"expected options with the name of a loss, got {', '.join(options)} with a function: give "
                "it one that has them bound, such as functools.partial"
            )
        return loss
    if not facts_of(loss).takes_moments:
        known = ", ".join(name for name, facts in CATALOGUE.items() if facts.takes_moments)
        raise ConfigError(
            f"expected a loss that knows the labels by their moments, one of {known}, got {loss!r}"
        )
    objective = build_objective(loss, options)
    if not isinstance(objective, Objective):
        raise ConfigError(
            f"expected {loss} to build one objective, the head's loss, got {type(objective).__name__}"
        )
    if objective.margin is not None:
        raise ConfigError(f"expected a loss without a margin, which a factored head does not apply: {loss}")
    return objective.value
