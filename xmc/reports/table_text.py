"""A table of systems as plain text, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Sequence

from xmc.counted import counted
from xmc.reports.numbers import p_value, signed, span
from xmc.reports.table import Change, Row, Table

__all__ = ["FORMS", "as_text"]

FORMS = ("text", "markdown", "latex", "csv")
_WIDTH = 110
_PLUS_MINUS = {"text": "±", "markdown": "±", "latex": r"$\pm$"}
_LATEX = {
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "<": "$<$",
    "−": "$-$",
}

Cells = list[list[str]]


def as_text(table: Table, form: str = "text") -> str:
    """The table; after it what each system changes against the first, and what the p-values say.

    Args:
        table: What was measured.
        form: One of `FORMS`. CSV has a line for each system and metric, in full precision, and no notes.
    """
    if form == "csv":
        return _csv(table)
    draw = {"text": _plain, "markdown": _markdown, "latex": _latex}[form]
    head = f"{table.dataset}, {table.split}: {counted(table.num_queries, 'query', 'queries')}; percent"
    if any(row.num_seeds > 1 for row in table.rows):
        head += "; mean ± standard deviation over seeds"
    parts = [head, draw(_values(table, _PLUS_MINUS[form]))]
    notes = []
    if table.changes:
        parts += [f"less {table.rows[0].name}", draw(_changes(table))]
        notes = _notes(table)
    if form == "latex":
        marked = [f"% {line}" for part in notes for line in textwrap.wrap(part, _WIDTH)]
        parts = [f"% {part}" if index % 2 == 0 else part for index, part in enumerate(parts)]
        return "\n".join([*parts, *marked])
    return "\n\n".join([*parts, *("\n".join(textwrap.wrap(note, _WIDTH)) for note in notes)])


def _values(table: Table, plus_minus: str) -> Cells:
    rows = [["system", "seeds", *table.metrics]]
    for row in table.rows:
        cells = [_value(row, metric, plus_minus) for metric in table.metrics]
        rows.append([row.name, str(row.num_seeds), *cells])
    return rows


def _value(row: Row, metric: str, plus_minus: str) -> str:
    deviation = row.deviation(metric)
    told = f"{row.mean(metric):.2f}"
    return told if deviation is None else f"{told} {plus_minus} {deviation:.2f}"


def _changes(table: Table) -> Cells:
    rows = [["system", "metric", "difference", "95 % interval", "p over queries", "p over seeds"]]
    for change in table.changes:
        found = change.over_queries
        interval = span({"low": found.low, "high": found.high}, with_sign=True)
        numbers = [signed(found.difference), interval, p_value(found.p_value), p_value(change.p_seeds)]
        rows.append([change.name, found.metric, *numbers])
    return rows


def _notes(table: Table) -> list[str]:
    queries = (
        "p over queries and interval: paired over the queries, each with its mean over a system's seeds "
        "(sign-flip test, bootstrap). They say whether other queries like these would show the difference "
        "between these very models, and nothing of models of other seeds."
    )
    seeds = {row.num_seeds for row in table.rows}
    if max(seeds) < 2:
        told = "p over seeds: needs two seeds or more of both systems (xmc train --seeds 0,1,2)."
    else:
        numbers = " to ".join(str(n) for n in sorted({min(seeds), max(seeds)}))
        told = (
            f"p over seeds: Welch's t-test on the metrics of {numbers} seeds a system. It says whether other "
            "seeds would show the difference on these same queries, and nothing of other queries; with so "
            "few seeds it sees only differences that are large beside the deviation. –: fewer than two "
            "seeds, or none of them varies."
        )
    return [queries, told, "Neither is corrected for the number of systems and metrics."]


def _plain(cells: Cells) -> str:
    widths = [max(len(row[c]) for row in cells) for c in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if c == 0 else cell.rjust(width)
            for c, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def _markdown(cells: Cells) -> str:
    head, *rows = [[cell.replace("|", "\\|") for cell in row] for row in cells]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def _latex(cells: Cells) -> str:
    """A tabular of the package booktabs."""
    head, *rows = [[_escaped(cell) for cell in row] for row in cells]
    lines = [r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}", r"\toprule"]
    lines += [" & ".join(head) + r" \\", r"\midrule"]
    lines += [" & ".join(row) + r" \\" for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def _escaped(cell: str) -> str:
    if r"$\pm$" in cell:
        return cell
    return "".join(_LATEX.get(character, character) for character in cell)


def _csv(table: Table) -> str:
    changes: dict[tuple[str, str], Change] = {(c.name, c.over_queries.metric): c for c in table.changes}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    tests = ("difference", "low", "high", "p_queries", "p_seeds")
    writer.writerow(["system", "seeds", "metric", "mean", "deviation", *tests])
    for row in table.rows:
        for metric in table.metrics:
            change = changes.get((row.name, metric))
            told: Sequence[object] = [""] * 5
            if change is not None:
                found = change.over_queries
                told = [found.difference, found.low, found.high, found.p_value, change.p_seeds]
            writer.writerow([row.name, row.num_seeds, metric, row.mean(metric), row.deviation(metric), *told])
    return file.getvalue().rstrip("\n")
