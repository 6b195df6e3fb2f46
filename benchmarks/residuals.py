"""Prints what label residuals do to rare labels and to labels that were not there when the model was trained.

    python benchmarks/residuals.py CONFIG.yaml DATASET --out FOLDER [--share 0.05] [--json FILE] [--KEY VALUE]

A share of the labels is taken out of the data set, out of its catalogue and not only of its pairs. The recipe
is trained on what is left, without residuals and with them, and each model ranks all labels for the test
rows: labels taken out have a text and neither a residual nor an offset of their own. The tables are in
docs/benchmarks/encoders.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmc.cli.config import load_train_config
from xmc.data import Dataset, inverse_propensity
from xmc.data.fewer_labels import keep_labels
from xmc.encoders import DualEncoder
from xmc.evaluation import rank_labels, ranking_metrics
from xmc.evaluation.hits import all_hits
from xmc.reports.group_metrics import label_group_sums
from xmc.reports.groups import Groups
from xmc.training import train

__all__ = ["ResidualCase", "label_groups", "main", "measured", "table", "without_labels"]

DEPTH = 100


@dataclass(frozen=True)
class ResidualCase:
    """One model: metrics over all labels, and recall within groups of labels, in percent."""

    model: str
    metrics: dict[str, float]
    recall: dict[str, dict[str, float]]


def without_labels(dataset: Dataset, path: Path, share: float, seed: int) -> Dataset:
    """A copy of the data set without a random share of its labels, and without the rows that then have none.

    Args:
        dataset: What to copy; filter pairs of labels that stay are kept.
        path: The folder to make; used again where it is there.
        share: Of the labels, above 0 and below 1.
        seed: Of the choice.
    """
    if path.exists():
        return Dataset.load(path)
    stays = np.random.default_rng(seed).random(dataset.num_labels) >= share
    return keep_labels(dataset, path, stays)


def label_groups(dataset: Dataset, trained_on: Dataset) -> Groups:
    """The labels of ``dataset`` by their training points in ``trained_on``: none, one, two to five, more."""
    counts = np.bincount(trained_on.relevance("train").indices, minlength=trained_on.num_labels)
    # By uid, as ids differ between the two data sets; a label that was taken out has no points.
    known = dict(zip(trained_on.uids("labels"), counts.tolist(), strict=True))
    points = np.array([known.get(uid, 0) for uid in dataset.uids("labels")])
    of = np.select([points == 0, points == 1, points <= 5], [0, 1, 2], default=3)
    return Groups(("unseen", "1 point", "2 to 5", "more"), ("0", "1", "2 to 5", "6 or more"), of)


def measured(name: str, dataset: Dataset, ids: NDArray[np.int32], groups: Groups) -> ResidualCase:
    """The metrics of a ranking [N, 100]: over all labels, and recall at 10 and 100 within each group."""
    truth, constants = dataset.relevance("test"), dataset.propensity
    weights = inverse_propensity(dataset.relevance("train"), constants.a, constants.b)
    hits, recall = all_hits(truth, ids), {}
    for k in (10, DEPTH):
        sums = label_group_sums(hits, ids, groups, k)
        chosen = [column for column, kind in enumerate(sums.names) if kind == "R"]
        # A ratio of sums: recall over all pairs of a group, not the mean of queries' own.
        within = 100 * sums.gained[:, chosen].sum(0) / np.maximum(sums.whole[:, chosen].sum(0), 1.0)
        recall[f"R@{k}"] = dict(zip(groups.names, within.tolist(), strict=True))
    return ResidualCase(name, ranking_metrics(truth, ids, weights), recall)


def table(cases: Sequence[ResidualCase]) -> str:
    """The cases as a Markdown table."""
    overall, groups = ("P@1", "P@5", "PSP@1", "PSP@5", "R@100"), list(cases[0].recall["R@10"])
    heads = [*overall, *(f"{group}: R@10 / R@100" for group in groups)]
    lines = ["| model | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for case in cases:
        cells = [f"{case.metrics[name]:.2f}" for name in overall]
        cells += [f"{case.recall['R@10'][g]:.2f} / {case.recall['R@100'][g]:.2f}" for g in groups]
        lines.append(f"| {case.model} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, train twice, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("config")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="Folder for the cut data set and the runs.")
    parser.add_argument("--share", type=float, default=0.05, help="Of the labels taken out (default: 0.05).")
    parser.add_argument("--json", type=Path)
    options, overrides = parser.parse_known_args(arguments)
    dataset = Dataset.load(options.dataset)
    cut = without_labels(dataset, options.out / f"data-{options.share}", options.share, seed=0)
    groups = label_groups(dataset, cut)
    cases = []
    for name in ("false", "true"):
        run = options.out / ("with" if name == "true" else "without")
        given = ["--data.path", str(cut.path), "--run.dir", str(run), "--residuals.enabled", name]
        model = DualEncoder.load(train(load_train_config([options.config, *overrides, *given])).model_path)
        cases.append(measured(f"{run.name} residuals", dataset, _ranking(model, dataset), groups))
    # The same weights with their residuals taken off: how good the texts alone have become.
    model.label_residuals = None
    cases.append(measured("with residuals, texts alone", dataset, _ranking(model, dataset), groups))
    print(dict(zip(groups.names, groups.sizes.tolist(), strict=True)))
    print(table(cases))
    if options.json:
        options.json.write_text(json.dumps([asdict(case) for case in cases], indent=1) + "\n")
    return 0


def _ranking(model: DualEncoder, dataset: Dataset) -> NDArray[np.int32]:
    return rank_labels(model, dataset, "test", DEPTH)[0]


if __name__ == "__main__":
    raise SystemExit(main())
