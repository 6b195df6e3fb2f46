"""A recipe, YAML file plus dotted overrides, as the frozen dataclasses of a training run."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import jsonargparse

from xmc.cli.parser import explain, help_options, make_parser, nearest, parse
from xmc.errors import ConfigError
from xmc.received import read_yaml, reading
from xmc.recipes import find_recipe, shipped_recipes
from xmc.recipes.shipped import FOLDER

if TYPE_CHECKING:
    from xmc.training.config import TrainConfig

__all__ = ["TrainCommand", "load_train_config", "parse_train", "read_recipe", "train_parser"]

T = TypeVar("T")

_REQUIRED = {"data": {"path": "."}, "run": {"dir": "."}}
"""Keys without a default, which another recipe or an option may give."""


def load_train_config(arguments: Sequence[str]) -> TrainConfig:
    """The configuration of ``xmc train``: ``[RECIPE ...] [--section.key value ...]``, later words win.

    Raises: as `parse_train`.
    """
    return parse_train(arguments).config


class TrainCommand(NamedTuple):
    """What ``xmc train`` was asked for."""

    config: TrainConfig
    profile: int | None
    """Steps to profile instead of training."""
    seeds: list[int] | None
    """Train with each of them instead of ``config.seed``."""


def parse_train(arguments: Sequence[str]) -> TrainCommand:
    """What the words after ``xmc train`` ask for.

    Raises:
        ConfigError: For a missing or malformed file, an unknown key (the text names the nearest valid one), a
            value of the wrong type or one that the configuration refuses.
    """
    from xmc.training.config import TrainConfig

    words = list(arguments)
    parser = train_parser()
    recipes = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
    places = [_place(recipe) for recipe in recipes]
    for place in places:
        _check(place)
    given = [word for place in places for word in ("--config", str(place))]
    values = parse(parser, [*given, *words[len(recipes) :]]).as_dict()
    config = _build(TrainConfig, values)
    if values["deterministic"]:
        training = dataclasses.replace(config.training, deterministic=True)
        config = dataclasses.replace(config, training=training)
    return TrainCommand(config, values["profile"], values["seeds"])


@functools.cache
def train_parser() -> jsonargparse.ArgumentParser:
    """The parser of ``xmc train``, with one option for every key of a recipe; the same one each time."""
    from xmc.training.config import TrainConfig

    parser = make_parser(
        "train",
        "Train a dual encoder. Every key of a recipe is an option too; later recipes win over earlier ones,\n"
        "options over all.\n"
        "A recipe is a YAML file, or the name of a shipped one (xmc recipes).\n"
        "Several processes: accelerate launch scripts/train.py RECIPE [--section.key value ...]",
        "xmc train api-docs --data.path data/api-docs --run.dir runs/first --seed 3",
        usage="xmc train RECIPE [MORE ...] [--section.key value ...]",
    )
    # Without this the help of an option would not show the text under its field.
    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser.add_argument("--config", action="config", help="A recipe, also as a first word.")
    parser.add_argument(
        "--profile",
        type=int | None,
        default=None,
        metavar="N",
        help="Instead of training, run N steps and print where their time and memory go; saves nothing.",
    )
    parser.add_argument(
        "--deterministic", action="store_true", help="The same as --training.deterministic true."
    )
    parser.add_argument(
        "--seeds",
        type=list[int] | None,
        default=None,
        metavar="0,1,2",
        help="Train with each seed, into RUN.DIR/seed-0 and so on; what is finished there is left as it is.",
    )
    parser.add_class_arguments(TrainConfig)
    return parser


def _place(recipe: str) -> Path:
    """The file of a recipe: one of the user's, or a shipped one by its name.

    Raises:
        ConfigError: When it is neither.
    """
    if Path(recipe).is_file():
        return Path(recipe)
    if (shipped := find_recipe(recipe)) is not None:
        return shipped
    names = [found.name for found in shipped_recipes()]
    near = nearest(recipe, names)
    raise ConfigError(
        f"{recipe}: expected a YAML recipe, but there is no such file, nor is it the name of a shipped one"
        + (f": did you mean '{near}'?" if near else " (xmc recipes lists them)")
    )


def read_recipe(name: str) -> dict[str, Any]:
    """The keys that a recipe, a file or a shipped one, gives by dotted name.

    Raises:
        ConfigError: As `parse_train`, for a file that is none or has a key or a value that is wrong.
    """
    parser, path = train_parser(), _place(name)
    _check(path)
    options = [name for name in help_options(parser) if not name.endswith("+")]
    leaves = {name for name in options if not any(other.startswith(f"{name}.") for other in options)}
    return _dotted(read_yaml(path), leaves)


def _check(path: Path) -> None:
    """Refuse what is wrong in a recipe: in one of the user's each time, in a shipped one once a process."""
    if FOLDER in path.parents:
        _check_shipped(path)
    else:
        _check_file(path, train_parser())


