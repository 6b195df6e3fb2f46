"""How an objective is offered: as a function of embeddings and positives, and as a loss module."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from xmc.errors import ConfigError
from xmc.objectives.catalogue import CATALOGUE, facts_of
from xmc.objectives.objective import Loss
from xmc.scoring import ScoreInputs
from xmc.scoring.positives import PositivesLike

__all__ = ["LossModule", "loss_module", "with_scoring_options"]

F = TypeVar("F", bound=Callable[..., object])

SHARED = ("offsets", "log_weights", "shard", "implementation", "memory_bytes", "extra", "masked", "apart")


def with_scoring_options(function: F) -> F:
    """Show the keywords of :class:`xmc.scoring.ScoringOptions` one by one in a function's signature.

    The function takes them as ``**scoring``; this changes only what ``help`` and :mod:`inspect` say.
    """
    # A TypedDict says which keywords there are, not their defaults; those are ScoreInputs' own, so that there
    # is one place for them.
    signature = inspect.signature(function)
    options = inspect.signature(ScoreInputs).parameters
    parameters = [p for p in signature.parameters.values() if p.kind != inspect.Parameter.VAR_KEYWORD]
    shared = [options[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in SHARED]
    function.__signature__ = signature.replace(parameters=[*parameters, *shared])  # type: ignore[attr-defined]
    return function


class LossModule(nn.Module):
    """An objective with its scale, kept as its logarithm, for use as a loss module."""

    def __init__(
        self,
        objective: Loss,
        scale: float | None = None,
        *,
        learn_scale: bool = False,
        implementation: str = "auto",
    ) -> None:
        """Make the module.

        Args:
            objective: What it computes.
            scale: One over the temperature, or where it starts; the objective's own when None.
            learn_scale: Whether the scale is trained.
            implementation: How scores are computed.

        Raises:
            ConfigError: When ``scale`` is not above 0.
        """
        super().__init__()
        scale = objective.facts.scale if scale is None else scale
        if not scale > 0:
            raise ConfigError(f"expected a scale above 0, as its logarithm is kept, got {scale}")
        self.objective = objective
        # The logarithm is what is trained: the scale stays above 0, and a step changes it by a factor.
        self.log_scale = nn.Parameter(torch.log(torch.tensor(float(scale))), requires_grad=learn_scale)
        self.implementation = implementation

    def forward(
        self,
        queries: Tensor,
        labels: Tensor,
        positives: PositivesLike,
        offsets: Tensor | None = None,
        log_weights: Tensor | None = None,
    ) -> Tensor:
        """The mean loss, a scalar, of queries [B, D] against labels [L, D]; the rest are [L]."""
        scale = self.log_scale.exp()
        return self.objective(
            ScoreInputs(
                queries,
                labels,
                positives,
                scale,
                offsets,
                log_weights,
                implementation=self.implementation,
            )
        )


def loss_module(build: Callable[..., Loss]) -> type[LossModule]:
    """The loss module of an objective: ``Name(scale, *, learn_scale=False, implementation="auto", ...)``.

    Args:
        build: The function ``objective`` of a module in the catalogue; its options become keywords.

    Raises:
        ConfigError: When no objective of the catalogue is built there.
    """
    names = [facts.name for facts in CATALOGUE.values() if facts.module == build.__module__]
    if not names:
        raise ConfigError(f"expected the builder of an objective in the catalogue, got {build.__module__}")
    facts = facts_of(names[0])
    own = list(inspect.signature(build).parameters.values())

    # Made from the builder, so that an option of an objective is written down once.
    class Made(LossModule):
        def __init__(
            self,
            scale: float = facts.scale,
            *,
            learn_scale: bool = False,
            implementation: str = "auto",
            **options: object,
        ) -> None:
            super().__init__(build(**options), scale, learn_scale=learn_scale, implementation=implementation)

    shown = inspect.signature(Made.__init__)
    kept = [p for p in shown.parameters.values() if p.kind != inspect.Parameter.VAR_KEYWORD]
    named = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    Made.__init__.__signature__ = shown.replace(parameters=[*kept, *named])  # type: ignore[attr-defined]
    Made.__name__ = Made.__qualname__ = facts.loss_module
    Made.__module__ = build.__module__
    Made.__doc__ = f":func:`{facts.module}.{facts.name}` as a loss module; see :class:`LossModule`."
    return Made
