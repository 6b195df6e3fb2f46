"""How long a step takes at stated rates: an estimate, as good as the rates."""

from __future__ import annotations

from dataclasses import dataclass

from xmc.bench.step_cost import StepCost

__all__ = ["Rates", "step_seconds"]

SCORING = ("score pool", "score memory", "search")


@dataclass(frozen=True)
class Rates:
    """What a rank gets done per second. The defaults are assumptions: 40 % of an H100's published peaks.

    Attributes:
        encoding: Operations per second of the encoders, in bfloat16 on matrix units (989e12 at best).
        scoring: Operations per second of the scores; float32 without matrix units (67e12 at best).
        memory: Bytes per second to and from the GPU's memory (3.35e12 at best, of which 60 %).
        network: Bytes per second that a rank sends while all do.
    """

    encoding: float = 0.4 * 989e12
    scoring: float = 0.4 * 67e12
    memory: float = 0.6 * 3.35e12
    network: float = 300e9


def step_seconds(cost: StepCost, rates: Rates) -> dict[str, float]:
    """Seconds by part, one after the other: nothing overlaps, and no latency or host work is counted."""
    scoring = sum(cost.flops.get(name, 0) for name in SCORING)
    encoding = sum(cost.flops.values()) - scoring
    bags = cost.traffic.get("tokens")  # a bag of tokens is bounded by memory, not by arithmetic
    return {
        "encode": encoding / rates.encoding if bags is None else bags / rates.memory,
        "score": scoring / rates.scoring + cost.traffic.get("slopes", 0) / rates.memory,
        "collectives": cost.sent_bytes / rates.network,
        "optimiser": cost.traffic.get("optimiser", 0) / rates.memory,
    }
