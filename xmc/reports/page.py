"""A report as files: one self-contained HTML page, Markdown and JSON."""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmc.files import atomic_file
from xmc.nested import finite
from xmc.reports.figures import (
    FigureParts,
    calibration_figure,
    decile_figure,
    learning_figure,
    score_figure,
)
from xmc.reports.novel import NOVEL_METRICS, novel_rows
from xmc.reports.numbers import number, p_value, signed, span
from xmc.reports.report import SEGMENT_KS, Report
from xmc.reports.rows import (
    configuration_tables,
    cost_rows,
    curve_rows,
    dataset_rows,
    grouped,
    machine_rows,
)
from xmc.reports.segments import SegmentTable
from xmc.reports.svg import check_plotting

if TYPE_CHECKING:
    import jinja2

__all__ = ["FILES", "to_html", "to_json", "to_markdown", "write_report"]

FILES = ("report.html", "report.md", "report.json")
CURVE_METRICS = ("P@1", "P@5", "nDCG@5", "PSP@5", "R@100")
OVERVIEW = ("P@1", "P@5", "nDCG@5", "PSP@1", "PSP@5", "R@10", "R@100")
MOST_COLUMNS = 4
"""Systems that stand side by side in a table; more are its lines."""


def write_report(report: Report, folder: str | Path) -> list[Path]:
    """Write the three files into ``folder``, which is made where it is missing; returns their paths.

    Raises:
        DependencyError: When matplotlib or jinja2 is not installed.
        XMCError: When the files cannot be written.
    """
    texts = (to_html(report), to_markdown(report), to_json(report))
    paths = [Path(folder) / name for name in FILES]
    for path, text in zip(paths, texts, strict=True):
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return paths


def to_json(report: Report) -> str:
    """All numbers and texts as a JSON object; what is not a number is null."""
    return json.dumps(finite(report.content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_html(report: Report) -> str:
    """The page: style, figures (inline SVG) and texts in one file, without scripts or addresses to fetch."""
    check_plotting()
    return _render("report.html.jinja", report, _figures(report))


def to_markdown(report: Report) -> str:
    """The tables and examples; learning curves as tables, other figures in the page alone."""
    return _render("report.md.jinja", report, {})


@functools.cache
def _environment() -> jinja2.Environment:
    """Of the report's templates, each compiled once."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xmc.reports", "templates"),
        autoescape=lambda name: name is not None and name.startswith("report.html"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        number=number,
        span=span,
        signed=signed,
        p=p_value,
        md=_markdown,
        grouped=grouped,
        in_group=_in_group,
    )
    return environment


def _render(template: str, report: Report, figures: Mapping[str, FigureParts | None]) -> str:
    content = finite(report.content)
    return (
        _environment()
        .get_template(template)
        .render(
            **content,
            names=[system["name"] for system in content["systems"]],
            figures=figures,
            published_metrics=_published_metrics(content),
            configured=configuration_tables(content["configuration"], content["defaults"]),
            curve_metrics=CURVE_METRICS,
            curve_tables={
                name: rows
                for name, curves in report.curves.items()
                if (rows := curve_rows(curves, report.best_steps[name], CURVE_METRICS))
            },
            num_groups=len({row.group for row in _deciles(report).rows}),
            novel_rows=novel_rows(report.novel),
            novel_metrics=NOVEL_METRICS,
            num_unseen=content["dataset"]["unseen_labels"],
            wide=len(content["systems"]) > MOST_COLUMNS,
            most_columns=MOST_COLUMNS,
            overview=[row for row in content["summary"] if row["metric"] in OVERVIEW],
            dataset_rows=dataset_rows(report.dataset_table),
            machine_rows=machine_rows(content["machines"], content["report_machine"]),
            cost_rows=cost_rows(content["cost"]),
        )
    )


def _published_metrics(content: Mapping[str, Any]) -> list[str]:
    """The metrics that a published result gives and that were measured here."""
    results = content["published"]["results"]
    return [
        row["metric"]
        for row in content["summary"]
        if any(row["metric"] in result["metrics"] for result in results)
    ]


def _figures(report: Report) -> dict[str, FigureParts | None]:
    names: Sequence[str] = list(report.scores)
    return {
        "learning": learning_figure(report.curves, report.best_steps),
        "deciles": decile_figure(_deciles(report), SEGMENT_KS),
        "scores": score_figure(report.scores),
        "calibration": calibration_figure(report.softmax, report.empirical, names),
    }


def _deciles(report: Report) -> SegmentTable:
    return next(table for table in report.segments if table.name == "deciles")


def _in_group(metric: str, of: str) -> str:
    """What a metric of a group of labels is called; that of a group of queries keeps its name."""
    if of == "queries":
        return metric
    kind, _, k = metric.partition("@")
    return {"P": "part of P@{}", "R": "recall in group @{}", "slots": "slots given @{}"}[kind].format(k)


def _markdown(text: object) -> str:
    """Text that Markdown and the HTML in it leave as it is."""
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(line, quote=False))
