"""The figures of a report, each a function from numbers to an ``<svg>`` element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xmc.reports.calibration import Reliability
from xmc.reports.curves import LearningCurves, thinned
from xmc.reports.distributions import ScoreDistribution
from xmc.reports.segments import Interval, SegmentTable
from xmc.reports.svg import STYLES, LineStyle, canvas, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["calibration_figure", "decile_figure", "learning_figure", "score_figure"]

_VALIDATION = ("P@1", "P@5", "PSP@5", "R@100")


def learning_figure(curves: Mapping[str, LearningCurves], best: Mapping[str, int | None]) -> str | None:
    """Training loss and validation metrics by step; None when no run has a curve.

    Args:
        curves: By system.
        best: By system, the step of the model that was kept, drawn larger.
    """
    metrics = [m for m in _VALIDATION if any(m in c.validation for c in curves.values())]
    if not any(c.training or c.validation for c in curves.values()):
        return None
    with canvas(1, 1 + len(metrics), (2.6 * (1 + len(metrics)), 2.9)) as (figure, panels):
        for (name, curve), style in zip(curves.items(), _styles(len(curves)), strict=True):
            if "loss" in curve.training:
                loss = thinned(curve.training["loss"])
                panels[0].plot(loss.steps, loss.values, color=style.color, linestyle=style.line, label=name)
            for panel, metric in zip(panels[1:], metrics, strict=True):
                _validation(panel, curve, metric, style, best.get(name), name)
        panels[0].set_title("training loss")
        for panel, metric in zip(panels[1:], metrics, strict=True):
            panel.set_title(f"validation {metric}, %")
        for panel in panels:
            panel.set_xlabel("step")
            panel.locator_params(axis="x", nbins=4)
        _legend(figure, panels[-1], len(curves))
        return to_svg(figure, "learning", "Training loss and validation metrics by optimiser step")


def decile_figure(table: SegmentTable, ks: Sequence[int]) -> str:
    """Contribution to P@k and recall@k within each decile of label frequency, with 95 % intervals."""
    groups = list(dict.fromkeys(row.group for row in table.rows))
    systems = list(dict.fromkeys(row.system for row in table.rows))
    wanted = [(f"P@{k}", f"part of P@{k}, points") for k in ks]
    wanted += [(f"R@{k}", f"recall@{k} within the decile, %") for k in ks[-1:]]
    with canvas(1, len(wanted), (4.0 * len(wanted), 3.2)) as (figure, panels):
        for panel, (metric, title) in zip(panels, wanted, strict=True):
            for number, (system, style) in enumerate(zip(systems, _styles(len(systems)), strict=True)):
                cells = [row.metrics[metric] for row in table.rows if row.system == system]
                shift = 0.12 * (number - (len(systems) - 1) / 2)
                _with_intervals(panel, np.arange(len(groups)) + shift, cells, style, system)
            panel.set_title(title)
            panel.set_xticks(range(len(groups)), groups)
            panel.set_xlabel("decile of label frequency (1: most frequent)")
            panel.set_ylim(bottom=0)
        _legend(figure, panels[0], len(systems))
        return to_svg(figure, "deciles", "Metrics by decile of label frequency")


def score_figure(distributions: Mapping[str, ScoreDistribution]) -> str:
    """Scores of retrieved positives (filled) and of the hardest negatives (line), one panel per system."""
    columns = min(3, len(distributions))
    rows = -(-len(distributions) // columns)
    with canvas(rows, columns, (max(5.0, 4.0 * columns), 2.8 * rows)) as (figure, panels):
        for panel, (name, found) in zip(panels, distributions.items(), strict=False):
            panel.stairs(
                100 * found.positives,
                found.edges,
                fill=True,
                color=STYLES[4].color,
                alpha=0.75,
                label="positives",
            )
            panel.stairs(
                100 * found.hardest_negatives,
                found.edges,
                color=STYLES[1].color,
                linewidth=1.8,
                label="hardest negative of each query",
            )
            panel.set_title(name)
            panel.set_xlabel("score")
            panel.set_ylabel("share, %")
        for panel in panels[len(distributions) :]:
            panel.set_visible(False)
        _legend(figure, panels[0], 2)
        return to_svg(figure, "scores", "Scores of positives and of the hardest negatives")


def calibration_figure(
    softmax: Mapping[str, Reliability], empirical: Mapping[str, Reliability], systems: Sequence[str]
) -> str:
    """Reliability of the softmax probability of the first label, and precision by score."""
    with canvas(1, 2, (8.4, 3.4)) as (figure, panels):
        panels[0].plot([0, 100], [0, 100], color="#777777", linewidth=1, linestyle=(0, (1, 1)))
        panels[0].annotate("calibrated", (88, 90), color="#555555", ha="right", fontsize=8)
        for name, style in zip(systems, _styles(len(systems)), strict=True):
            if name in softmax:
                _line(panels[0], 100 * softmax[name].confidence, 100 * softmax[name].accuracy, style, name)
            _line(panels[1], empirical[name].confidence, 100 * empirical[name].accuracy, style, name)
        panels[0].set_title("first prediction: softmax over its list")
        panels[0].set(
            xlabel="confidence, %", ylabel="accuracy, %", xlim=(0, 100), ylim=(0, 100), aspect="equal"
        )
        if not softmax:
            panels[0].set_visible(False)
        panels[1].set_title("first five predictions: precision by score")
        panels[1].set(xlabel="score", ylabel="accuracy, %", ylim=(0, 100))
        _legend(figure, panels[1], len(systems))
        return to_svg(figure, "calibration", "Reliability of probabilities, and precision by score")


def _validation(
    panel: Axes, curves: LearningCurves, metric: str, style: LineStyle, best: int | None, name: str
) -> None:
    if metric not in curves.validation:
        return
    curve = curves.validation[metric]
    _line(panel, curve.steps, curve.values, style, name)
    if best in curve.steps:
        value = curve.values[curve.steps.index(float(best))]
        panel.plot([best], [value], style.marker, color=style.color, markersize=9, markerfacecolor="none")


def _line(panel: Axes, x: Any, y: Any, style: LineStyle, name: str) -> None:
    panel.plot(x, y, color=style.color, linestyle=style.line, marker=style.marker, label=name)


def _with_intervals(
    panel: Axes, x: np.ndarray, cells: Sequence[Interval], style: LineStyle, name: str
) -> None:
    """Points where a group has no value are left out."""
    kept = [place for place, cell in enumerate(cells) if None not in (cell.value, cell.low, cell.high)]
    value, low, high = (
        np.array([getattr(cells[place], part) for place in kept], dtype=float)
        for part in ("value", "low", "high")
    )
    # A percentile interval need not hold the value itself.
    error = [np.maximum(value - low, 0), np.maximum(high - value, 0)]
    panel.errorbar(
        x[kept],
        value,
        yerr=error,
        color=style.color,
        linestyle=style.line,
        marker=style.marker,
        capsize=2,
        elinewidth=1,
        label=name,
    )


def _legend(figure: Figure, panel: Axes, entries: int) -> None:
    """One legend above all panels, when there is more than one thing to tell apart."""
    handles, labels = panel.get_legend_handles_labels()
    if entries > 1:
        figure.legend(handles, labels, loc="outside upper left", ncols=min(4, entries), handlelength=3.2)


def _styles(count: int) -> list[LineStyle]:
    return [STYLES[number % len(STYLES)] for number in range(count)]
