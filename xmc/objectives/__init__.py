"""What is optimised: pure functions on embeddings and positives, and a loss module beside each.

Every objective of the catalogue is here under its name (a function) and its name in capitals (a module).
Names are imported on first use: the catalogue needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports
from xmc.objectives.catalogue import CATALOGUE, ObjectiveFacts, facts_of, register_objective

if TYPE_CHECKING:
    from xmc.objectives.build import build_objective
    from xmc.objectives.losses.binary_cross_entropy import (
        BinaryCrossEntropy,
        binary_cross_entropy,
        prior_log_odds,
    )
    from xmc.objectives.losses.decoupled_softmax import DecoupledSoftmax, decoupled_softmax
    from xmc.objectives.losses.discriminative import Discriminative, discriminative
    from xmc.objectives.losses.mean_squared_error import MeanSquaredError, mean_squared_error
    from xmc.objectives.losses.soft_top_k import SoftTopK, soft_top_k
    from xmc.objectives.losses.softmax import Softmax, softmax
    from xmc.objectives.losses.spherical_softmax import SphericalSoftmax, spherical_softmax
    from xmc.objectives.losses.spherical_z_loss import SphericalZLoss, spherical_z_loss
    from xmc.objectives.losses.supervised_contrastive import SupervisedContrastive, supervised_contrastive
    from xmc.objectives.losses.taylor_softmax import TaylorSoftmax, taylor_softmax
    from xmc.objectives.margins.config import MarginConfig
    from xmc.objectives.margins.margin import with_margin
    from xmc.objectives.objective import (
        Loss,
        Margin,
        Objective,
        PositiveScores,
        Statistic,
        StatisticOfScores,
    )
    from xmc.objectives.plain import PlainObjective, plain_objective
    from xmc.objectives.public import LossModule, loss_module
    from xmc.objectives.terms import Term, WeightedTerms
    from xmc.objectives.virtual_negative import with_virtual_negative

_PARTS = {
    "Loss": "objective",
    "LossModule": "public",
    "Margin": "objective",
    "MarginConfig": "margins.config",
    "Objective": "objective",
    "PlainObjective": "plain",
    "PositiveScores": "objective",
    "Statistic": "objective",
    "StatisticOfScores": "objective",
    "Term": "terms",
    "WeightedTerms": "terms",
    "build_objective": "build",
    "loss_module": "public",
    "plain_objective": "plain",
    "prior_log_odds": "losses.binary_cross_entropy",
    "with_margin": "margins.margin",
    "with_virtual_negative": "virtual_negative",
}


class _Homes(Mapping[str, str]):
    """The module of each name: fixed parts, and what the catalogue holds at the time of asking."""

    def _all(self) -> dict[str, str]:
        parts = {name: f"{__name__}.{module}" for name, module in _PARTS.items()}
        for facts in CATALOGUE.values():
            parts[facts.name] = parts[facts.loss_module] = facts.module
        return parts

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


__all__ = [
    "CATALOGUE",
    "BinaryCrossEntropy",
    "DecoupledSoftmax",
    "Discriminative",
    "Loss",
    "LossModule",
    "Margin",
    "MarginConfig",
    "MeanSquaredError",
    "Objective",
    "ObjectiveFacts",
    "PlainObjective",
    "PositiveScores",
    "SoftTopK",
    "Softmax",
    "SphericalSoftmax",
    "SphericalZLoss",
    "Statistic",
    "StatisticOfScores",
    "SupervisedContrastive",
    "TaylorSoftmax",
    "Term",
    "WeightedTerms",
    "binary_cross_entropy",
    "build_objective",
    "decoupled_softmax",
    "discriminative",
    "facts_of",
    "loss_module",
    "mean_squared_error",
    "plain_objective",
    "prior_log_odds",
    "register_objective",
    "soft_top_k",
    "softmax",
    "spherical_softmax",
    "spherical_z_loss",
    "supervised_contrastive",
    "taylor_softmax",
    "with_margin",
    "with_virtual_negative",
]

__getattr__, __dir__ = lazy_exports(__name__, _Homes())
