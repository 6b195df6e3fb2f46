"""The result of an evaluation, and tables of one or several."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from xmc.counted import counted
from xmc.errors import DataError
from xmc.evaluation.novel import NovelLabels
from xmc.received import reading
from xmc.typed import from_plain

__all__ = ["Evaluation", "comparison_table"]


@dataclass(frozen=True)
class Evaluation:
    """Metrics in percent, and what they were measured on."""

    metrics: dict[str, float]
    """By name: "P@1", "nDCG@5", "PSP@3", "R@100" ..."""
    dataset: str
    """The data set's name."""
    dataset_fingerprint: str
    split: str
    num_queries: int
    num_labels: int
    filtered_pairs: int
    """(query, label) pairs left out of the ranking before the cut."""
    depth: int
    """Labels kept of each ranking."""
    propensity: dict[str, float]
    """The constants a and b of PSP."""
    model: str
    """The model's fingerprint."""
    offsets: bool
    """Whether learned label offsets took part in the scores."""
    seconds: float
    """Wall time of encoding, ranking and measuring."""
    propensity_source: str = ""
    """Where the constants are from."""
    processes: int = 1
    """Ranks that shared the work."""
    short_rows: int = 0
    """Queries with fewer predictions than the depth, filtered ones too, where there were labels for more."""
    ceiling: dict[str, float] = field(default_factory=dict)
    """The best that any system can expect on this split, in percent by metric; empty when unknown."""
    novel: NovelLabels | None = None
    """Of seen and unseen labels, where the data set has labels held out of training."""
    dimension: int | None = None
    """Components of the model's vectors; None of what has none."""
    dimensions: dict[str, dict[str, float]] = field(default_factory=dict)
    """The metrics by the first components of the vectors alone, by how many; of a model trained on them."""

    def to_json(self) -> str:
        """All of it as a JSON object."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """Read what `to_json` wrote.

        Raises:
            DataError: When it is something else.
        """
        with reading("", "an evaluation as JSON"):
            return from_plain(cls, json.loads(text), extra=True)

    def table(self) -> str:
        """The metrics in percent, one line per kind and one column per k, under a line that says of what."""
        kinds: dict[str, list[str]] = {}
        for name in self.metrics:
            kinds.setdefault(name.partition("@")[0], []).append(name)
        lines = [self.headline()]
        width = max(5, *(len(kind) + 1 for kind in kinds)) if kinds else 5
        for kind, names in kinds.items():
            cells = (f"{'@' + name.partition('@')[2]:>6} {self.metrics[name]:6.2f}" for name in names)
            lines.append(f"{kind:<{width}}" + "  ".join(cells))
        if self.ceiling:
            best = "  ".join(f"{name} {value:.2f}" for name, value in self.ceiling.items())
            lines.append(f"best possible on these data: {best}")
        if self.dimensions:
            lines.append(self._by_dimension())
        if self.novel is not None:
            lines.append(self.novel.table())
        return "\n".join(lines)

    def _by_dimension(self) -> str:
        """A line for each number of components, of the first and the last cut-off of each kind."""
        ends: dict[str, list[str]] = {}
        for name in self.metrics:
            ends.setdefault(name.partition("@")[0], []).append(name)
        names = [name for kind in ("P", "nDCG", "PSP", "R") if kind in ends for name in ends[kind][:1]]
        names += [name for kind in ("nDCG", "R") if len(ends.get(kind, ())) > 1 for name in ends[kind][-1:]]
        lines = ["by the first components alone:", f"{'':>6}" + "".join(f"{name:>9}" for name in names)]
        every = {**({str(self.dimension): self.metrics} if self.dimension else {}), **self.dimensions}
        for dimension, metrics in every.items():
            lines.append(f"{dimension:>6}" + "".join(f"{metrics[name]:>9.2f}" for name in names))
        return "\n".join(lines)

    def headline(self) -> str:
        """Data set, split, sizes and filter in a line."""
        return (
            f"{self.dataset}, {self.split}: {counted(self.num_queries, 'query', 'queries')}, "
            f"{counted(self.num_labels, 'label')}, {counted(self.filtered_pairs, 'pair')} filtered; percent"
        )


def comparison_table(evaluations: Mapping[str, Evaluation], metrics: Sequence[str] | None = None) -> str:
    """Evaluations side by side: one line per metric, one column each; for two, also what the second gains.

    ``metrics`` are the names to show, of those that all have; all of these when None.

    Raises:
        DataError: When they were not measured on the same split of the same data set.
    """
    if not evaluations:
        raise DataError("expected at least one evaluation to show, got none")
    first = next(iter(evaluations.values()))
    for name, evaluation in evaluations.items():
        same = (evaluation.dataset_fingerprint, evaluation.split) == (first.dataset_fingerprint, first.split)
        if not same or evaluation.num_queries != first.num_queries:
            raise DataError(
                f"expected evaluations of the same queries ({first.headline()}), got for {name}: "
                f"{evaluation.headline()}"
            )
    columns = {name: evaluation.metrics for name, evaluation in evaluations.items()}
    wanted = first.metrics if metrics is None else metrics
    shared = [metric for metric in wanted if all(metric in values for values in columns.values())]
    header = [first.headline(), ""]
    width = max(9, *(len(name) + 2 for name in columns))
    title = f"{'':<10}" + "".join(f"{name:>{width}}" for name in columns)
    two = len(columns) == 2
    lines = [*header, title + (f"{'gain':>9}" if two else "")]
    for metric in shared:
        values = [column[metric] for column in columns.values()]
        line = f"{metric:<10}" + "".join(f"{value:>{width}.2f}" for value in values)
        lines.append(line + (f"{values[1] - values[0]:>+9.2f}" if two else ""))
    return "\n".join(lines)
