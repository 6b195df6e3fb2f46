"""Trains one encoder with this package's losses and with DEXML's by their formulas, step for step alike.

    python -m benchmarks.against_dexml RECIPE DATASET --steps 24 --out FOLDER [--seeds 0,1,2] [--layers 2]
        [--labels 600] [--methods xmc-decoupled,dexml-decoupled] [--section.key value ...]

Three groups of runs. In the first the formulas are alike and all else is too: encoder, batches, steps, rates,
all labels as negatives; what differs is how losses and gradients are computed. The second takes DEXML's
decoupled softmax of the first and changes one thing to what DEXML does by default. In the last the recipe
as it is shipped stands beside all these defaults. `benchmarks/dexml_formulas.py` has the formulas.

Each run leaves one JSON file in FOLDER, and is not made again where that is there. Times are those of the
processor, on one thread; memory is how far the process grew from before the first step to its peak.
`--layers` takes the embedded MiniLM with its first so many layers in place of the recipe's encoder, and
`--labels` a draw of so many labels with the rows that have one of them, as both encode every label each step.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from benchmarks.methods import Clock, Record, configured, spread, store, stored
from benchmarks.methods_list import Method
from xmc.bench.resources import mark_resident, peak_resident
from xmc.data import Dataset
from xmc.data.fewer_labels import keep_labels
from xmc.encoders.resolve import resolve_model
from xmc.evaluation import evaluate
from xmc.training import Callback, RunState, StepResult, train

__all__ = ["GROUPS", "METHODS", "PeakMemory", "cut_transformer", "fewer_labels", "main", "measure", "table"]

WARM_UP = 2
"""Steps that are not timed."""
COLUMNS = ("P@1", "P@5", "PSP@5", "R@100")

_PLAIN = "--objective.virtual_negative null"
_ALIKE = f"--negatives.mode all --negatives.filter_pairs negative --objective.label_offsets false {_PLAIN}"
_TIED, _NO_DROPOUT = "--encoder.tied true", "--encoder.dropout 0 --encoder.label_dropout 0"
_ADAMW = "--training.token_optimiser adamw --training.weight_decay 0.01 --training.clip_norm null"
_BUT_ONE_TOWER = f"{_ALIKE} {_NO_DROPOUT} --training.warmup 0.1 {_ADAMW}"
_DEFAULTS = f"{_ALIKE} {_TIED} {_NO_DROPOUT} --training.warmup 0.1 {_ADAMW}"
_TOP_5 = f"{_PLAIN} --objective.name soft_top_k --objective.options '{{k: 5, alpha: 2.0}}'"


def _published(loss: str, options: str = "{}") -> str:
    return f"--objective.name benchmarks.dexml_formulas:{loss} --objective.options '{options}'"


_MENDED = f"{_ALIKE} {_published('decoupled', '{per_row: null, last_label: mended}')}"
GROUPS: Mapping[str, Mapping[str, Method]] = {
    "formulas alike": {
        "xmc-decoupled": Method("decoupled softmax, xmc", f"{_ALIKE} --objective.name decoupled_softmax"),
        "dexml-decoupled": Method("decoupled softmax, DEXML's formula", _MENDED),
        "xmc-top-5": Method("soft top-5, xmc", f"{_ALIKE} {_TOP_5}"),
        "dexml-top-5": Method(
            "soft top-5, DEXML's formula",
            f"{_ALIKE} {_published('soft_top_k', '{sampled: false, last_label: mended}')}",
        ),
    },
    "one default at a time": {
        "one-positive": Method(
            "one positive of a query each step",
            f"{_ALIKE} {_published('decoupled', '{per_row: 1, last_label: mended}')}",
        ),
        "last-label": Method(
            "the last label no positive",
            f"{_ALIKE} {_published('decoupled', '{per_row: null, last_label: published}')}",
        ),
        "adamw": Method("AdamW for the token vectors, decay 0.01, no clipping", f"{_MENDED} {_ADAMW}"),
        "no-dropout": Method("no dropout", f"{_MENDED} {_NO_DROPOUT}"),
        "tied": Method("one tower", f"{_MENDED} {_TIED}"),
    },
    "all defaults": {
        "xmc-recipe": Method("xmc, the recipe"),
        "xmc-recipe-plain": Method("xmc, the recipe without its virtual negative", _PLAIN),
        "xmc-recipe-top-5": Method("xmc, the recipe with soft top-5", _TOP_5),
        "dexml-decoupled-towers": Method(
            "DEXML, decoupled softmax, the recipe's towers", f"{_BUT_ONE_TOWER} {_published('decoupled')}"
        ),
        "dexml-top-5-towers": Method(
            "DEXML, soft top-5, the recipe's towers", f"{_BUT_ONE_TOWER} {_published('soft_top_k')}"
        ),
        "dexml-decoupled-default": Method(
            "DEXML, decoupled softmax, one tower", f"{_DEFAULTS} {_published('decoupled')}"
        ),
        "dexml-top-5-default": Method(
            "DEXML, soft top-5, one tower", f"{_DEFAULTS} {_published('soft_top_k')}"
        ),
    },
}
METHODS = {name: method for group in GROUPS.values() for name, method in group.items()}


class PeakMemory(Callback):
    """Bytes the process grew from before the first step to its peak by the last; None where unknown."""

    def __init__(self) -> None:
        self.growth: int | None = None
        self._before: int | None = None

    def before_step(self, run: RunState) -> None:
        """Mark what is there before the first."""
        if run.step == 0:
            self._before = mark_resident()

    def after_step(self, run: RunState, result: StepResult) -> None:
        """Read the peak after the last; what follows is evaluation."""
        if run.step == run.num_steps and self._before is not None:
            self.growth = max(0, peak_resident() - self._before)


def cut_transformer(folder: Path, layers: int) -> Path:
    """The embedded MiniLM with its first layers alone, as a model folder; used again where it is there."""
    if folder.exists():
        return folder
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(resolve_model("embedded")), device="cpu")
    transformer = model[0].auto_model
    transformer.encoder.layer = transformer.encoder.layer[:layers]
    transformer.config.num_hidden_layers = layers
    model.save(str(folder))
    return folder


def fewer_labels(data: Path, folder: Path, count: int) -> Path:
    """The data set with that many of its labels, drawn uniformly; used again where it is there.

    Raises:
        SystemExit: When it has no more than that.
    """
    dataset = Dataset.load(data)
    if not 0 < count < dataset.num_labels:
        raise SystemExit(f"--labels: expected fewer than the {dataset.num_labels} of {data}, got {count}")
    if not folder.exists():
        stays = np.zeros(dataset.num_labels, dtype=np.bool_)
        stays[np.random.default_rng(0).permutation(dataset.num_labels)[:count]] = True
        keep_labels(dataset, folder, stays)
    return folder


def measure(
    method: Method, recipe: str, data: Path, out: Path, given: Sequence[str], steps: int, seed: int
) -> Record:
    """Train on all training rows for that many steps, and measure the last model on the test split."""
    clock, memory = Clock(WARM_UP), PeakMemory()
    more = ["--training.max_steps", str(steps), "--seed", str(seed), "--validation.rows", "0"]
    config = configured(method, recipe, data, out / "run", given, more)
    result = train(config, callbacks=[memory, clock])
    test = evaluate(result.last_path, Dataset.load(data), progress=False)
    shutil.rmtree(out / "run")
    return {
        "step_seconds": clock.seconds / clock.counted,
        "growth_bytes": memory.growth,
        "test": test.metrics,
    }


def table(records: Sequence[Record]) -> str:
    """Markdown, group by group; ± is the deviation over seeds, times and memory are means."""
    heads = ["", "seeds", *COLUMNS, "ms a step", "memory, MiB"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for group, methods in GROUPS.items():
        rows = []
        for name, method in methods.items():
            runs = [record for record in records if record["name"] == name]
            if runs:
                cells = [method.title, str(len(runs))]
                cells += [spread([run["test"][column] for run in runs]) for column in COLUMNS]
                cells.append(f"{1000 * mean(run['step_seconds'] for run in runs):,.0f}")
                grown = [run["growth_bytes"] for run in runs if run["growth_bytes"] is not None]
                cells.append(f"{mean(grown) / 2**20:,.0f}" if grown else "")
                rows.append("| " + " | ".join(cells) + " |")
        if rows:
            lines += [f"| **{group}** |" + " |" * (len(heads) - 1), *rows]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and measure what is not there yet; print the table of all that is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("recipe")
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, required=True, help="Of each run.")
    parser.add_argument("--out", type=Path, required=True, help="Folder of the results; made when missing.")
    parser.add_argument("--methods", default=",".join(METHODS), help="Some of them, by name (default: all).")
    parser.add_argument("--seeds", default="0")
    parser.add_argument(
        "--layers", type=int, help="Of the embedded MiniLM, in place of the recipe's encoder."
    )
    parser.add_argument("--labels", type=int, help="Of the data set, drawn (default: all).")
    asked, given = parser.parse_known_args(arguments)
    chosen, seeds = asked.methods.split(","), [int(seed) for seed in asked.seeds.split(",")]
    if unknown := [name for name in chosen if name not in METHODS]:
        parser.error(f"--methods: expected some of {', '.join(METHODS)}, got {', '.join(unknown)}")
    if asked.steps <= WARM_UP:
        parser.error(f"--steps: expected more than the {WARM_UP} that are not timed, got {asked.steps}")
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    same = {"recipe": asked.recipe, "given": given, "steps": asked.steps}
    same |= {"layers": asked.layers, "labels": asked.labels}
    data = asked.data
    if asked.labels is not None:
        data = fewer_labels(data, asked.out / f"labels-{asked.labels}", asked.labels)
    if asked.layers is not None:
        model = cut_transformer(asked.out / f"minilm-{asked.layers}", asked.layers)
        given = [*given, "--encoder.model", str(model), "--encoder.kind", "transformer"]
    for seed in seeds:
        for name in chosen:
            this = {**same, "name": name, "words": METHODS[name].words, "seed": seed}
            path = asked.out / f"{name}-{seed}.json"
            if stored(path, this) is None:
                got = measure(METHODS[name], asked.recipe, data, asked.out, given, asked.steps, seed)
                store(path, {**this, **got})
    print(table([json.loads(path.read_text(encoding="utf-8")) for path in sorted(asked.out.glob("*.json"))]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
