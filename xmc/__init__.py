"""Extreme multi-label classification with dual encoders: text in, ranked labels out.

The names below are imported on first use, so that ``import xmc`` and the command line's help stay quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc import objectives
    from xmc.data import Dataset
    from xmc.encoders import DualEncoder
    from xmc.evaluation import evaluate
    from xmc.retrieval import LabelIndex
    from xmc.training import Trainer
    from xmc.tuning import fit

__all__ = [
    "Dataset",
    "DualEncoder",
    "LabelIndex",
    "Trainer",
    "__version__",
    "evaluate",
    "fit",
    "objectives",
]

__version__ = "0.2.0"

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Dataset": "xmc.data",
        "DualEncoder": "xmc.encoders",
        "LabelIndex": "xmc.retrieval",
        "Trainer": "xmc.training",
        "evaluate": "xmc.evaluation",
        "fit": "xmc.tuning",
        "objectives": "xmc.objectives",
    },
)
