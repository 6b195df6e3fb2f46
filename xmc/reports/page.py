"""A report as files: one self-contained HTML page, Markdown and JSON."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xmc.files import atomic_file
from xmc.reports.figures import calibration_figure, decile_figure, learning_figure, score_figure
from xmc.reports.report import SEGMENT_KS, Report
from xmc.reports.rows import configuration_rows, cost_rows, dataset_rows, machine_rows
from xmc.reports.svg import check_plotting

__all__ = ["FILES", "plain", "to_html", "to_json", "to_markdown", "write_report"]

FILES = ("report.html", "report.md", "report.json")


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
    return json.dumps(plain(report.content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_html(report: Report) -> str:
    """The page: style, figures (inline SVG) and texts in one file, without scripts or addresses to fetch."""
    check_plotting()
    return _render("report.html.jinja", report, _figures(report))


def to_markdown(report: Report) -> str:
    """The tables and examples; the figures are in the page alone, their numbers in the JSON."""
    return _render("report.md.jinja", report, {})


def plain(value: Any) -> Any:
    """The value with tuples as lists and numbers that are not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _render(template: str, report: Report, figures: Mapping[str, str | None]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xmc.reports", "templates"),
        autoescape=lambda name: name is not None and name.startswith("report.html"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(number=_number, span=_span, signed=_signed, p=_p_value, md=_markdown)
    content = plain(report.content)
    return environment.get_template(template).render(
        **content,
        names=[system["name"] for system in content["systems"]],
        figures=figures,
        published_metrics=_published_metrics(content),
        configuration_rows=configuration_rows(content["configuration"]),
        dataset_rows=dataset_rows(report.dataset_table),
        machine_rows=machine_rows(content["machines"], content["report_machine"]),
        cost_rows=cost_rows(content["cost"]),
    )


def _published_metrics(content: Mapping[str, Any]) -> list[str]:
    """The metrics that a published result gives and that were measured here."""
    results = content["published"]["results"]
    return [
        row["metric"]
        for row in content["summary"]
        if any(row["metric"] in result["metrics"] for result in results)
    ]


def _figures(report: Report) -> dict[str, str | None]:
    deciles = next(table for table in report.segments if table.name == "deciles")
    names: Sequence[str] = list(report.scores)
    return {
        "learning": learning_figure(report.curves, report.best_steps),
        "deciles": decile_figure(deciles, SEGMENT_KS),
        "scores": score_figure(report.scores),
        "calibration": calibration_figure(report.softmax, report.empirical, names),
    }


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def _span(interval: Mapping[str, float | None], digits: int = 2, signed: bool = False) -> str:
    """``[63.66, 65.77]``."""
    shown = _signed if signed else _number
    return f"[{shown(interval['low'], digits)}, {shown(interval['high'], digits)}]"


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _markdown(text: object) -> str:
    """Text that Markdown and the HTML in it leave as it is."""
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", html.escape(line, quote=False))
