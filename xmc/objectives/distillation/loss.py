"""Distillation as a loss of training: alone, or beside an objective that knows the data set's labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xmc.errors import ConfigError
from xmc.objectives.catalogue import ObjectiveFacts
from xmc.objectives.distillation.config import DistillationConfig
from xmc.objectives.distillation.cross_entropy import log_total, rest_of, soft_cross_entropy
from xmc.objectives.distillation.discriminator import (
    Discriminator,
    adversarial_rows,
    features,
    first_candidates,
)
from xmc.objectives.objective import Loss, PositiveScores, Reduction, reduce_rows, refuse_non_finite
from xmc.objectives.statistics.log_partition import log_partition
from xmc.objectives.terms import Term, WeightedTerms
from xmc.scoring import ScoreInputs, as_positives
from xmc.scoring.positives import without_pairs

__all__ = ["Distillation", "build_discriminator", "with_distillation"]


@dataclass(frozen=True)
class Distillation:
    """The cross-entropy to ``ScoreInputs.targets``, and the discriminator's loss where there is one.

    Candidates are scored in the positives' place: each is in its row for certain, and the statistic is that
    of all other labels, whatever sampled, shared or remembered them. So it costs what an objective of as many
    positives does. See :class:`xmc.objectives.objective.Loss`.

    Attributes:
        facts: Its name; it takes what a softmax does.
        discriminator: What is trained beside the student, or None.
        share: Of the discriminator's gradient, once it is warmed up.
        warmup: Batches until then.
    """

    facts: ObjectiveFacts
    discriminator: Discriminator | None = None
    share: float = 0.1
    warmup: int = 100

    def __call__(self, inputs: ScoreInputs, reduction: Reduction = "mean") -> Tensor:
        """See :class:`xmc.objectives.objective.Loss`; a row without targets has the loss 0.

        Raises:
            ConfigError: When there are no targets, or a target is masked for its row.
            NonFiniteError: When the loss is not finite.
        """
        with torch.autocast(inputs.queries.device.type, enabled=False):
            own, log_rest = log_partition(of_candidates(inputs))
            rows = soft_cross_entropy(own.scores, own.positives, log_rest)
            if self.discriminator is not None:
                copies = inputs.own_shard.world.size
                risen = min(1.0, inputs.batch_index / self.warmup) if self.warmup else 1.0
                rows = rows + self._adversarial(self.discriminator, own, log_rest, self.share * risen, copies)
        loss = reduce_rows(rows, reduction, inputs.row_weights)
        refuse_non_finite(loss, inputs, self.facts.name)
        return loss.to(torch.promote_types(inputs.queries.dtype, torch.float32))

    def _adversarial(
        self, discriminator: Discriminator, own: PositiveScores, log_rest: Tensor, share: float, copies: int
    ) -> Tensor:
        candidates = own.positives
        probabilities = own.scores.new_ones(len(candidates))
        if candidates.weights is not None:
            probabilities = candidates.weights.to(own.scores.dtype)
        places = first_candidates(candidates, discriminator.width)
        total = log_total(own.scores, candidates, log_rest)
        told = (candidates.row_counts() > 0) & torch.isfinite(total)
        shift = torch.where(told, total, 0.0)
        floor = torch.finfo(own.scores.dtype).tiny
        # Where no label is left over, its log probability is the floor that features are cut at.
        left = torch.where(torch.isfinite(log_rest), log_rest, 0.0) - shift
        left = torch.where(torch.isfinite(log_rest), left, torch.finfo(left.dtype).min)
        student = features(own.scores - shift[own.rows], left, places)
        teacher = features(
            probabilities.log(), rest_of(candidates, own.scores).clamp(min=floor).log(), places
        )
        weight = next(discriminator.parameters()).dtype
        rows = adversarial_rows(discriminator, student.to(weight), teacher.to(weight), share, copies)
        return torch.where(told, rows, 0.0)


def of_candidates(inputs: ScoreInputs) -> ScoreInputs:
    """What an objective would score if a row's candidates were its positives, weighed by their probabilities.

    Raises:
        ConfigError: When there are no targets.
    """
    if inputs.targets is None:
        raise ConfigError(
            "expected targets beside the positives: distillation.teachers gives them in training, "
            "ScoreInputs(targets=...) elsewhere"
        )
    shape = len(inputs.queries), inputs.own_shard.total
    candidates = as_positives(inputs.targets, *shape, inputs.queries.device)
    extra = inputs.extra
    if extra is not None and extra.certain is not None:
        # What is certain is in its row once: as a candidate, or else as a negative.
        certain = without_pairs(as_positives(extra.certain, *shape, inputs.queries.device), candidates)
        extra = replace(extra, certain=certain if len(certain) else None)
        extra = None if extra.certain is None and extra.frozen is None else extra
    return replace(inputs, positives=candidates, targets=None, extra=extra)


def build_discriminator(config: DistillationConfig, seed: int) -> Discriminator | None:
    """The discriminator that ``config`` asks for, or None."""
    if not config.has_discriminator or config.discriminator == "none":
        return None
    return Discriminator(config.discriminator_width, config.discriminator, seed)


def with_distillation(
    main: Loss, config: DistillationConfig, discriminator: Discriminator | None = None
) -> Loss:
    """The loss of a run that has teachers: distillation, and ``main`` where hard labels have a weight.

    Args:
        main: The objective; it says where the scale starts, and how fast it is learned.
        config: Of the run.
        discriminator: As :func:`build_discriminator` made it.

    Raises:
        ConfigError: When ``main`` ranks labels by another thing than their score, which is what is distilled.
    """
    if not config.enabled:
        return main
    if main.facts.magnitude_about is not None:
        raise ConfigError(
            f"distillation: expected an objective that ranks labels by their score, got {main.facts.name}, "
            "which ranks by magnitude"
        )
    facts = ObjectiveFacts(
        "distillation",
        takes_certain=True,
        takes_frozen=True,
        scale=main.facts.scale,
        scale_learning_rate=main.facts.scale_learning_rate or ObjectiveFacts("").scale_learning_rate,
    )
    loss = Distillation(facts, discriminator, config.discriminator_weight, config.discriminator_warmup)
    soft = Term(loss, config.weight)
    return WeightedTerms((Term(main, config.hard_weight), soft) if config.hard_weight else (soft,))
