"""Matplotlib figures as inline SVG: text stays text, and nothing is fetched."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xmc.errors import DependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LineStyle", "canvas", "check_plotting", "line_style", "swatch", "to_svg"]

FORMAT: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xmc",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "figure.facecolor": "white",
}


@dataclass(frozen=True)
class LineStyle:
    """How a system is drawn in every figure: colour, line and marker all tell it apart."""

    color: str
    line: str
    marker: str


# Okabe and Ito, "Color universal design" (2008); yellow is left out, as it is hard to see on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")


def line_style(number: int) -> LineStyle:
    """The style of the system at a place, counted from 0; no two of the first 84 share colour and marker.

    Where a colour comes again, its line is another too.
    """
    line = LINES[(number + 2 * (number // len(COLORS))) % len(LINES)]
    return LineStyle(COLORS[number % len(COLORS)], line, MARKERS[number % len(MARKERS)])


def check_plotting() -> None:
    """Refuse to begin a report that cannot be drawn.

    Raises:
        DependencyError: When matplotlib or jinja2 is not installed.
    """
    for name in ("matplotlib", "jinja2"):
        try:
            __import__(name)
        except ImportError as error:
            raise DependencyError(
                f"expected {name}, which reports are made with, to be installed: "
                "pip install 'xmc-dual-encoder[report]'"
            ) from error


@contextmanager
def canvas(size: tuple[float, float] = (3.5, 2.5)) -> Iterator[tuple[Figure, Axes]]:
    """A figure of one panel in the report's style; the page sets several side by side, as many as fit."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(FORMAT):
        figure = Figure(figsize=size, layout="constrained")
        yield figure, figure.add_subplot()


def swatch(name: str, style: LineStyle, *, filled: bool = False, marked: bool = True) -> str:
    """The sample of a legend: line and marker, or a filled patch.

    Args:
        name: Distinct on the page, as that of `to_svg`.
        style: Of what is named beside it.
        filled: A patch in the colour instead of a line.
        marked: Whether the line has its marker.
    """
    return _named(_sample(style, filled, marked), name, "")


@functools.cache
def _sample(style: LineStyle, filled: bool, marked: bool) -> str:
    with canvas((0.5, 0.16)) as (figure, panel):
        panel.set_axis_off()
        panel.set(xlim=(0, 2), ylim=(-1, 1))
        if filled:
            panel.fill_between([0.0, 2.0], -1, 1, color=style.color, alpha=0.75)
        else:
            marker = style.marker if marked else ""
            panel.plot(
                [0, 1, 2], [0, 0, 0], color=style.color, linestyle=style.line, marker=marker, markevery=[1]
            )
        return _drawn(figure)


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``<svg>`` element.

    Args:
        figure: To draw.
        name: Distinct on the page: ids inside begin with it, so that figures do not share them.
        description: What a reader who cannot see it is told; nothing for what says no more than its text.
    """
    return _named(_drawn(figure), name, description)


def _drawn(figure: Figure) -> str:
    import matplotlib

    buffer = io.StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(FORMAT):
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)


def _named(text: str, name: str, description: str) -> str:
    """What was drawn as the page has it: see `to_svg`."""
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
    label = f'role="img" aria-label="{_escaped(description)}"' if description else 'aria-hidden="true"'
    # The size is the page's to choose; the viewBox keeps the proportions.
    return re.sub(r'^<svg ([^>]*?)height="[^"]*"', rf"<svg {label} \1", text).replace(
        'width="', 'data-width="', 1
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("\\", "\\\\")
