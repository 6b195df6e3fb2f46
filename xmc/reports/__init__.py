"""Comparing systems and reporting on them: intervals, groups, examples, and a page that holds it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmc.lazy import lazy_exports

if TYPE_CHECKING:
    from xmc.reports.comparison import Comparison, compare
    from xmc.reports.page import write_report
    from xmc.reports.report import Report, build_report
    from xmc.reports.resampling import bootstrap, paired_bootstrap, sign_flip_p_values
    from xmc.reports.segments import segment_tables
    from xmc.reports.stored import (
        is_run_folder,
        keep_evaluation,
        load_evaluation,
        place_to_keep,
        predictions_path,
        store_evaluation,
    )
    from xmc.reports.systems import System, dataset_of, open_systems
    from xmc.reports.untrained import open_untrained

__all__ = [
    "Comparison",
    "Report",
    "System",
    "bootstrap",
    "build_report",
    "compare",
    "dataset_of",
    "is_run_folder",
    "keep_evaluation",
    "load_evaluation",
    "open_systems",
    "open_untrained",
    "paired_bootstrap",
    "place_to_keep",
    "predictions_path",
    "segment_tables",
    "sign_flip_p_values",
    "store_evaluation",
    "write_report",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Comparison": "xmc.reports.comparison",
        "Report": "xmc.reports.report",
        "System": "xmc.reports.systems",
        "bootstrap": "xmc.reports.resampling",
        "build_report": "xmc.reports.report",
        "compare": "xmc.reports.comparison",
        "dataset_of": "xmc.reports.systems",
        "is_run_folder": "xmc.reports.stored",
        "keep_evaluation": "xmc.reports.stored",
        "load_evaluation": "xmc.reports.stored",
        "open_systems": "xmc.reports.systems",
        "open_untrained": "xmc.reports.untrained",
        "paired_bootstrap": "xmc.reports.resampling",
        "place_to_keep": "xmc.reports.stored",
        "predictions_path": "xmc.reports.stored",
        "segment_tables": "xmc.reports.segments",
        "sign_flip_p_values": "xmc.reports.resampling",
        "store_evaluation": "xmc.reports.stored",
        "write_report": "xmc.reports.page",
    },
)
