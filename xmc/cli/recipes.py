"""``xmc recipes``: the recipes that are shipped, listed, shown and copied."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

from xmc.cli.outputs import check_output_file
from xmc.cli.parser import make_parser, nearest, parse
from xmc.errors import ConfigError
from xmc.files import atomic_file
from xmc.recipes import Recipe, shipped_recipes

__all__ = ["run"]

_WIDTH = 110
_HELP = """usage: xmc recipes [list | show NAME | copy NAME FILE]

The recipes that are shipped: `xmc train NAME` takes one by its name.

commands:
  list  their names, data sets and what they are (also without a command)
  show  print a recipe
  copy  write a recipe to a file of your own

example:
  xmc recipes copy debian-related-30k mine.yaml"""


def run(arguments: Sequence[str]) -> None:
    """Dispatch to ``list``, ``show`` or ``copy``."""
    words = list(arguments)
    verbs = {"list": _list, "show": _show, "copy": _copy}
    if words and words[0] in ("-h", "--help"):
        print(_HELP)
    elif not words:
        _list([])
    elif words[0] in verbs:
        verbs[words[0]](words[1:])
    else:
        near = nearest(words[0], verbs)
        hint = f"did you mean '{near}'?" if near else f"expected one of {', '.join(verbs)}"
        raise ConfigError(f"unknown command 'recipes {words[0]}': {hint}")


def _list(arguments: Sequence[str]) -> None:
    parse(make_parser("recipes list", "The shipped recipes, a line each.", "xmc recipes"), arguments)
    rows = [("name", "data set", "what")]
    rows += [(recipe.name, recipe.dataset, recipe.summary) for recipe in shipped_recipes()]
    widths = [max(len(row[column]) for row in rows) + 2 for column in (0, 1)]
    for name, dataset, summary in rows:
        begin = f"{name:<{widths[0]}}{dataset:<{widths[1]}}"
        print(textwrap.fill(summary, _WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin)))


def _show(arguments: Sequence[str]) -> None:
    parser = make_parser("recipes show", "Print a shipped recipe.", "xmc recipes show api-docs")
    parser.add_argument("name", help="Its name.")
    print(_named(parse(parser, arguments).name).text, end="")


def _copy(arguments: Sequence[str]) -> None:
    parser = make_parser(
        "recipes copy", "Write a shipped recipe to a file of your own.", "xmc recipes copy api-docs mine.yaml"
    )
    parser.add_argument("name", help="Its name.")
    parser.add_argument("file", help="The file to write.")
    parser.add_argument("--overwrite", action="store_true", help="Replace the file when it is there.")
    options = parse(parser, arguments)
    recipe = _named(options.name)
    check_output_file("file", options.file)
    if Path(options.file).exists() and not options.overwrite:
        raise ConfigError(f"{options.file} is there already: choose another file, or give --overwrite")
    with atomic_file(options.file) as temporary:
        shutil.copyfile(recipe.path, temporary)
    print(f"{recipe.name}: {options.file}; train it with `xmc train {options.file}`")


def _named(name: str) -> Recipe:
    recipes = {recipe.name: recipe for recipe in shipped_recipes()}
    if name not in recipes:
        near = nearest(name, recipes)
        hint = f"did you mean '{near}'?" if near else f"shipped are {', '.join(recipes)}"
        raise ConfigError(f"expected a recipe's name, got '{name}': {hint}")
    return recipes[name]
