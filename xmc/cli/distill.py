"""``xmc distill``: what teachers say of the training queries, and a student that learns from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xmc.cli.config import parse_train
from xmc.cli.outputs import check_output_file
from xmc.cli.parser import make_parser, parse
from xmc.cli.train import summary, tell_notes
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

__all__ = ["run"]

OWN = ("--teachers", "--file", "--top", "--sampled", "--temperature", "--lists", "--ensemble")
FLAGS = ("--only-file", "--overwrite", "--help", "-h")


def run(arguments: Sequence[str]) -> None:
    """Ask the teachers, and train the student unless only their file is wanted."""
    ours, recipe = _apart(arguments)
    options = parse(_parser(), ours)
    if not options.teachers:
        raise ConfigError("--teachers: expected at least one, got none")
    if not options.temperature > 0:
        raise ConfigError(f"--temperature: expected a number above 0, got {options.temperature}")
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError(
            "expected one process: write the file with --only-file, then train on several with xmc train "
            "--distillation.teachers FILE"
        )
    config, profile, seeds = parse_train(recipe)
    if profile is not None or seeds is not None:
        raise ConfigError("expected neither --profile nor --seeds, which are of xmc train: give it the file")
    file = options.file or f"{config.run.dir.rstrip('/')}-teachers.parquet"
    check_output_file("--file", file)
    check_output_file("--ensemble", options.ensemble)
    files = [place for place in options.teachers if Path(place).is_file()]
    if options.ensemble is not None and files:
        raise ConfigError(
            f"--ensemble: expected teachers that rank test queries too, got {files[0]}, a file of "
            "predictions for the training queries: leave --ensemble out"
        )
    config, _, _ = parse_train([*recipe, "--distillation.teachers", file])
    if not options.only_file:
        tell_notes(config)

    from xmc.data import Dataset
    from xmc.distillation import open_teacher, score_teachers
    from xmc.distillation.score import predict_ensemble

    dataset = Dataset.load(config.data.path)
    how = {"temperature": options.temperature, "lists": options.lists, "progress": True}
    teachers = [open_teacher(place, dataset, **how) for place in options.teachers]
    written = score_teachers(
        dataset, teachers, file,
        top=options.top, sampled=options.sampled, temperature=options.temperature, seed=config.seed,
        overwrite=options.overwrite,
    )  # fmt: skip
    print(
        f"teachers: {file}, {len(teachers)} of them, {written.num_pairs / max(dataset.num_train, 1):.1f} "
        "candidates a query"
    )
    if options.ensemble:
        asked = [open_teacher(place, dataset, "test", **how) for place in options.teachers]
        predict_ensemble(dataset, asked, options.ensemble)
        print(f"ensemble: {options.ensemble}")
    if options.only_file:
        return
    from xmc.training import train

    print(summary(train(config), config.validation.metric))


def _parser() -> ArgumentParser:
    parser = make_parser(
        "distill",
        "Ask teachers about every training query of a recipe's data set, keep what they say on average in a\n"
        "file, and train the recipe on it (distillation.teachers). A teacher is a run or a model's folder,\n"
        "cross:FOLDER for a cross-encoder, or a file of predictions for the training queries, in any format\n"
        "that xmc score reads. The same command goes on with a file that is there. On several processes:\n"
        "write the file with --only-file, then xmc train with --distillation.teachers FILE.",
        "xmc distill api-docs --teachers runs/0,runs/1 --data.path data/api-docs --run.dir runs/student",
        usage="xmc distill RECIPE [MORE ...] --teachers A,B [options] [--section.key value ...]",
    )
    parser.add_argument("--teachers", type=list[str], required=True, metavar="A,B", help="Who teaches.")
    parser.add_argument("--file", default=None, help="Their file; RUN.DIR-teachers.parquet when left out.")
    parser.add_argument(
        "--top", type=int, default=16, help="Labels of a query that each proposes (default: 16)."
    )
    parser.add_argument("--sampled", type=int, default=4, help="Labels drawn for a query (default: 4).")
    parser.add_argument(
        "--temperature", type=float, default=1.0, help="What scores are divided by (default: 1)."
    )
    parser.add_argument(
        "--lists",
        default="scores",
        choices=("scores", "probabilities"),
        help="What files of predictions hold.",
    )
    parser.add_argument(
        "--ensemble",
        default=None,
        metavar="FILE",
        help="Write the teachers' common ranking of the test split too, for xmc score; not from files.",
    )
    parser.add_argument("--only-file", action="store_true", help="Write the file, and train nothing.")
    parser.add_argument("--overwrite", action="store_true", help="Replace a file of other teachers.")
    return parser


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of options that are this command's, and those of the recipe."""
    ours: list[str] = []
    others: list[str] = []
    words = iter(arguments)
    for word in words:
        if word.partition("=")[0] not in (*OWN, *FLAGS):
            others.append(word)
            continue
        ours.append(word)
        if "=" not in word and word not in FLAGS:
            ours += [value for value in [next(words, None)] if value is not None]
    return ours, others
