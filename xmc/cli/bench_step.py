"""``xmc bench step``: where a training step's time goes, and what it costs beside plain work."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from xmc.cli.config import parse_train
from xmc.cli.outputs import check_output_file
from xmc.cli.parser import make_parser, parse
from xmc.distributed import start_missing_processes
from xmc.errors import ConfigError
from xmc.files import atomic_file

__all__ = ["run"]

OWN = ("--steps", "--repeats", "--json", "--help", "-h")


def run(arguments: Sequence[str]) -> None:
    """Measure, print two Markdown tables, and write JSON where asked."""
    parser = make_parser(
        "bench step",
        "Train a few steps of a recipe and print where their time goes, as xmc train --profile does, and\n"
        "what they cost in units of plain work that is done between them (a product of queries and pool, an\n"
        "embedding bag of tokens). Such ratios say much the same on any machine. Nothing is saved.",
        "xmc bench step api-docs --data.path data/api-docs --steps 20 --json step.json",
        usage="xmc bench step RECIPE [MORE ...] [--steps N] [--repeats N] [--json FILE] "
        "[--section.key value ...]",
    )
    parser.add_argument("--steps", type=int, default=20, help="Steps to measure (default: 20).")
    parser.add_argument(
        "--repeats", type=int, default=3, help="Runs of the plain work after each step (default: 3)."
    )
    parser.add_argument("--json", default=None, help="Write the figures to this file too.")
    ours, recipe = _apart(arguments[1:])
    options = parse(parser, ours)
    if options.repeats < 1:
        raise ConfigError(f"--repeats: expected a number of at least 1, got {options.repeats}")
    check_output_file("--json", options.json)
    config, profile, seeds = parse_train(recipe)
    if profile is not None or seeds is not None:
        raise ConfigError("expected neither --profile nor --seeds, which are of xmc train: give --steps")
    start_missing_processes()

    from xmc.bench import cases_as_json
    from xmc.bench.step_ratios import bench_step, ratios_table

    measured, ratios = bench_step(config, options.steps, repeats=options.repeats)
    if os.environ.get("RANK", "0") != "0":
        return
    print(f"{measured.table()}\n\n{ratios_table(ratios)}")
    if options.json:
        with atomic_file(options.json) as partial:
            text = json.dumps(cases_as_json([measured, ratios]), indent=2)
            Path(partial).write_text(text + "\n", encoding="utf-8")


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of options that are this command's, and those of the recipe."""
    ours: list[str] = []
    others: list[str] = []
    words = iter(arguments)
    for word in words:
        if word.partition("=")[0] not in OWN:
            others.append(word)
            continue
        ours.append(word)
        if word.startswith("--") and "=" not in word and word != "--help":
            ours += [value for value in [next(words, None)] if value is not None]
    return ours, others