@functools.cache
def _check_shipped(path: Path) -> None:
    """As `_check_file`."""
    _check_file(path, train_parser())


def _check_file(path: Path, parser: jsonargparse.ArgumentParser) -> None:
    """Refuse unknown keys before the parser does, which would not name the file or the nearest valid key."""
    with reading(path, "YAML", error=ConfigError):
        content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise ConfigError(
            f"{path}: expected a mapping of sections such as `training:`, got {type(content).__name__}"
        )
    options = [name for name in help_options(parser) if not name.endswith("+")]
    sections = {name.partition(".")[0] for name in options if "." in name}
    keys = [name for name in options if name not in sections]
    leaves = {name for name in options if not any(other.startswith(f"{name}.") for other in options)}
    for key, value in _dotted(content, leaves).items():
        if key in sections and value != {}:
            raise ConfigError(f"{path}: '{key}': expected a section of keys, got {value!r}")
        if key not in options:
            near = nearest(key, keys)
            hint = f": did you mean '{near}'?" if near else " (xmc train --help lists the keys)"
            raise ConfigError(f"{path}: unknown key {key!r}{hint}")
    _check_values(path, content, parser)


def _check_values(path: Path, content: Mapping[Any, Any], parser: jsonargparse.ArgumentParser) -> None:
    """Refuse a value of the wrong type, alone, so that the error names the file it stands in."""
    whole = {name: {**keys, **(content.get(name) or {})} for name, keys in _REQUIRED.items()}
    try:
        parser.parse_object({**content, **whole})
    except jsonargparse.ArgumentError as error:
        raise ConfigError(f"{path}: {explain(str(error), parser)}") from None


def _dotted(content: Mapping[Any, Any], leaves: set[str], prefix: str = "") -> dict[str, Any]:
    """Dotted names and values of a nested mapping.

    An empty section stands for itself, and so does a mapping that is one of the ``leaves``, such as
    ``objective.options``.
    """
    names: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        nested = isinstance(value, Mapping) and value and name not in leaves
        names |= _dotted(value, leaves, f"{name}.") if nested else {name: value}
    return names


def _build(cls: Callable[..., T], values: Mapping[str, Any], prefix: str = "") -> T:
    """A dataclass, nested ones too, from plain values that the parser has already checked.

    Raises:
        ConfigError: For a key without a value, which the parser lets pass whatever its type.
    """
    hints = typing.get_type_hints(cls)
    arguments = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        name, value, kind = f"{prefix}{field.name}", values[field.name], hints[field.name]
        if value is None and kind is not Any and type(None) not in typing.get_args(kind):
            raise ConfigError(f"{name}: expected a value, got null: give one, or leave the key out")
        arguments[field.name] = _value(kind, value, f"{name}.")
    return cls(**arguments)


def _value(kind: Any, value: Any, prefix: str) -> Any:
    """A field's value, with the dataclasses that it is or lists made of their mappings."""
    if dataclasses.is_dataclass(kind):
        return _build(cast(Any, kind), value, prefix) if isinstance(value, Mapping) else value
    if typing.get_origin(kind) is list:
        (inner,) = typing.get_args(kind)
        return [_value(inner, item, prefix) for item in value]
    made = [option for option in typing.get_args(kind) if dataclasses.is_dataclass(option)]
    return _value(made[0], value, prefix) if made else value
