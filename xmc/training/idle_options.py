"""Options that a run does not read as it is configured, which nothing else would show. Imports no torch.

A recipe or a search may switch a part off and leave its settings, so these are notes and no errors.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xmc.encoders.resolve import names_its_modules
from xmc.objectives.catalogue import SCALE_LEARNING_RATE, ObjectiveFacts, facts_of
from xmc.plugins import is_reference
from xmc.training.config import DataConfig, TrainConfig
from xmc.training.run.config import RunOptions

__all__ = ["READ_WHERE", "ReadWhere", "idle_options"]


@dataclass(frozen=True)
class ReadWhere:
    """Options that are read only where something holds.

    Attributes:
        options: By dotted name.
        otherwise: What it is that does not hold, as "without residuals.enabled".
        holds: Whether it does.
    """

    options: tuple[str, ...]
    otherwise: str
    holds: Callable[[TrainConfig], bool]


def _in(section: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{section}.{name}" for name in names)


def _listed(config: TrainConfig) -> list[ObjectiveFacts]:
    """What the catalogue says of the objective and of its terms; nothing of those that it has not."""
    names = [config.objective.name, *(term.name for term in config.objective.terms)]
    return [facts_of(name) for name in names if not is_reference(name)]


def _all_listed(config: TrainConfig) -> bool:
    return len(_listed(config)) == 1 + len(config.objective.terms)


def _depends_on_scale(config: TrainConfig) -> bool:
    if config.distillation.enabled or config.objective.label_offsets or not _all_listed(config):
        return True
    return any(facts.scale_learning_rate for facts in _listed(config))


def _scores_labels(config: TrainConfig) -> bool:
    known_by_moments = all(facts.takes_moments for facts in _listed(config)) and _all_listed(config)
    return config.distillation.enabled or not known_by_moments


def _tiles(config: TrainConfig) -> bool:
    others = any(facts.name == "discriminative" for facts in _listed(config)) or not _all_listed(config)
    return config.scoring.implementation != "dense" or others


READ_WHERE: tuple[ReadWhere, ...] = (
    ReadWhere(
        _in("data", "label_fold", "label_text_draw"),
        "with data.label_texts joint, by which a label has one text",
        lambda config: config.data.label_texts != "joint",
    ),
    ReadWhere(
        _in("encoder", "label_dropout"),
        "with encoder.frozen_labels, by which labels are encoded once",
        lambda config: not config.encoder.frozen_labels,
    ),
    ReadWhere(
        _in("encoder", "label_dropout"),
        "with a factored head, whose labels are not encoded in training",
        lambda config: config.head.kind == "none",
    ),
    ReadWhere(
        _in("encoder", "static_init"),
        "with encoder.kind transformer",
        lambda config: config.encoder.kind != "transformer" or config.encoder.builder is not None,
    ),
    ReadWhere(
        _in("encoder", "pooling"),
        "with encoder.kind static",
        lambda config: config.encoder.kind != "static" or config.encoder.builder is not None,
    ),
    ReadWhere(
        _in("encoder", "pooling"),
        "with an encoder.model that brings its own, as a sentence-transformers folder does",
        lambda config: config.encoder.builder is not None or not names_its_modules(config.encoder.model),
    ),
    ReadWhere(
        _in("encoder.lora", "alpha", "dropout", "target_modules"),
        "without encoder.lora.rank",
        lambda config: config.encoder.lora.rank > 0,
    ),
    ReadWhere(
        _in("objective", "name", "options", "terms", "virtual_negative"),
        "with distillation.teachers and distillation.hard_weight 0, which leaves the objective out",
        lambda config: not config.distillation.enabled or config.distillation.hard_weight > 0,
    ),
    ReadWhere(
        _in("objective", "scale", "learn_scale"),
        "with an objective that does not depend on the scale of scores",
        _depends_on_scale,
    ),
    ReadWhere(
        _in("objective.margin", "size"),
        "without objective.margin.kind cosface or arcface",
        lambda config: config.objective.margin.kind in ("cosface", "arcface"),
    ),
    ReadWhere(
        _in("objective.margin", "multiple", "plain_start", "plain_decay", "plain_power", "plain_least"),
        "without objective.margin.kind l_softmax",
        lambda config: config.objective.margin.kind == "l_softmax",
    ),
    ReadWhere(
        _in("objective.margin", "plain_decay", "plain_power"),
        "with objective.margin.plain_start 0",
        lambda config: config.objective.margin.plain_start > 0,
    ),
    ReadWhere(
        _in(
            "distillation",
            *("weight", "hard_weight", "discriminator", "discriminator_weight", "discriminator_warmup"),
            *("discriminator_width", "discriminator_rate"),
        ),
        "without distillation.teachers",
        lambda config: config.distillation.enabled,
    ),
    ReadWhere(
        _in(
            "distillation",
            *("discriminator_weight", "discriminator_warmup", "discriminator_width", "discriminator_rate"),
        ),
        "with distillation.discriminator none",
        lambda config: config.distillation.discriminator != "none",
    ),
    ReadWhere(
        _in("scoring", "implementation", "memory_mb", "precision"),
        "with a factored head, which scores no labels one by one",
        lambda config: config.head.kind == "none",
    ),
    ReadWhere(
        _in("scoring", "memory_mb", "precision"),
        "with an objective that knows labels by their moments",
        _scores_labels,
    ),
    ReadWhere(
        _in("scoring", "memory_mb"),
        "with scoring.implementation dense, which holds all scores",
        _tiles,
    ),
    ReadWhere(
        _in("negatives", "uniform", "corrected"),
        "with negatives.mode all",
        lambda config: config.negatives.mode == "sampled",
    ),
    ReadWhere(
        _in("negatives.tempered", "alpha"),
        "without negatives.tempered.count",
        lambda config: config.negatives.tempered.count > 0,
    ),
    ReadWhere(
        _in(
            "negatives.mined",
            *("first", "last", "draw", "sharpness", "margin", "every", "start", "wait", "factory"),
        ),
        "without negatives.mined.count",
        lambda config: config.negatives.mined.count > 0,
    ),
    ReadWhere(
        _in("negatives.mined", "sharpness"),
        "without negatives.mined.draw score",
        lambda config: config.negatives.mined.draw == "score",
    ),
    ReadWhere(
        _in("negatives.memory", "dtype", "storage", "refresh", "sample"),
        "without negatives.memory.enabled",
        lambda config: config.negatives.memory.enabled,
    ),
    ReadWhere(
        _in("negatives.clusters", "first", "start_epoch", "double_every", "refresh_every", "vectors"),
        "without negatives.clusters.largest",
        lambda config: config.negatives.clusters.largest > 1,
    ),
    ReadWhere(
        _in("negatives.clusters", "double_every"),
        "with negatives.clusters.first as large as negatives.clusters.largest",
        lambda config: config.negatives.clusters.largest > config.negatives.clusters.first,
    ),
    ReadWhere(
        _in("training", "offset_learning_rate"),
        "without objective.label_offsets",
        lambda config: config.objective.label_offsets,
    ),
    ReadWhere(
        _in("training", "scale_learning_rate"),
        "without objective.learn_scale",
        lambda config: config.objective.learn_scale,
    ),
    ReadWhere(
        _in("training", "token_optimiser"),
        "with encoder.kind transformer",
        lambda config: config.encoder.kind != "transformer" or config.encoder.builder is not None,
    ),
    ReadWhere(
        _in("residuals", "learning_rate", "dropout", "clusters", "min_points"),
        "without residuals.enabled",
        lambda config: config.residuals.enabled,
    ),
    ReadWhere(
        _in("head", "learning_rate", "weight_decay", "start", "table"),
        "without head.kind",
        lambda config: config.head.kind != "none",
    ),
    ReadWhere(
        (*_in("validation", "every", "metric"), "run.keep_best"),
        "with validation.rows 0",
        lambda config: config.validation.rows > 0,
    ),
    ReadWhere(
        _in("run", "project", "name"),
        "without run.trackers",
        lambda config: bool(config.run.trackers),
    ),
    ReadWhere(
        _in("run", "resume_with_changes"),
        "without run.resume",
        lambda config: config.run.resume,
    ),
)
"""Every option that is not read in each run; one that is in several rows is read where all of them hold."""


def idle_options(config: TrainConfig, further: Sequence[ReadWhere] = ()) -> list[str]:
    """A line for each option that is set to other than its default and not read.

    Args:
        config: Of the run.
        further: Rows beside those of :data:`READ_WHERE`, as of an objective of the user's own.
    """
    defaults = TrainConfig(DataConfig(config.data.path), RunOptions(config.run.dir))
    lines: dict[str, str] = {}
    for row in (*READ_WHERE, *further):
        if row.holds(config):
            continue
        for option, value in _set(config, defaults, row.options):
            lines.setdefault(option, f"{option} = {_shown(value)} has no effect {row.otherwise}")
    return list(lines.values())


def _set(config: TrainConfig, defaults: TrainConfig, options: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Those of the options that are not at their defaults, nor at what a run records in their place."""
    for option in options:
        get = operator.attrgetter(option)
        value = get(config)
        recorded = option == "training.scale_learning_rate" and value == _recorded_rate(config)
        if value != get(defaults) and not recorded:
            yield option, value


def _recorded_rate(config: TrainConfig) -> float:
    """The rate of the scale that a run's own config.yaml has where its recipe gave none."""
    rates = [facts.scale_learning_rate for facts in _listed(config)]
    return max(rates, default=0.0) or SCALE_LEARNING_RATE


def _shown(value: Any) -> str:
    """A value as a recipe says it."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, list):
        return f"[{', '.join(getattr(item, 'name', None) or _shown(item) for item in value)}]"
    return str(value)
