"""The figures of a report, each a function from numbers to ``<svg>`` elements."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xmc.reports.calibration import Reliability
from xmc.reports.curves import LearningCurves, thinned
from xmc.reports.distributions import ScoreDistribution
from xmc.reports.segments import Interval, SegmentTable
from xmc.reports.svg import LineStyle, canvas, line_style, swatch, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FigureParts", "calibration_figure", "decile_figure", "learning_figure", "score_figure"]

_VALIDATION = ("P@1", "P@5", "PSP@5", "R@100")
_MOST_WITH_BARS = 4
"""Systems up to which intervals are drawn: with more, bars hide each other."""
_FEW_POINTS, _FLAT_TICKS, _TITLE_CHARACTERS = 12, 4, 36


@dataclass(frozen=True)
class FigureParts:
    """A figure as ``<svg>`` elements that the page sets side by side, as many as its width holds."""

    panels: list[str]
    legend: list[tuple[str, str]]
    """Samples and what they stand for; empty when there is one thing only."""


def learning_figure(
    curves: Mapping[str, LearningCurves], best: Mapping[str, int | None]
) -> FigureParts | None:
    """Training loss and validation metrics by step; None when no run has a curve.

    Args:
        curves: By system.
        best: By system, the step of the model that was kept, drawn larger.
    """
    metrics = [m for m in _VALIDATION if any(m in c.validation for c in curves.values())]
    if not any(c.training or c.validation for c in curves.values()):
        return None
    styles = {name: line_style(number) for number, name in enumerate(curves)}
    panels = []
    with canvas() as (figure, panel):
        for name, curve in curves.items():
            if "loss" in curve.training:
                loss, style = thinned(curve.training["loss"]), styles[name]
                marker = style.marker if len(loss.steps) <= _FEW_POINTS else ""
                panel.plot(loss.steps, loss.values, color=style.color, linestyle=style.line, marker=marker)
        panels.append(_by_step(figure, panel, "training loss"))
    for metric in metrics:
        with canvas() as (figure, panel):
            for name, curve in curves.items():
                _validation(panel, curve, metric, styles[name], best.get(name))
            panels.append(_by_step(figure, panel, f"validation {metric}, %"))
    with_curves = [name for name, curve in curves.items() if curve.training or curve.validation]
    return FigureParts(panels, _legend("learning", {name: styles[name] for name in with_curves}))


def decile_figure(table: SegmentTable, ks: Sequence[int]) -> FigureParts:
    """Part of P@k and recall@k of groups of labels by training points, with 95 % intervals.

    More than four systems are drawn without intervals, which would hide each other.
    """
    groups = list(dict.fromkeys(row.group for row in table.rows))
    bounds = list(dict.fromkeys(row.bounds for row in table.rows))
    systems = list(dict.fromkeys(row.system for row in table.rows))
    wanted = [(f"P@{k}", f"part of P@{k}, points") for k in ks]
    wanted += [(f"R@{k}", f"recall@{k} within the group, %") for k in ks[-1:]]
    styles = {name: line_style(number) for number, name in enumerate(systems)}
    panels = []
    for metric, title in wanted:
        with canvas((3.5, 2.8)) as (figure, panel):
            for number, system in enumerate(systems):
                cells = [row.metrics[metric] for row in table.rows if row.system == system]
                shift = 0.12 * (number - (len(systems) - 1) / 2) if len(systems) <= _MOST_WITH_BARS else 0.0
                bars = len(systems) <= _MOST_WITH_BARS
                _with_intervals(panel, np.arange(len(groups)) + shift, cells, styles[system], bars)
            panel.set_title(title)
            panel.set_xticks(range(len(groups)), [_tick(text) for text in bounds])
            if len(groups) > _FLAT_TICKS:
                panel.tick_params("x", rotation=45)
            panel.set_xlabel("training points of a label")
            panel.set_ylim(bottom=0)
            panels.append(
                to_svg(figure, f"deciles-{metric}".replace("@", ""), f"{title}, by training points")
            )
    return FigureParts(panels, _legend("deciles", styles))


def score_figure(distributions: Mapping[str, ScoreDistribution]) -> FigureParts:
    """Scores of retrieved positives (filled) and of the hardest negatives (line), one panel per system."""
    right, wrong = line_style(4), line_style(1)
    panels = []
    for number, (name, found) in enumerate(distributions.items()):
        with canvas() as (figure, panel):
            panel.stairs(100 * found.positives, found.edges, fill=True, color=right.color, alpha=0.75)
            panel.stairs(100 * found.hardest_negatives, found.edges, color=wrong.color, linewidth=1.8)
            panel.set_title(_fitting(name))
            panel.set_xlabel("score")
            panel.set_ylabel("share, %")
            panels.append(to_svg(figure, f"scores-{number}", f"Scores of positives and negatives, {name}"))
    legend = [
        (swatch("scores-right", right, filled=True), "positives"),
        (
            swatch("scores-wrong", LineStyle(wrong.color, "-", ""), marked=False),
            "hardest negative of each query",
        ),
    ]
    return FigureParts(panels, legend)


def calibration_figure(
    softmax: Mapping[str, Reliability], empirical: Mapping[str, Reliability], systems: Sequence[str]
) -> FigureParts:
    """Reliability of the softmax probability of the first label, and precision by score."""
    styles = {name: line_style(number) for number, name in enumerate(systems)}
    panels = []
    if softmax:
        with canvas((3.5, 3.2)) as (figure, panel):
            panel.plot([0, 100], [0, 100], color="#777777", linewidth=1, linestyle=(0, (1, 1)))
            panel.annotate("calibrated", (88, 90), color="#555555", ha="right", fontsize=8)
            for name in [name for name in systems if name in softmax]:
                _line(panel, 100 * softmax[name].confidence, 100 * softmax[name].accuracy, styles[name])
            panel.set_title("first prediction, by softmax")
            panel.set(xlabel="confidence, %", ylabel="accuracy, %", xlim=(0, 100), ylim=(0, 100))
            panels.append(to_svg(figure, "calibration-softmax", "Reliability of softmax probabilities"))
    with canvas((3.5, 3.2)) as (figure, panel):
        for name in systems:
            _line(panel, empirical[name].confidence, 100 * empirical[name].accuracy, styles[name])
        panel.set_title("first five: precision by score")
        panel.set(xlabel="score", ylabel="accuracy, %", ylim=(0, 100))
        panels.append(to_svg(figure, "calibration-score", "Precision by score"))
    return FigureParts(panels, _legend("calibration", styles))


def _by_step(figure: Figure, panel: Axes, title: str) -> str:
    panel.set_title(title)
    panel.set_xlabel("step")
    panel.locator_params(axis="x", nbins=5, integer=True)
    return to_svg(figure, "learning-" + re.sub(r"\W+", "-", title).strip("-"), f"{title}, by optimiser step")


def _validation(panel: Axes, curves: LearningCurves, metric: str, style: LineStyle, best: int | None) -> None:
    if metric not in curves.validation:
        return
    curve = curves.validation[metric]
    _line(panel, curve.steps, curve.values, style)
    if best in curve.steps:
        value = curve.values[curve.steps.index(float(best))]
        panel.plot([best], [value], style.marker, color=style.color, markersize=9, markerfacecolor="none")


def _line(panel: Axes, x: Any, y: Any, style: LineStyle) -> None:
    panel.plot(x, y, color=style.color, linestyle=style.line, marker=style.marker)


def _with_intervals(
    panel: Axes, x: np.ndarray, cells: Sequence[Interval], style: LineStyle, bars: bool
) -> None:
    """Points where a group has no value are left out."""
    kept = [place for place, cell in enumerate(cells) if None not in (cell.value, cell.low, cell.high)]
    value, low, high = (
        np.array([getattr(cells[place], part) for place in kept], dtype=float)
        for part in ("value", "low", "high")
    )
    # A percentile interval need not hold the value itself.
    error = [np.maximum(value - low, 0), np.maximum(high - value, 0)] if bars else None
    panel.errorbar(
        x[kept],
        value,
        yerr=error,
        color=style.color,
        linestyle=style.line,
        marker=style.marker,
        capsize=2,
        elinewidth=1,
    )


def _tick(bounds: str) -> str:
    """``10–33`` of "10 to 33 points", ``none`` of "no training point"."""
    return "none" if bounds.startswith("no ") else bounds.rpartition(" ")[0].replace(" to ", "–")


def _fitting(title: str) -> str:
    """A title that is no wider than its panel."""
    return title if len(title) <= _TITLE_CHARACTERS else title[: _TITLE_CHARACTERS - 1] + "…"


def _legend(figure: str, styles: Mapping[str, LineStyle]) -> list[tuple[str, str]]:
    """A sample and a name for each system, when there is more than one thing to tell apart."""
    if len(styles) < 2:
        return []
    return [
        (swatch(f"{figure}-{number}", style), name) for number, (name, style) in enumerate(styles.items())
    ]
