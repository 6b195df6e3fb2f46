"""Label sources that ``negatives.sources`` names: made, told apart, and checked against the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from xmc.errors import ConfigError
from xmc.objectives.catalogue import ObjectiveFacts
from xmc.training.batches.config import NegativesConfig
from xmc.training.batches.pools.sampled import LabelDraw
from xmc.training.batches.source import BatchSource
from xmc.training.parts import as_parts, make_part

__all__ = ["check_draw", "gives_outside", "own_sources"]

OPTION = "negatives.sources"
METHODS = [name for name in vars(BatchSource) if not name.startswith("_") and name != "name"]


def own_sources(
    config: NegativesConfig, objective: ObjectiveFacts, facts: Mapping[str, object], taken: Sequence[str]
) -> tuple[list[LabelDraw], list[BatchSource]]:
    """The draws, those of sources among them, and the sources of the user's own.

    Args:
        config: Names them.
        objective: What takes their labels.
        facts: What a source may ask for: ``num_labels`` and others.
        taken: Names of the sources that are there already.

    Raises:
        ConfigError: When one cannot be made, is neither, or does not go with the recipe.
    """
    draws, sources, num_labels = list[LabelDraw](), list[BatchSource](), cast(int, facts["num_labels"])
    for part in as_parts(OPTION, config.sources):
        made = make_part(OPTION, part, facts)
        if hasattr(made, "inclusion") and callable(getattr(made, "add_to", None)):
            check_draw(made, num_labels, f"{OPTION}: {part.name}")
            _refuse_in_mode_all(config, part.name, "a draw")
            draws.append(made)
            continue
        _check_source(made, part.name, [*taken, *(source.name for source in sources)])
        drawn = list(made.draws())
        _check_fit(made, drawn, config, objective, part.name)
        for draw in drawn:
            check_draw(draw, num_labels, f"{OPTION}: {part.name}: a draw")
        draws += drawn
        sources.append(made)
    return draws, sources


def check_draw(draw: LabelDraw, num_labels: int, name: str) -> None:
    """Refuse inclusion probabilities that are none, or not one for each label.

    Raises:
        ConfigError: Beginning with ``name``.
    """
    inclusion = np.asarray(draw.inclusion)
    if inclusion.shape != (num_labels,) or not np.issubdtype(inclusion.dtype, np.floating):
        raise ConfigError(
            f"{name}: expected inclusion as one float per label [{num_labels}], got {inclusion.dtype} "
            f"{list(inclusion.shape)}"
        )
    if not ((inclusion >= 0) & (inclusion <= 1)).all():
        raise ConfigError(
            f"{name}: expected inclusion probabilities in [0, 1], got {inclusion.min()} to {inclusion.max()}"
        )


def gives_outside(source: BatchSource) -> bool:
    """Whether a source may give labels outside the pool."""
    return _overrides(source, "outside")


def _check_source(made: Any, name: str, taken: Sequence[str]) -> None:
    missing = [method for method in METHODS if not callable(getattr(made, method, None))]
    if missing or not isinstance(getattr(made, "name", None), str):
        lacks = ", ".join(["a `name`"] if not missing else missing)
        raise ConfigError(
            f"{OPTION}: expected {name} to make a LabelDraw (`inclusion` and `add_to`) or a BatchSource "
            f"(subclass xmc.training.batches.BatchSource), got {type(made).__name__}, which lacks {lacks}"
        )
    if made.name in ("sampler", *taken):
        raise ConfigError(
            f"{OPTION}: expected a name that no other source has, got '{made.name}' from {name}"
        )


def _check_fit(
    source: BatchSource,
    draws: Sequence[LabelDraw],
    config: NegativesConfig,
    objective: ObjectiveFacts,
    name: str,
) -> None:
    """Refuse what the objective cannot weigh or the mode has no use for, before it is found in a step."""
    brings, outside = _overrides(source, "brought"), gives_outside(source)
    if brings or outside or draws:
        what = "labels that queries bring" if brings else "labels outside the pool" if outside else "a draw"
        _refuse_in_mode_all(config, name, what)
    if brings and config.corrected and not objective.takes_certain:
        raise ConfigError(
            f"{OPTION}: {name} brings labels for single queries, which {objective.name} cannot weigh by row: "
            "use an objective that takes certain negatives (docs/objectives.md), or negatives.corrected false"
        )
    if outside and config.positives is not None:
        raise ConfigError(
            f"negatives.positives: expected null with {name}, which gives labels outside the pool, got "
            f"{config.positives}: positives that a row does not keep would be its negatives there"
        )
    if outside and not (objective.takes_frozen or objective.takes_moments):
        raise ConfigError(
            f"{OPTION}: {name} gives labels outside the pool, whose part {objective.name} cannot join: use "
            "an objective that takes a label memory (docs/objectives.md)"
        )


def _refuse_in_mode_all(config: NegativesConfig, name: str, what: str) -> None:
    if config.mode == "all":
        raise ConfigError(
            f"{OPTION}: expected negatives.mode 'sampled' with {name}, which gives {what}, got 'all', which "
            "scores every label each step and has no use for it"
        )


def _overrides(source: BatchSource, method: str) -> bool:
    return getattr(type(source), method, None) is not getattr(BatchSource, method)
