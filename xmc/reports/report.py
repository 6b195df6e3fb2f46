"""Everything a report says, gathered from rankings, data and run folders; no page is made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any

import numpy as np

from xmc import __version__
from xmc.data import Dataset, describe
from xmc.errors import ConfigError, DataError
from xmc.evaluation import NovelLabels, published_results
from xmc.machine import this_machine
from xmc.reports.calibration import Reliability, empirical_reliability, softmax_reliability
from xmc.reports.comparison import LEVEL, differences
from xmc.reports.curves import LearningCurves
from xmc.reports.distributions import ScoreDistribution, score_distribution
from xmc.reports.examples import best_and_worst, examples
from xmc.reports.gains import training_gains
from xmc.reports.group_metrics import Sums
from xmc.reports.measures import measure
from xmc.reports.novel import novel_labels
from xmc.reports.resampling import bootstrap
from xmc.reports.run_facts import RunFacts, peculiarities, read_run
from xmc.reports.segments import SegmentTable, intervals, segment_tables
from xmc.reports.systems import Split, System
from xmc.reports.verdict import headline_metric, verdict

__all__ = ["Report", "build_report"]

EXAMPLES_BY = "nDCG@5"
SEGMENT_KS = (1, 5)


@dataclass(frozen=True)
class Report:
    """Numbers and texts; see :mod:`xmc.reports.page` for the page made of them."""

    content: dict[str, Any]
    """Plain values, for JSON and the page."""
    dataset_table: str
    """``DatasetInfo.table()``."""
    segments: list[SegmentTable]
    curves: dict[str, LearningCurves]
    best_steps: dict[str, int | None]
    scores: dict[str, ScoreDistribution]
    softmax: dict[str, Reliability]
    """Of the systems whose scale is known."""
    empirical: dict[str, Reliability]
    novel: dict[str, NovelLabels]
    """Empty for a data set without labels held out of training."""

    def verdict_text(self) -> str:
        """The headline and what qualifies it, a line each."""
        told = self.content["verdict"]
        return "\n".join([told["headline"], *(f"- {fact}" for fact in told["facts"])])

    def summary_table(self) -> str:
        """Every metric of every system with its interval, in percent, as lines of text for a terminal."""
        names = [system["name"] for system in self.content["systems"]]
        width = max(24, *(len(name) + 2 for name in names))
        lines = [f"{'':<8}" + "".join(f"{name:>{width}}" for name in names)]
        for row in self.content["summary"]:
            cells = [_cell(row["values"].get(name)) for name in names]
            lines.append(f"{row['metric']:<8}" + "".join(f"{cell:>{width}}" for cell in cells))
        return "\n".join(lines)


def build_report(
    systems: Sequence[System],
    dataset: Dataset,
    *,
    split: Split = "test",
    shown: int = 3,
    seed: int = 0,
    defaults: Mapping[str, Any] | None = None,
) -> Report:
    """Gather everything.

    Args:
        systems: One or several rankings of the split; the others are set against the first.
        dataset: The data set.
        split: Whose queries.
        shown: Worst and best queries shown.
        seed: Of the resamples and sign flips.
        defaults: Of a run's options by dotted name: what is as by default is not listed.

    Raises:
        ConfigError: For no system.
        DataError: When a ranking is malformed or the split has no rows.
    """
    if not systems:
        raise ConfigError("expected one run or more to report on, got none")
    truth = dataset.relevance(split)
    if not truth.shape[0]:
        raise DataError(f"expected {split} rows to report on, {dataset.name} has none: name another split")
    sums = {system.name: measure(dataset, system) for system in systems}
    facts = {system.name: read_run(system.run) for system in systems}
    segments = segment_tables(dataset, split, systems, sums, ks=SEGMENT_KS, seed=seed)
    scores = {s.name: score_distribution(s.hits, s.ids, s.scores) for s in systems}
    softmax = {
        s.name: softmax_reliability(s.hits, s.ids, s.scores, s.scale) for s in systems if s.scale is not None
    }
    empirical = {s.name: empirical_reliability(s.hits, s.ids, s.scores) for s in systems}
    novel = novel_labels(systems, dataset)
    info, summary = describe(dataset), _summary(sums, seed)
    gains = {name: found for name, fact in facts.items() if (found := training_gains(fact))}
    metric = headline_metric([fact.config for fact in facts.values()], [row["metric"] for row in summary])
    told = verdict(
        summary,
        list(sums),
        metric,
        gains,
        place=f"{split} queries of {dataset.name}",
        num_queries=truth.shape[0],
    )
    for name, fact in facts.items():
        told.facts.extend(peculiarities(name, fact))
    content = {
        "made": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "xmc": __version__,
        "split": split,
        "level": LEVEL,
        "num_queries": truth.shape[0],
        "dataset": asdict(info),
        "systems": [_system(system) for system in systems],
        "verdict": {"metric": metric, **asdict(told)},
        "gains": {name: [asdict(gain) for gain in found] for name, found in gains.items()},
        "summary": summary,
        "segments": [asdict(table) for table in segments],
        "novel": {name: asdict(found) for name, found in novel.items()},
        "scores": {name: _arrays(found) for name, found in scores.items()},
        "calibration": {
            "softmax": {name: _arrays(found) for name, found in softmax.items()},
            "empirical": {name: _arrays(found) for name, found in empirical.items()},
        },
        "examples": _examples(systems, sums, dataset, split, shown),
        "configuration": {name: fact.config for name, fact in facts.items()},
        "defaults": dict(defaults or {}),
        "curves": {name: asdict(fact.curves) for name, fact in facts.items()},
        "machines": {name: fact.machine for name, fact in facts.items()},
        "report_machine": asdict(replace(this_machine(), peak_memory_bytes=None, peak_device_bytes=None)),
        "cost": {system.name: _cost(system, facts[system.name]) for system in systems},
        "published": _published(dataset, split),
    }
    return Report(
        content=content,
        dataset_table=info.table(),
        segments=segments,
        curves={name: fact.curves for name, fact in facts.items()},
        best_steps={name: fact.result.get("best_step") for name, fact in facts.items()},
        scores=scores,
        softmax=softmax,
        empirical=empirical,
        novel=novel,
    )


def _cell(found: dict[str, float | None] | None) -> str:
    if found is None or None in found.values():
        return "-"
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def _system(system: System) -> dict[str, Any]:
    evaluation = system.evaluation
    return {
        "name": system.name,
        "kind": "run" if system.run is not None else "predictions" if evaluation is None else "model",
        "model": None if evaluation is None else evaluation.model,
        "depth": int(system.ids.shape[1]),
        "scale": system.scale,
    }


def _summary(sums: dict[str, Sums], seed: int) -> list[dict[str, Any]]:
    """One dictionary per metric: its value under each system, and what each changes against the first."""
    first, *others = sums
    found = {
        name: intervals(bootstrap(s.gained, s.whole, level=LEVEL, seed=seed)) for name, s in sums.items()
    }
    changes = {
        name: {m.metric: m for m in differences(sums[first], sums[name], seed=seed)} for name in others
    }
    return [
        {
            "metric": metric,
            "values": {
                name: asdict(found[name][s.names.index(metric)])
                for name, s in sums.items()
                if metric in s.names
            },
            "changes": {name: asdict(changes[name][metric]) for name in others if metric in changes[name]},
        }
        for metric in sums[first].names
    ]


def _examples(
    systems: Sequence[System], sums: dict[str, Sums], dataset: Dataset, split: Split, shown: int
) -> dict[str, Any]:
    values = [sums[s.name].gained[:, sums[s.name].names.index(EXAMPLES_BY)] for s in systems]
    first = systems[0]
    best, worst = best_and_worst(np.mean(values, axis=0), first.hits.num_positives, first.scores[:, 0], shown)
    rows = {"worst": worst, "best": best}
    if len(systems) > 1:
        change = values[1] - values[0]
        order = np.argsort(-change, kind="stable")
        rows["gained"] = [int(row) for row in order[:shown] if change[row] > 0]
        rows["lost"] = [int(row) for row in order[::-1][:shown] if change[row] < 0]
    found = {
        key: [example.to_dict() for example in examples(dataset, split, systems, values, chosen)]
        for key, chosen in rows.items()
    }
    return {"by": EXAMPLES_BY, **found}


def _cost(system: System, facts: RunFacts) -> dict[str, Any]:
    names = ("num_steps", "best_step", "seconds", "rows_per_second")
    cost = {name: facts.result[name] for name in names if name in facts.result}
    for name in ("peak_memory_bytes", "peak_device_bytes"):
        if facts.machine.get(name) is not None:
            cost[name] = facts.machine[name]
    if system.evaluation is not None:
        cost["evaluation_seconds"] = system.evaluation.seconds
    return cost


def _published(dataset: Dataset, split: Split) -> dict[str, Any]:
    """What others published on these very rows, and whether there is more on another division of the data."""
    sizes = (dataset.num_train, dataset.num_test, dataset.num_labels)
    found = published_results(dataset.name, split, sizes)
    return {
        "results": [asdict(result) for result in found],
        "other_divisions": len(published_results(dataset.name, split)) - len(found),
    }


def _arrays(found: ScoreDistribution | Reliability) -> dict[str, Any]:
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in vars(found).items()
    }
