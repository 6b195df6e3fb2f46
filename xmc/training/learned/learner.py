"""Everything a run learns, and how one optimiser step changes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from xmc.distributed import World, sum_gradients
from xmc.distributed.stopwatch import SILENT, StopWatch
from xmc.encoders import DualEncoder
from xmc.heads import FactoredHead
from xmc.training.config import TrainConfig
from xmc.training.learned.head import build_head
from xmc.training.learned.label_clusters import cluster_labels
from xmc.training.learned.optimiser import build_optimizer, set_rates
from xmc.training.learned.residual_table import ResidualTable
from xmc.training.learned.score_parameters import ScoreParameters

__all__ = ["Learner", "build_learner"]


@dataclass(frozen=True)
class Learner:
    """The encoder, what is learned beside it, and their optimisers."""

    encoder: DualEncoder
    parameters: ScoreParameters
    residuals: ResidualTable | None
    head: FactoredHead | None
    optimizer: torch.optim.AdamW
    clip_norm: float | None
    world: World

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds, by file name."""
        named: dict[str, nn.Module] = {"encoder": self.encoder.model, "parameters": self.parameters}
        if self.residuals is not None:
            named["residuals"] = self.residuals
        return named if self.head is None else {**named, "head": self.head}

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        self.optimizer.zero_grad(set_to_none=True)

    def apply_gradients(self, factor: float, watch: StopWatch = SILENT) -> float | None:
        """Sum the gradients over ranks, clip the encoder's, and step at ``factor`` of the peak rates.

        Over W ranks: one all-reduce of the parameters, bucketed.

        Returns:
            The norm of the encoder's gradient before clipping, or None without clipping.
        """
        encoder = list(self.encoder.parameters())
        with watch.part("gradient all-reduce"):
            sum_gradients([*encoder, *self.parameters.parameters()], self.world)
        with watch.part("optimiser"):
            norm = None
            if self.clip_norm is not None:
                norm = float(torch.nn.utils.clip_grad_norm_(encoder, self.clip_norm))
            set_rates(self.optimizer, factor)
            self.optimizer.step()
            if self.residuals is not None:
                self.residuals.step(factor)
        return norm

    def relative_offsets(self) -> np.ndarray | None:
        """The label offsets [L] in units of ``q.e`` (offset over scale), or None when none are learned."""
        offsets: Tensor | None = self.parameters.label_offsets
        if offsets is None:
            return None
        return (offsets / self.parameters.scale).detach().cpu().numpy()


def build_learner(
    config: TrainConfig,
    encoder: DualEncoder,
    label_texts: Sequence[str],
    label_points: np.ndarray,
    device: torch.device,
    world: World,
) -> Learner:
    """What ``config`` says is learned, on ``device``.

    Args:
        config: The run.
        encoder: What texts are encoded by.
        label_texts: Of all L labels, in order.
        label_points: [L], how many training rows have each label.
        device: Where everything is put.
        world: The ranks.
    """
    encoder = encoder.to(device)
    num_labels = len(label_texts)
    parameters = ScoreParameters(config.objective, num_labels).to(device)
    residuals = None
    if config.residuals.enabled:
        clusters = cluster_labels(encoder, label_texts, config.residuals.clusters, config.seed, world)
        size = (num_labels, encoder.dimension)
        residuals = ResidualTable(config.residuals, clusters, *size, config.seed, label_points).to(device)
    head = build_head(config, encoder, label_texts, device, world)
    optimizer = build_optimizer(encoder.parameters(), parameters, config.training)
    return Learner(encoder, parameters, residuals, head, optimizer, config.training.clip_norm, world)
