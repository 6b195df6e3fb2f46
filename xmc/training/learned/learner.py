"""Everything a run learns, and how one optimiser step changes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from xmc.distributed import World, sum_gradients
from xmc.distributed.stopwatch import SILENT, Watch
from xmc.distributed.world import LateNumber
from xmc.encoders import DualEncoder
from xmc.encoders.adapters import has_adapters
from xmc.errors import ConfigError
from xmc.heads import FactoredHead
from xmc.objectives.catalogue import SCALE_LEARNING_RATE
from xmc.training.config import ObjectiveConfig, TrainConfig
from xmc.training.learned.config import OptimisationConfig
from xmc.training.learned.head import build_head
from xmc.training.learned.label_clusters import cluster_labels
from xmc.training.learned.optimisers.adamw import AdamW, ParameterGroup
from xmc.training.learned.optimisers.optimiser import Optimiser
from xmc.training.learned.optimisers.row_adagrad import RowAdagrad
from xmc.training.learned.optimisers.row_optimiser import RowOptimiser
from xmc.training.learned.optimisers.stochastic_rounding import StochasticRounding
from xmc.training.learned.residual_table import ResidualTable
from xmc.training.learned.token_optimisers import TOKEN_TABLES, token_optimisers
from xmc.training.learned.trained_tensors import TrainedTensors

__all__ = ["Learner", "ScoreParameters", "build_learner", "parameter_groups", "warmup_linear_decay"]


def warmup_linear_decay(step: int, num_steps: int, warmup: float) -> float:
    """The share of the peak rates at ``step``, from 0.

    It rises over ``warmup * num_steps`` steps, then falls to zero.
    """
    # The first step has a rate above 0, and the step after the last would have 0.
    rising = round(warmup * num_steps)
    if step < rising:
        return (step + 1) / rising
    return max(0.0, (num_steps - step) / max(1, num_steps - rising))


class ScoreParameters(nn.Module):
    """The scale, kept as its logarithm, and the label offsets [L], each fixed or learned."""

    label_offsets: nn.Parameter | None

    def __init__(self, config: ObjectiveConfig, num_labels: int) -> None:
        super().__init__()
        # A logarithm cannot make the scale negative, and one rate suits scales of any size.
        self.log_scale = nn.Parameter(torch.tensor(math.log(config.scale)), requires_grad=config.learn_scale)
        self.label_offsets = nn.Parameter(torch.zeros(num_labels)) if config.label_offsets else None

    @property
    def scale(self) -> Tensor:
        """One over the temperature, a scalar."""
        return self.log_scale.exp()

    def offsets(self, label_ids: Tensor) -> Tensor | None:
        """The offsets [n] of some labels, or None when none are learned."""
        return None if self.label_offsets is None else self.label_offsets[label_ids]

    def relative_offsets(self) -> np.ndarray | None:
        """The label offsets [L] in units of ``q.e`` (offset over scale), or None when none are learned."""
        if self.label_offsets is None:
            return None
        # scale q.e + offset ranks labels as q.e + offset / scale does.
        return (self.label_offsets / self.scale).detach().cpu().numpy()


@dataclass(frozen=True)
class Learner:
    """The encoder, what is learned beside it, and the optimisers of both, by name."""

    encoder: DualEncoder
    parameters: ScoreParameters
    residuals: ResidualTable | None
    head: FactoredHead | None
    optimisers: dict[str, Optimiser]
    clip_norm: float | None
    world: World
    discriminator: nn.Module | None = None

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds, by file name."""
        module: nn.Module = self.encoder.module
        partly = has_adapters(module) or self.encoder.labels_frozen
        encoder = TrainedTensors(module) if partly else module
        named: dict[str, nn.Module] = {"encoder": encoder, "parameters": self.parameters}
        if self.residuals is not None:
            named["residuals"] = self.residuals
        if self.discriminator is not None:
            named["discriminator"] = self.discriminator
        return named if self.head is None else {**named, "head": self.head}

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        for optimiser in self.optimisers.values():
            optimiser.zero_grad()

    def gradients_so_far(self) -> Callable[[], None]:
        """What puts back the gradients as they are now, after a batch that is to be taken again."""
        parameters = self._parameters
        # Copies only of what earlier batches of the step have left: of the first there is nothing.
        kept = [None if p.grad is None else p.grad.clone() for p in parameters]
        unread = None if self.residuals is None else self.residuals.kept()

        def put_back() -> None:
            for parameter, gradient in zip(parameters, kept, strict=True):
                parameter.grad = None if gradient is None else gradient.clone()
            if unread is not None:
                unread()

        return put_back

    def apply_gradients(self, factor: float, watch: Watch = SILENT, *, unasked: bool = False) -> LateNumber:
        """Bring the ranks' gradients together, clip the encoder's, and step at ``factor`` of the peak rates.

        Over W ranks: one all-reduce of the dense parameters, bucketed, and what each optimiser gathers.

        Args:
            factor: Of the peak rates.
            watch: Times it.
            unasked: Let the device decide by the norm, where all gradients are dense: the host asks for no
                number.

        Returns:
            The norm of the encoder's gradient before clipping. When it is not finite, nothing is changed.
        """
        optimisers = list(self.optimisers.values())
        with watch.part("gradient all-reduce"):
            # Summed, not averaged: every rank's loss is that of the global batch, and its gradient a part.
            sum_gradients([p for optimiser in optimisers for p in optimiser.dense], self.world)
            for optimiser in optimisers:
                optimiser.gather(self.world)
        with watch.part("optimiser"):
            # The encoder's alone: offsets and scale have rates of their own, and a burst there is no reason
            # to slow the encoder down. After the all-reduce, so that every rank clips alike.
            norm = _norm(optimisers)
            late = LateNumber(norm)
            dense = [optimiser for optimiser in optimisers if isinstance(optimiser, AdamW)]
            if unasked and len(dense) == len(optimisers):
                for one in dense:
                    one.step_unasked(factor, norm, self.clip_norm)
                return late
            _clip(optimisers, float(late), self.clip_norm)
            if not math.isfinite(float(late)):
                self.zero_grad()
                return late
            for optimiser in optimisers:
                optimiser.step(factor)
        return late

    @cached_property
    def _parameters(self) -> list[Tensor]:
        # What stands for a table of bfloat16 holds its gradient, and is no parameter.
        leaves = [leaf for tower in self.encoder.towers if (leaf := tower.row_leaf) is not None]
        beside = [] if self.discriminator is None else self.discriminator.parameters()
        every = [*self.encoder.parameters(), *self.parameters.parameters(), *beside, *leaves]
        return list({id(tensor): tensor for tensor in every}.values())


