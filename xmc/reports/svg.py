"""Matplotlib figures as inline SVG: text stays text, and nothing is fetched."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xmc.errors import DependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["STYLES", "LineStyle", "canvas", "check_plotting", "to_svg"]

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
STYLES = (
    LineStyle("#0072B2", "-", "o"),
    LineStyle("#D55E00", "--", "s"),
    LineStyle("#009E73", "-.", "^"),
    LineStyle("#CC79A7", ":", "D"),
    LineStyle("#56B4E9", "-", "v"),
    LineStyle("#E69F00", "--", "P"),
    LineStyle("#000000", "-.", "X"),
)


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
def canvas(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (9.0, 3.0), **options: Any
) -> Iterator[tuple[Figure, Sequence[Axes]]]:
    """A figure of rows x columns panels in the report's style, and its panels in a flat list."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(FORMAT):
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False, **options)
        yield figure, list(panels.ravel())


def to_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``<svg>`` element.

    Args:
        figure: To draw.
        name: Distinct on the page: ids inside begin with it, so that figures do not share them.
        description: What a reader who cannot see it is told.
    """
    import matplotlib

    buffer = io.StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(FORMAT):
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{name}-", text)
    label = _escaped(description)
    # The size is the page's to choose; the viewBox keeps the proportions.
    return re.sub(r'^<svg ([^>]*?)height="[^"]*"', rf'<svg role="img" aria-label="{label}" \1', text).replace(
        'width="', 'data-width="', 1
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("\\", "\\\\")
