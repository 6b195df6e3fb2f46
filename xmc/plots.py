"""Plots as files, drawn by matplotlib: SVG or PNG, the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from xmc.errors import ConfigError, DependencyError
from xmc.files import atomic_file

__all__ = ["check_plot_place", "save_plot"]

_KINDS = ("svg", "png")


def check_plot_place(path: str | Path, option: str | None = None) -> str:
    """The kind of file that ``path`` names, "svg" or "png".

    Args:
        path: Of the file.
        option: What asked for it, for the message.

    Raises:
        ConfigError: When its ending is another.
    """
    kind = Path(path).suffix.lstrip(".").lower()
    if kind not in _KINDS:
        asked = "expected a plot to end" if option is None else f"{option}: expected a file that ends"
        raise ConfigError(f"{asked} in .{' or .'.join(_KINDS)}, got {path}")
    return kind


def save_plot(draw: Callable[[], Any], path: str | Path) -> None:
    """Write the figure that ``draw`` makes, whole or not at all.

    Raises:
        ConfigError: When the file's ending is neither .svg nor .png.
        DependencyError: When matplotlib is missing.
    """
    kind = check_plot_place(path)
    try:
        import matplotlib
    except ImportError as error:
        raise DependencyError(
            f'a plot needs matplotlib: pip install "xmc-dual-encoder[report]" ({error})'
        ) from error
    # Text stays text, and ids do not change from run to run.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "xmc"}):
        figure = draw()
        with atomic_file(path) as temporary:
            figure.savefig(
                temporary, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None
            )