def _norm(optimisers: Sequence[Optimiser]) -> Tensor:
    """The norm of the gradients that are clipped, a scalar on their device; 0 where there are none."""
    squares = [square for optimiser in optimisers if (square := optimiser.clipped_square()) is not None]
    if squares:
        return torch.stack(squares).sum().sqrt()
    device = next((parameter.device for one in optimisers for parameter in one.dense), None)
    return torch.zeros((), device=device)


def _clip(optimisers: Sequence[Optimiser], norm: float, most: float | None) -> None:
    """Scale the gradients of this norm down to ``most``, all alike, where it is larger."""
    if most is not None and most < norm < math.inf:
        for optimiser in optimisers:
            optimiser.shrink(most / norm)


def build_learner(
    config: TrainConfig,
    encoder: DualEncoder,
    label_texts: Sequence[str],
    label_points: np.ndarray,
    device: torch.device,
    world: World,
    discriminator: nn.Module | None = None,
) -> Learner:
    """What ``config`` says is learned, on ``device``.

    Args:
        config: The run.
        encoder: What texts are encoded by.
        label_texts: Of all L labels, in order.
        label_points: [L], how many training rows have each label.
        device: Where everything is put.
        world: The ranks.
        discriminator: What a loss trains beside the encoder, equal on every rank, or None.
    """
    encoder = encoder.to(device)
    num_labels = len(label_texts)
    parameters = ScoreParameters(config.objective, num_labels).to(device)
    residuals = None
    if config.residuals.enabled:
        clusters = cluster_labels(encoder, label_texts, config.residuals.clusters, config.seed, world)
        size = (num_labels, encoder.dimension)
        kept_in = getattr(torch, config.training.table_dtype)
        residuals = ResidualTable(
            config.residuals, clusters, *size, config.seed, label_points, dtype=kept_in
        ).to(device)
    head = build_head(config, encoder, label_texts, device, world)
    tokens = token_optimisers(encoder, config.training, config.seed)
    by_rows = [tower.token_table for tower in encoder.towers if tower.row_leaf is not None]
    rounded = config.training.table_dtype == "bfloat16"
    if rounded and not by_rows and residuals is None:
        raise ConfigError(
            "training.table_dtype: expected float32, as there is no table that is trained by rows: neither "
            "token vectors of a static encoder that is trained, nor residuals"
        )
    dense = [p for p in encoder.parameters() if not any(p is table for table in by_rows)]
    groups = parameter_groups(dense, parameters, config.training)
    optimisers: dict[str, Optimiser] = {**tokens}
    if any(group.parameters for group in groups):  # beside tables by rows there may be nothing
        optimisers["adamw"] = AdamW(groups)
    if residuals is not None:
        rate = config.residuals.learning_rate
        rounding = StochasticRounding(config.seed, len(TOKEN_TABLES)) if rounded else None
        optimisers["residuals"] = RowOptimiser(
            residuals, RowAdagrad(residuals.table), rate, rounding=rounding
        )
    if discriminator is not None:
        own = ParameterGroup(
            list(discriminator.to(device).parameters()), config.distillation.discriminator_rate
        )
        optimisers["discriminator"] = AdamW([own])
    return Learner(
        encoder, parameters, residuals, head, optimisers, config.training.clip_norm, world, discriminator
    )


def parameter_groups(
    encoder: Sequence[nn.Parameter], scores: ScoreParameters, config: OptimisationConfig
) -> list[ParameterGroup]:
    """The encoder (decay on matrices only), the label offsets and the log scale, in that order."""
    scale_rate = config.scale_learning_rate
    if scale_rate is None:  # no objective has said its own
        scale_rate = SCALE_LEARNING_RATE
    # Biases and norms are vectors, which decay would pull towards a shift or a gain of 0.
    return [
        ParameterGroup(
            _trained([p for p in encoder if p.ndim > 1]),
            config.encoder_rate,
            config.weight_decay,
            clipped=True,
        ),
        ParameterGroup(_trained([p for p in encoder if p.ndim <= 1]), config.encoder_rate, clipped=True),
        ParameterGroup(_trained([scores.label_offsets]), config.offset_learning_rate),
        ParameterGroup(_trained([scores.log_scale]), scale_rate),
    ]


def _trained(parameters: Sequence[nn.Parameter | None]) -> list[nn.Parameter]:
    return [p for p in parameters if p is not None and p.requires_grad]
