"""Ours: all of `xmc train RECIPE` or `xmc fit`, then labels and queries are encoded and all labels ranked.

The one script that runs in our own environment. Training counts from the start of the command, imports,
reading and validations included, to vectors of all labels.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from exchange import Task, parser

from xmc.data import Dataset
from xmc.distributed import World
from xmc.encoders import DualEncoder
from xmc.recipes import find_recipe
from xmc.retrieval import Ranker


def command(task: Task, by: str, options: list[str]) -> tuple[list[str], Path]:
    """The words of the command, and the run it leaves."""
    data, run = task.facts["path"], task.out / "run"
    seed = ["--seed", str(task.seed)]
    if by == "fit":
        return ["fit", data, "--out", str(run), *seed, *options], run / "run"
    recipe = task.facts["name"].lower()
    if find_recipe(recipe) is None:
        raise SystemExit(f"no recipe is shipped for the data set {recipe}: take the peer xmc-fit")
    words = ["train", recipe, "--data.path", data, "--run.dir", str(run), "--run.overwrite", "true"]
    return [*words, *seed, *options], run


def main() -> None:
    """What follows the known options is handed to the command."""
    made = parser(__doc__)
    made.add_argument("--by", choices=["train", "fit"], default="train")
    given, options = made.parse_known_args()
    task = Task(given)
    torch.set_num_threads(task.threads)
    words, run = command(task, given.by, options)
    dataset = Dataset.load(task.facts["path"])
    with task.training():
        subprocess.run([sys.executable, "-m", "xmc", *words], check=True)
        model = DualEncoder.load(run)
        labels = model.encode_labels(model.label_texts(dataset), uids=dataset.uids("labels"))
        ranker = Ranker.of_model(model, dataset.uids("labels"))
    with task.predicting():
        queries = model.encode_queries(dataset, "test")
        sizes = {"num_queries": len(queries), "num_labels": len(labels)}
        ids, scores = ranker.search(queries, labels, task.depth, world=World(), exclude=None, **sizes)
    model.save(task.model / "encoder")
    np.save(task.model / "labels.npy", labels)
    task.finish(ids, scores, ["xmc-dual-encoder", "torch"], command=" ".join(["xmc", *words]))


if __name__ == "__main__":
    main()
