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
_HELP = """usage: xmc recipes [list | show NAME | copy NAME FILE | cost NAME]

The recipes that are shipped: `xmc train NAME` takes one by its name.

commands:
  list  their names, data sets and what they are (also without a command)
  show  print a recipe
  copy  write a recipe to a file of your own
  cost  what training by it costs on paper, from counts alone

example:
  xmc recipes copy debian-related-30k mine.yaml"""


def run(arguments: Sequence[str]) -> None:
    """Dispatch to ``list``, ``show``, ``copy`` or ``cost``."""
    words = list(arguments)
    verbs = {"list": _list, "show": _show, "copy": _copy, "cost": _cost}
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


def _cost(arguments: Sequence[str]) -> None:
    from xmc.bench.recipe_cost import DataCounts, cost_table
    from xmc.cli.config import load_train_config
    from xmc.data.public import public_sets
    from xmc.evaluation.published import published_results
    from xmc.objectives import build_objective

    parser = make_parser(
        "recipes cost",
        "A dry run: read a recipe, build its objective, and say what training costs on paper, at 40 % of an\n"
        "H100's peaks, from the counts of its public data set or of yours. Nothing is loaded or run.\n"
        "Keys of the recipe are options as in xmc train.",
        "xmc recipes cost lf-amazontitles-1.3m/distilbert --cards 1,8",
        usage="xmc recipes cost NAME [--cards 1,8] [--rows N --labels L --labels_per_row K] [--KEY value]",
    )
    parser.add_argument("name", help="A shipped recipe, or a file.")
    parser.add_argument("--cards", type=list[int], default=[1, 8], help="Numbers of cards (default: 1,8).")
    parser.add_argument("--rows", type=int, default=None, help="Training rows.")
    parser.add_argument("--labels", type=int, default=None, help="Labels.")
    parser.add_argument("--labels_per_row", type=float, default=None, help="Mean of the training rows.")
    own = ("--cards", "--rows", "--labels", "--labels_per_row", "-h", "--help")
    mine, keys = list(arguments[:1]), list[str]()
    for place, word in enumerate(arguments[1:], 1):
        name = word.partition("=")[0]
        is_own = name in own or (not word.startswith("--") and arguments[place - 1] in own)
        (mine if is_own else keys).append(word)
    options = parse(parser, mine)
    config = load_train_config([options.name, *keys])
    # Recipes of one data set share the folder, as lf-amazontitles-1.3m/lora and /distilbert.
    folder = options.name.partition("/")[0]
    known = next((one for one in public_sets() if one.recipe.partition("/")[0] == folder), None)
    given = [options.rows, options.labels, options.labels_per_row]
    if known is not None:
        sizes = (known.num_train, known.num_test, known.num_labels)
        told = (known.num_train, known.num_labels, known.labels_per_row)
        given = [value if value is not None else fact for value, fact in zip(given, told, strict=True)]
    if None in given:
        raise ConfigError(
            f"--rows, --labels, --labels_per_row: expected all three, as {options.name} is for no "
            "public data set"
        )
    build_objective(config.objective.name, config.objective.options)
    counts = DataCounts(*given)
    print(
        f"{options.name}: {counts.rows:,} rows, {counts.labels:,} labels, {counts.labels_per_row:g} a row\n"
    )
    print(cost_table(config, counts, options.cards))
    if known is not None and (results := published_results(known.name, sizes=sizes)):
        print("\npublished (percent):")
        for result in results[:5]:
            metrics = ", ".join(f"{name} {value:g}" for name, value in result.metrics.items())
            print(f"  {result.system}: {metrics}")


def _named(name: str) -> Recipe:
    recipes = {recipe.name: recipe for recipe in shipped_recipes()}
    if name not in recipes:
        near = nearest(name, recipes)
        hint = f"did you mean '{near}'?" if near else f"shipped are {', '.join(recipes)}"
        raise ConfigError(f"expected a recipe's name, got '{name}': {hint}")
    return recipes[name]
