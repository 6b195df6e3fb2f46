"""What training changed: a run's validation before its first step and of the model it kept."""

from __future__ import annotations

from dataclasses import dataclass

from xmc.reports.run_facts import RunFacts

__all__ = ["NAME", "Gain", "training_gains"]

NAME = "untrained"
"""Of the model before its first step, where it is one of several."""

SHOWN = ("P@1", "P@5", "nDCG@5", "PSP@5", "R@10", "R@100")


@dataclass(frozen=True)
class Gain:
    """A metric of a run's validation rows before its first step and of the model it kept, in percent."""

    metric: str
    untrained: float
    trained: float
    step: int
    """Of the model that was kept."""


def training_gains(facts: RunFacts) -> list[Gain]:
    """What training changed on the rows a run held out; empty where it was not validated before step 1."""
    best = facts.result.get("best_step")
    gains = []
    for metric in SHOWN:
        curve = facts.curves.validation.get(metric)
        if curve is not None and best and {0.0, float(best)} <= set(curve.steps):
            values = dict(zip(curve.steps, curve.values, strict=True))
            gains.append(Gain(metric, values[0.0], values[float(best)], int(best)))
    return gains
