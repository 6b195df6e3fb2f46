"""The help of ``xmc train``: what people use first, the rest by section or all at once."""

from __future__ import annotations

import argparse
import textwrap
import typing
from collections.abc import Sequence

import jsonargparse

from xmc.cli.parser import make_parser, nearest
from xmc.errors import ConfigError

__all__ = ["train_help"]

_SENTENCE = 76

USUAL = (
    "data.path",
    "run.dir",
    "run.resume",
    "seed",
    "encoder.model",
    "encoder.kind",
    "objective.name",
    "negatives.mode",
    "training.epochs",
    "training.batch_size",
    "training.learning_rate",
    "validation.metric",
)
SECTIONS = {
    "data": "data set and text fields",
    "encoder": "model, towers, lengths",
    "objective": "loss, scale, further terms",
    "distillation": "teachers' probabilities in place of labels",
    "scoring": "how scores are computed, and in how much memory",
    "negatives": "labels of a step: all, drawn, mined, remembered, clustered",
    "training": "epochs, batches, optimiser, precision, checkpoints",
    "residuals": "a learned vector for each label",
    "head": "a label table that is trained itself",
    "validation": "rows held out, and the metric that chooses the model",
    "run": "folder, resume, log, trackers",
}


def train_help(arguments: Sequence[str], parser: jsonargparse.ArgumentParser) -> str | None:
    """The help that the arguments ask for, or None where they ask for none.

    ``--help`` is a screen, ``--help all`` (or ``--help-all``) every key, ``--help.SECTION`` one section's.

    Raises:
        ConfigError: For an unknown section.
    """
    words = list(arguments)
    if "--help-all" in words:
        return parser.format_help()
    for place, word in enumerate(words):
        if word in ("-h", "--help"):
            return parser.format_help() if words[place + 1 : place + 2] == ["all"] else _short(parser)
        if word.startswith("--help."):
            return _section(word.removeprefix("--help."), parser)
    return None


def _short(parser: jsonargparse.ArgumentParser) -> str:
    keys = _keys(parser)
    width = max(len(name) for name in USUAL) + 4
    usual = "\n".join(f"  --{name:<{width}} {_first_sentence(keys[name])}" for name in USUAL)
    counts = {name: sum(key.startswith(f"{name}.") for key in keys) for name in SECTIONS}
    sections = "\n".join(
        f"  --help.{name:<11} {counts[name]:>3} keys: {text}" for name, text in SECTIONS.items()
    )
    return f"""usage: xmc train RECIPE [MORE ...] [--section.key value ...]

Train a dual encoder. Every key of a recipe is an option too. Later recipes win over earlier ones,
options over all. A recipe is a YAML file, or the name of a shipped one (xmc recipes).
Several processes: accelerate launch scripts/train.py RECIPE [--section.key value ...]

options that are used most:
{usual}
  --{"seeds 0,1,2":<{width}} Train with each, into RUN.DIR/seed-0, ...; finished ones are left
  --{"profile N":<{width}} Instead of training, run N steps and say where their time goes

more, by section (--help all shows every key):
{sections}

{parser.epilog}

exit codes: 0 done, 2 something to mend, 3 another process of the run failed; saved and to be gone on with by
--run.resume true: 130 after Ctrl-C (SIGINT), 143 after SIGTERM"""


def _section(name: str, parser: jsonargparse.ArgumentParser) -> str:
    from xmc.training.config import TrainConfig

    if name not in SECTIONS:
        near = nearest(name, SECTIONS)
        hint = f"did you mean --help.{near}?" if near else f"expected one of {', '.join(SECTIONS)}"
        raise ConfigError(f"unknown section --help.{name}: {hint}")
    alone = make_parser(
        "train",
        f"The keys of {name}: {SECTIONS[name]}.",
        f"xmc train RECIPE.yaml --{next(key for key in _keys(parser) if key.startswith(f'{name}.'))} VALUE",
        usage="xmc train RECIPE [MORE ...] [--section.key value ...]",
    )
    alone.add_class_arguments(typing.get_type_hints(TrainConfig)[name], name)
    return alone.format_help().rstrip()


def _keys(parser: jsonargparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The action of each key of a recipe; a section itself is none."""
    named = {action.option_strings[0][2:]: action for action in parser._actions if action.option_strings}
    return {name: action for name, action in named.items() if name not in SECTIONS and "help" not in name}


def _first_sentence(action: argparse.Action) -> str:
    text = " ".join(str(action.help or "").split())
    for end in (". ", ": ", "; ", " ("):
        text = text.partition(end)[0]
    short = textwrap.shorten(text.rstrip("."), _SENTENCE, placeholder="…")
    return short or "of all random numbers of a run"
