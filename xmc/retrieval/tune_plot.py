"""Recall against queries a second: every trial, and the front of those that no other beats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xmc.plots import save_plot
from xmc.retrieval.tune import Trial, front

__all__ = ["plot_trials"]

# Okabe and Ito's colours, which stay apart for colour-blind readers; markers differ too.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
_MARKERS = "os^Dv<>p"


def plot_trials(trials: Sequence[Trial], path: str | Path, *, k: int, recall: float) -> None:
    """Draw trials, a colour for each kind, and write SVG or PNG by the file's ending.

    Raises:
        ConfigError: When the ending is another.
        DependencyError: When matplotlib is missing.
    """
    save_plot(lambda: _figure(trials, k, recall), path)


def _figure(trials: Sequence[Trial], k: int, recall: float) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    kinds = list(dict.fromkeys(trial.kind for trial in trials))
    for number, name in enumerate(kinds):
        own = [trial for trial in trials if trial.kind == name]
        axis.plot(
            [trial.recall for trial in own],
            [trial.queries_per_second for trial in own],
            color=_COLOURS[number % len(_COLOURS)],
            marker=_MARKERS[number % len(_MARKERS)],
            linestyle="none",
            markersize=5,
            label=name,
        )
    best = front(trials)
    axis.plot(
        [trial.recall for trial in best],
        [trial.queries_per_second for trial in best],
        color="#888888",
        linewidth=1,
        zorder=0,
        label="front",
    )
    axis.axvline(recall, color="#888888", linewidth=1, linestyle=":", label=f"recall {recall:g}")
    axis.set_yscale("log")
    axis.set_xlabel(f"recall@{k} against exact search")
    axis.set_ylabel("queries a second")
    axis.legend(fontsize=8)
    return figure
