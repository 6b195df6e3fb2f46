"""Output layers: label vectors that are trained themselves, at a cost without their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.heads.config import HeadConfig
    from xmc.heads.errors import IllConditionedError
    from xmc.heads.head import FactoredHead
    from xmc.heads.policy import StabilityPolicy, StabilityRecord
    from xmc.heads.state import FactoredState, factor, plain_table
    from xmc.heads.step import FactoredStep, factored_step

__all__ = [
    "FactoredHead",
    "FactoredState",
    "FactoredStep",
    "HeadConfig",
    "IllConditionedError",
    "StabilityPolicy",
    "StabilityRecord",
    "factor",
    "factored_step",
    "plain_table",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "FactoredHead": "xmc.heads.head",
        "FactoredState": "xmc.heads.state",
        "FactoredStep": "xmc.heads.step",
        "HeadConfig": "xmc.heads.config",
        "IllConditionedError": "xmc.heads.errors",
        "StabilityPolicy": "xmc.heads.policy",
        "StabilityRecord": "xmc.heads.policy",
        "factor": "xmc.heads.state",
        "factored_step": "xmc.heads.step",
        "plain_table": "xmc.heads.state",
    },
)
