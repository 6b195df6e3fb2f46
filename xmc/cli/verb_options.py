"""Options of a verb that are texts, whole numbers and flags: the standard library reads what is plain.

jsonargparse takes a tenth of a second or more to import, of the second that a search takes. So it reads only
what the standard library refuses, or might read otherwise; it says what is wrong, and shows the help.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

__all__ = ["VerbOptions"]

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_TEXT = re.compile(r"[A-Za-z0-9_./ -]*[A-Za-z][A-Za-z0-9_./ -]*")
_WORDS_OF_YAML = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
"""And of its forms of numbers such as .inf, 1e5 and 0x1f, which `_text` leaves to jsonargparse as well."""


class VerbOptions:
    """The arguments of ``xmc COMMAND``.

    Args:
        command: The verb.
        description: What it does.
        example: A command, at the end of the help.
    """

    def __init__(self, command: str, description: str, example: str) -> None:
        self._about = command, description, example
        self._arguments: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def add_argument(self, *names: str, **given: Any) -> None:
        """As of `argparse.ArgumentParser`; a type may be any that jsonargparse reads."""
        self._arguments.append((names, given))

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The values of the arguments.

        Raises:
            ConfigError: As `xmc.cli.parser.parse`.
        """
        try:
            return self._plain().parse_args(list(arguments))
        except _NotPlain:
            from xmc.cli.parser import make_parser, parse

            whole = make_parser(*self._about)
            for names, given in self._arguments:
                whole.add_argument(*names, **given)
            return parse(whole, arguments)

    def _plain(self) -> argparse.ArgumentParser:
        parser = _PlainParser(add_help=False, allow_abbrev=False)
        for names, given in self._arguments:
            kind = given.get("type")
            if kind is not None:
                given = {**given, "type": _whole if kind in (int, int | None) else _readers.get(kind, _other)}
            parser.add_argument(*names, **given)
        return parser


class _NotPlain(Exception):
    """Something that jsonargparse is to read."""


class _PlainParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _NotPlain(message)


def _whole(word: str) -> int:
    if not _WHOLE.fullmatch(word):
        raise _NotPlain(word)
    return int(word)


def _text(word: str) -> str:
    # Where a text or nothing may stand, null is nothing, and what else YAML knows is not for us to say.
    if not _TEXT.fullmatch(word) or word.lower() in _WORDS_OF_YAML or re.match(r"[-.0-9 ]", word):
        raise _NotPlain(word)
    return word


def _other(word: str) -> NoReturn:
    raise _NotPlain(word)


_readers: dict[Any, Any] = {str: str, str | None: _text}
