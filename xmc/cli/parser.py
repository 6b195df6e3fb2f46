"""The one parser library of all verbs, with errors that fit a line and name the nearest valid word."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import re
import typing
import warnings
from collections.abc import Sequence
from typing import Any

import jsonargparse

from xmc.cli.nearest import nearest
from xmc.errors import ConfigError

__all__ = ["explain", "help_options", "make_parser", "nearest", "parse"]


class _Help(jsonargparse.DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of descriptions and examples; as wide as those are, whatever the terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=106)  # type: ignore[no-untyped-call]


def make_parser(
    command: str, description: str, example: str, usage: str | None = None
) -> jsonargparse.ArgumentParser:
    """A parser of ``xmc COMMAND`` whose help ends with an example."""
    return jsonargparse.ArgumentParser(
        prog=f"xmc {command}",
        usage=usage,
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=_Help,
        exit_on_error=False,
        allow_abbrev=False,
    )


def parse(parser: jsonargparse.ArgumentParser, arguments: Sequence[str]) -> jsonargparse.Namespace:
    """Parse ``arguments``.

    Raises:
        ConfigError: For an unknown option, a missing argument or a value of the wrong type, in one line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parser.parse_args(_lists_in_brackets(arguments, parser))
    except argparse.ArgumentError as error:
        raise ConfigError(
            f"{explain(str(error), parser)} ({parser.prog} --help shows what it takes)"
        ) from None


def _lists_in_brackets(arguments: Sequence[str], parser: jsonargparse.ArgumentParser) -> list[str]:
    """The arguments with ``1,3,5`` as ``[1,3,5]`` where an option takes a list."""
    takes_list = {
        option
        for action in parser._actions
        for option in action.option_strings
        if action.nargs is None and _is_list(getattr(action, "_typehint", None))
    }
    words: list[str] = []
    for word in arguments:
        name, equals, value = word.partition("=")
        if equals and name in takes_list:
            words.append(f"{name}={_bracketed(value)}")
        elif words and words[-1] in takes_list:
            words.append(_bracketed(word))
        else:
            words.append(word)
    return words


def _is_list(hint: Any) -> bool:
    """Whether a type is a list, or one beside others."""
    return typing.get_origin(hint) is list or any(_is_list(part) for part in typing.get_args(hint))


def _bracketed(value: str) -> str:
    text = value.strip()
    return value if text.startswith(("[", "--")) or text in ("null", "None", "") else f"[{value}]"


def help_options(parser: jsonargparse.ArgumentParser) -> list[str]:
    """Every long option of ``parser`` in its order, without the dashes: ``training.batch_size``."""
    return [
        option[2:]
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--")
    ]


def explain(message: str, parser: jsonargparse.ArgumentParser) -> str:
    """An error of the parser in one line, with the nearest valid word."""
    if unknown := re.search(r"unrecognized arguments: (\S+)", message, re.IGNORECASE):
        return _unknown_argument(unknown[1], parser)
    key = re.search(r'Parser key "([^"]+)"', message)
    if key and (part := re.search(r"given class_path '([\w.]+)':\s*(.+)", message)):
        if wrong := _wrong_key(part[1], part[2]):
            return f"{key[1]}: {wrong}"
    if missing := re.search(r"following arguments are required: (.+)", message):
        names = [n if n.startswith("-") or "." not in n else f"--{n}" for n in missing[1].split(", ")]
        return f"{' and '.join(names)} must be given"
    if choice := re.search(r"argument (\S+): invalid choice: (.+?) \(choose from (.+)\)", message):
        choices = choice[3].replace("'", "")
        return f"{choice[1]}: expected one of {choices}, got {choice[2]}"
    if key:
        return _wrong_value(key[1], message)
    return _one_line(message)


def _unknown_argument(word: str, parser: jsonargparse.ArgumentParser) -> str:
    if not word.startswith("-"):
        return f"unexpected argument '{word}'"
    option = word.partition("=")[0]
    near = nearest(option.lstrip("-"), help_options(parser))
    return f"unknown option {option}" + (f": did you mean --{near}?" if near else "")


def _wrong_key(class_path: str, said: str) -> str | None:
    """What is wrong with the keys of a mapping that is to become an object of the class, or None."""
    if missing := re.match(r"the following arguments are required: (.+)", said):
        return f"{missing[1]} must be given"
    if unknown := re.match(r"Option '(.+)' is not accepted", said):
        module, _, name = class_path.rpartition(".")
        known = [field.name for field in dataclasses.fields(getattr(importlib.import_module(module), name))]
        near = nearest(unknown[1], known)
        hint = f"did you mean '{near}'?" if near else f"expected some of {', '.join(known)}"
        return f"no option '{unknown[1]}': {hint}"
    return None


def _wrong_value(key: str, message: str) -> str:
    """``scale: expected float, got 'much'`` out of a message of several lines."""
    expected = re.search(r"Subtypes: [\[(](.*)[\])]", message) or re.search(
        r"Expected an? (.+?)\. Got", message
    )
    got = re.search(r"(?:Got|Given) value: (.*)", message)
    if not_a_mapping := re.search(r"Not a valid subclass of \w+\. Got value: (.*)", message):
        return f"{key}: expected a mapping of keys, got '{not_a_mapping[1]}'"
    if not (expected and got):
        return _one_line(message)
    words = (
        re.sub(r"<class '(\w+)'>", r"\1", expected[1])
        .replace("typing.Literal", "one of ")
        .replace("NoneType", "null")
    )
    return f"{key}: expected {words.replace(', null', ' or null')}, got '{got[1]}'"


def _one_line(message: str) -> str:
    return " ".join(message.split())
