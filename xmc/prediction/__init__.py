"""Labels for texts that have none: queries from files, probabilities and thresholds, files of predictions.

The names are imported on first use, so that a mistyped option is answered without loading torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.prediction.calibration import Calibration
    from xmc.prediction.held_out import calibrate, held_out_rows
    from xmc.prediction.label_source import find_calibration, open_labels
    from xmc.prediction.neighbours import predict_neighbours
    from xmc.prediction.predict import Prediction, predict_blocks
    from xmc.prediction.queries import read_queries
    from xmc.prediction.query import Query
    from xmc.prediction.threshold import Threshold
    from xmc.prediction.writers import write_predicted

__all__ = [
    "Calibration",
    "Prediction",
    "Query",
    "Threshold",
    "calibrate",
    "find_calibration",
    "held_out_rows",
    "open_labels",
    "predict_blocks",
    "predict_neighbours",
    "read_queries",
    "write_predicted",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Calibration": "xmc.prediction.calibration",
        "Prediction": "xmc.prediction.predict",
        "Query": "xmc.prediction.query",
        "Threshold": "xmc.prediction.threshold",
        **dict.fromkeys(("calibrate", "held_out_rows"), "xmc.prediction.held_out"),
        "find_calibration": "xmc.prediction.label_source",
        "open_labels": "xmc.prediction.label_source",
        "predict_blocks": "xmc.prediction.predict",
        "predict_neighbours": "xmc.prediction.neighbours",
        "read_queries": "xmc.prediction.queries",
        "write_predicted": "xmc.prediction.writers",
    },
)
