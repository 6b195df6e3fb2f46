"""Your own loss in plain torch, on all labels of a step at once and positives as a boolean mask.

It needs no statistic, tiles or ranks: what it computes from is gathered for it. In exchange the scores of a
step are in memory, [B, L], as often as it makes them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives.catalogue import ObjectiveFacts
from xmc.objectives.objective import Reduction, reduce_rows, refuse_non_finite
from xmc.scoring import ScoreInputs

__all__ = ["PlainLoss", "PlainObjective", "is_plain_loss", "plain_objective"]

GIVEN = ("queries", "labels", "positives", "scale", "offsets", "log_weights", "masked")


class PlainLoss(Protocol):
    """A function of some of these, by name, and of options of its own; a scalar, or one loss per row [B].

    ``queries`` [B, D]; ``labels`` [L, D]; ``positives``, a boolean mask [B, L]; ``masked``, another of the
    pairs that are neither positive nor negative; ``scale``, one over the temperature; ``offsets`` [L] or
    None; ``log_weights`` [L] or None, minus the log of each label's probability to be in the step's sample,
    or [B, L] in batches that labels join as queries of themselves (data.label_queries), whose chances are
    others.
    """

    def __call__(self, **given: Tensor | float | None) -> Tensor:
        """The loss."""
        ...


@dataclass(frozen=True)
class PlainObjective:
    """A plain function as a loss of training; see :class:`xmc.objectives.objective.Loss`.

    Attributes:
        facts: Its name; it takes no extra negatives.
        function: With its options bound.
        wants: Which of what a step has the function takes.
    """

    facts: ObjectiveFacts
    function: PlainLoss
    wants: tuple[str, ...]

    def __call__(self, inputs: ScoreInputs, reduction: Reduction = "mean") -> Tensor:
        """See :class:`xmc.objectives.objective.Loss`.

        Raises:
            ConfigError: When a sample is to be corrected and the function has no ``log_weights``, when there
                are masked pairs, extra negatives or offsets it would not see, or what it gives is no loss.
        """
        self.check_sees(
            extra=inputs.extra is not None,
            log_weights=inputs.log_weights is not None,
            masked=inputs.masked_pairs is not None,
            offsets=inputs.offsets is not None,
        )
        # Every rank computes the whole loss; on_one_rank keeps gradients from being counted W times.
        whole = inputs.on_one_rank()
        has: dict[str, Tensor | float | None] = {
            "queries": whole.queries,
            "labels": whole.labels,
            "positives": whole.positive_mask(),
            "scale": whole.scale,
            "offsets": whole.offsets,
            "log_weights": _by_row(whole),
            "masked": whole.mask_of(whole.masked_pairs),
        }
        with torch.autocast(inputs.queries.device.type, enabled=False):
            loss = self.function(**{name: has[name] for name in self.wants})
        if not isinstance(loss, Tensor) or loss.shape not in ((), (len(inputs.queries),)):
            came = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise ConfigError(
                f"{self.facts.name}: expected a loss that is a scalar or one number per query "
                f"[{len(inputs.queries)}], got {came}"
            )
        if whole.queries.requires_grad and not loss.requires_grad:
            raise ConfigError(
                f"{self.facts.name}: expected a loss that torch computes from queries and labels, got one "
                "without a gradient: leave out .item(), .detach(), float() and numpy on the way"
            )
        # One number per query can be reduced in any way; a scalar has been reduced already.
        refuse_non_finite(loss, inputs, self.facts.name)
        if loss.ndim == 1:
            return reduce_rows(loss, reduction, inputs.row_weights)
        if inputs.row_weights is not None:
            raise ConfigError(
                f"{self.facts.name}: expected one loss per query [B], as queries have weights "
                "(data.label_query_weight), got a scalar: give them back one by one, or leave the weight 1"
            )
        if reduction != "mean":
            raise ConfigError(
                f"{self.facts.name}: expected one loss per query [B] for reduction {reduction!r}, got a "
                "scalar"
            )
        return loss

    def check_sees(
        self, *, extra: bool = False, log_weights: bool = False, masked: bool = False, offsets: bool = False
    ) -> None:
        """Refuse what steps have and the function would not see.

        Args:
            extra: Whether steps have extra negatives.
            log_weights: Whether their labels are a sample that is to be corrected for.
            masked: Whether they have masked pairs.
            offsets: Whether labels learn offsets.

        Raises:
            ConfigError: Naming the argument that is missing, and what to give else.
        """
        if extra:
            raise ConfigError(
                f"{self.facts.name} takes no extra negatives, as a plain function: turn negatives.memory, "
                "negatives.mined and negatives.clusters off, or give it a row statistic (docs/extending.md)"
            )
        if log_weights and "log_weights" not in self.wants:
            raise ConfigError(
                f"{self.facts.name}: the labels of a step are a sample, and the function has no argument "
                "`log_weights` to correct for it: add one, or give --negatives.corrected false, or "
                "--negatives.mode all"
            )
        if masked and "masked" not in self.wants:
            raise ConfigError(
                f"{self.facts.name}: the data set's filter has pairs that are neither positive nor negative, "
                "and the function has no argument `masked` to leave them out: add one, or give "
                "--negatives.filter_pairs negative"
            )
        if offsets and "offsets" not in self.wants:
            raise ConfigError(
                f"{self.facts.name}: labels learn offsets, and the function has no argument `offsets`: add "
                "one, or give --objective.label_offsets false"
            )


def _by_row(whole: ScoreInputs) -> Tensor | None:
    """Log weights [L], or [B, L] where rows have their own."""
    if whole.apart is None or whole.log_weights is None:
        return whole.log_weights
    return torch.where(whole.apart.rows[:, None], whole.apart.log_weights, whole.log_weights)


def is_plain_loss(found: object) -> bool:
    """Whether something is a function of queries, labels and positives, not a builder of an objective."""
    if not callable(found) or inspect.isclass(found):
        return False
    try:
        # Told by its arguments: builders take options, plain losses what a step has.
        return {"queries", "labels", "positives"} <= set(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        return False


def plain_objective(
    name: str, function: Callable[..., Tensor], options: dict[str, object] | None = None
) -> PlainObjective:
    """A plain function as an objective.

    Args:
        name: What messages call it.
        function: See :class:`PlainLoss`.
        options: Its own keywords.

    Raises:
        ConfigError: When it has an argument that neither a step nor ``options`` gives.
    """
    options = options or {}
    parameters = inspect.signature(function).parameters.values()
    # **given does not ask for anything by name: it gets only what is named beside it.
    named = {p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
    missing = [
        p.name
        for p in parameters
        if p.name not in (*GIVEN, *options)
        and p.default is inspect.Parameter.empty
        and p.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    ]
    if missing:
        raise ConfigError(
            f"{name}: expected arguments among {', '.join(GIVEN)} or given in objective.options, got "
            f"{', '.join(missing)} with neither"
        )

    def bound(**given: Tensor | float | None) -> Tensor:
        return function(**given, **options)

    return PlainObjective(ObjectiveFacts(name), bound, tuple(n for n in GIVEN if n in named))
