"""A recipe for a data set that nobody has tuned: facts, rules with their reasons, a search in a set time.

The names are imported on first use, so that facts and rules can be had without the training loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.tuning.choice import Choice
    from xmc.tuning.facts import DataFacts, measure_facts
    from xmc.tuning.fitting import FitResult, fit
    from xmc.tuning.rules import choose

__all__ = ["Choice", "DataFacts", "FitResult", "choose", "fit", "measure_facts"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Choice": "xmc.tuning.choice",
        **dict.fromkeys(("DataFacts", "measure_facts"), "xmc.tuning.facts"),
        **dict.fromkeys(("FitResult", "fit"), "xmc.tuning.fitting"),
        "choose": "xmc.tuning.rules",
    },
)
