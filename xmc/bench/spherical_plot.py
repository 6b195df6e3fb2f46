"""Time against the number of labels, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmc.plots import save_plot

if TYPE_CHECKING:
    from xmc.bench.spherical import HeadCase

__all__ = ["plot_heads"]

# Okabe and Ito's colours, which stay apart for colour-blind readers; markers differ too.
SERIES = (
    ("dense_seconds", "softmax, dense", "#0072B2", "s"),
    ("tiled_seconds", "softmax, tiled", "#E69F00", "^"),
    ("seconds", "factored head, stabilising included", "#009E73", "o"),
)


def plot_heads(cases: Sequence[HeadCase], path: str | Path) -> None:
    """Draw a panel for each pair of D and B, and write SVG or PNG by the file's ending.

    Raises:
        ConfigError: When the ending is another.
        DependencyError: When matplotlib is missing.
    """
    save_plot(lambda: _figure(cases), path)


def _figure(cases: Sequence[HeadCase]) -> Any:
    from matplotlib.figure import Figure

    # One panel per shape, two side by side, on common axes: panels are to be compared.
    shapes = sorted({(case.dimension, case.num_queries) for case in cases})
    columns = min(2, len(shapes))
    rows = -(-len(shapes) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.6 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axis, shape in zip(axes.flat, shapes, strict=False):
        _panel(axis, [case for case in cases if (case.dimension, case.num_queries) == shape], shape)
    for axis in axes.flat[len(shapes) :]:
        axis.set_axis_off()
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure


def _panel(axis: Any, cases: Sequence[HeadCase], shape: tuple[int, int]) -> None:
    for attribute, name, colour, marker in SERIES:
        points = [(case.num_labels, getattr(case, attribute)) for case in cases]
        points = [(labels, seconds) for labels, seconds in points if seconds is not None]
        xs, ys = [labels for labels, _ in points], [1e3 * seconds for _, seconds in points]
        axis.plot(xs, ys, color=colour, marker=marker, markersize=5, linewidth=1.6, label=name)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_title(f"{shape[0]} dimensions, {shape[1]} queries per step", fontsize=10)
    axis.grid(True, which="major", color="#d9d9d9", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    spec = axis.get_subplotspec()
    if spec.is_last_row():
        axis.set_xlabel("labels")
    if spec.is_first_col():
        axis.set_ylabel("ms per step")
