"""Every objective by the name that recipes call it, and what the rest of the system has to know of it.

Imports no torch, so that a recipe is checked before anything is loaded. A new objective of the package is one
line here, one file with a function ``objective`` that builds it, its oracle test and its row in
``docs/objectives.md``.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from xmc.errors import ConfigError

__all__ = ["CATALOGUE", "SCALE_LEARNING_RATE", "ObjectiveFacts", "facts_of", "register_objective"]

SCALE_LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class ObjectiveFacts:
    """What can be said of an objective without its formulas.

    Attributes:
        name: In recipes.
        module: Whose function ``objective(**options)`` builds it.
        takes_certain: Whether its statistic can give a label another weight in one row alone, which mined
            labels and clusters of queries need.
        takes_frozen: Whether its statistic can be joined from labels without a gradient (label memory).
        takes_moments: Whether it knows labels by their moments, at a cost that does not grow with their
            number: a label memory then gives moments, and a factored head can be trained on it.
        takes_sampled_positives: Whether a row's loss is a weighted sum or mean of terms, each of one positive
            and of the statistic of the row's negatives, so that a draw of its positives, weighed by one over
            their inclusion probability, estimates it without bias.
        takes_margin: Whether its statistic leaves a row's positives out, so that a margin on their scores is
            all that changes.
        takes_virtual_negative: Whether its statistic is the log partition [B] over a row's negatives, which
            one more can join.
        scale: Where the scale starts when nothing else is said.
        scale_learning_rate: Peak rate of the log scale where it is learned; 0 where the loss does not depend
            on the scale.
        magnitude_about: Its likelihood grows with the distance of a score from this number, to either side;
            None where it grows with the score.
        needs_spread: Why label vectors cannot start at zero, or "" where they can.
    """

    name: str
    module: str = ""
    takes_certain: bool = False
    takes_frozen: bool = False
    takes_moments: bool = False
    takes_sampled_positives: bool = False
    takes_margin: bool = False
    takes_virtual_negative: bool = False
    scale: float = 20.0
    scale_learning_rate: float = SCALE_LEARNING_RATE
    magnitude_about: float | None = None
    needs_spread: str = ""

    @property
    def loss_module(self) -> str:
        """The name of its loss module: its own in capitals, such as SoftTopK."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    def ranking(self, scale: float) -> tuple[str, float]:
        """How scores rank labels: "score" or "magnitude", and the shift of ``q.e`` before the magnitude.

        The likelier label of a log-spherical softmax is that of the larger ``s^2``, of a log-Taylor softmax
        that of the larger ``(s + 1)^2``, with ``s = scale * q.e``.
        """
        if self.magnitude_about is None:
            return "score", 0.0
        return "magnitude", -self.magnitude_about / scale


def _ours(name: str, **facts: Any) -> ObjectiveFacts:
    return ObjectiveFacts(name, f"xmc.objectives.losses.{name}", **facts)


_OF_LOG_PARTITION = dict.fromkeys(
    ("takes_certain", "takes_frozen", "takes_margin", "takes_virtual_negative"), True
)

CATALOGUE: dict[str, ObjectiveFacts] = {
    facts.name: facts
    for facts in (
        _ours("softmax", **_OF_LOG_PARTITION),
        _ours("decoupled_softmax", takes_sampled_positives=True, **_OF_LOG_PARTITION),
        _ours("supervised_contrastive", **_OF_LOG_PARTITION),
        _ours("binary_cross_entropy", takes_certain=True, takes_sampled_positives=True, takes_margin=True),
        _ours("soft_top_k", takes_certain=True),
        _ours(
            "spherical_z_loss",
            takes_moments=True,
            scale_learning_rate=0.0,
            needs_spread="it divides by the deviation of a query's scores",
        ),
        _ours("taylor_softmax", takes_moments=True, magnitude_about=-1.0),
        _ours(
            "spherical_softmax",
            takes_moments=True,
            magnitude_about=0.0,
            needs_spread="its gradient is 0 where all scores are",
        ),
        _ours("mean_squared_error", takes_moments=True, scale=1.0),
        _ours("discriminative", takes_certain=True, takes_frozen=True, scale_learning_rate=0.0),
    )
}
"""The objectives of the package, and those that were registered."""


def facts_of(name: str) -> ObjectiveFacts:
    """What the catalogue says of an objective.

    Raises:
        ConfigError: When it has none of that name; the text names the nearest.
    """
    if name not in CATALOGUE:
        near = difflib.get_close_matches(name, CATALOGUE, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConfigError(
            f"expected an objective, one of {', '.join(CATALOGUE)}, or your own as package.module:name or "
            f"./file.py:name, got {name!r}: {hint}docs/objectives.md tells them apart"
        )
    return CATALOGUE[name]


def register_objective(facts: ObjectiveFacts) -> None:
    """Make an objective known by name to recipes, benchmarks and commands of this process.

    Raises:
        ConfigError: When the name is taken.
    """
    if facts.name in CATALOGUE:
        raise ConfigError(f"expected a name that no objective has, got {facts.name!r}")
    CATALOGUE[facts.name] = facts
