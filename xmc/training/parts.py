"""Parts of the user's own that a recipe names: where each is, its options, and how it is made. No torch."""

from __future__ import annotations

import difflib
import inspect
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xmc.errors import ConfigError, XMCError
from xmc.plugins import is_reference, load_object

__all__ = ["GIVEN", "PartConfig", "as_parts", "given_name", "make_part", "said", "was_given"]

GIVEN = "<python>"
"""Where a part is that a script handed over: a recipe that names it says so, and cannot make it again."""


@dataclass(frozen=True)
class PartConfig:
    """An object of the user's own."""

    name: str
    """Where its class or the function that makes it is: package.module:name or ./file.py:name."""

    options: dict[str, Any] = field(default_factory=dict)
    """The keywords it is called with."""


def as_parts(option: str, values: Iterable[str | PartConfig | Mapping[str, Any]]) -> list[PartConfig]:
    """The parts that an option names, each as a :class:`PartConfig`.

    Raises:
        ConfigError: For a name that is no reference.
    """
    parts = [_as_part(option, value) for value in values]
    for part in parts:
        check_reference(option, part.name)
    return parts


def _as_part(option: str, value: str | PartConfig | Mapping[str, Any]) -> PartConfig:
    if isinstance(value, PartConfig):
        return value
    if isinstance(value, str):
        return PartConfig(value)
    if "name" not in value or set(value) - {"name", "options"}:
        raise ConfigError(f"{option}: expected {{name, options}}, got {dict(value)}")
    return PartConfig(**value)


def check_reference(option: str, name: str) -> None:
    """Refuse a name that is no reference to code.

    Raises:
        ConfigError: Naming the option and the two forms.
    """
    if not is_reference(name):
        raise ConfigError(f"{option}: expected package.module:name or ./file.py:name, got '{name}'")


def make_part(option: str, part: PartConfig, facts: Mapping[str, object]) -> Any:
    """Call what ``part`` names with its options and with those of ``facts`` that it has arguments for.

    Something that cannot be called is the part itself.

    Args:
        option: Of the recipe, for messages.
        part: What to call, and with what.
        facts: What a run can tell it, by name; an option of the same name wins.

    Raises:
        ConfigError: When there is no such object, it lacks an argument, has no such option, or fails.
    """
    found = load_part(option, part.name)
    if not callable(found):
        if part.options:
            raise ConfigError(
                f"{option}: {part.name} is made already and takes no options, got "
                f"{', '.join(part.options)}: refer to its class, or to a function that makes it"
            )
        return found
    try:
        return found(**_arguments(option, part, found, facts))
    except XMCError:
        raise
    except Exception as error:
        raise ConfigError(f"{option}: {part.name} failed {said(error)}") from error


def load_part(option: str, name: str) -> Any:
    """What a reference names.

    Raises:
        ConfigError: When it cannot be found, or was given by a script.
    """
    if was_given(name):
        raise ConfigError(
            f"{option}: {name.partition(':')[2]} was given by a script, so that this recipe alone does not "
            "find it: run the script, or name it as package.module:name or ./file.py:name"
        )
    try:
        return load_object(name)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error


def _arguments(option: str, part: PartConfig, found: Any, facts: Mapping[str, object]) -> dict[str, object]:
    parameters = inspect.signature(found).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    names = [p.name for p in named]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for name in part.options:
            if name not in names:
                own = [known for known in names if known not in facts]
                near = difflib.get_close_matches(name, own, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(own) or 'none'}"
                raise ConfigError(f"{option}: {part.name} has no option '{name}': {hint}")
    given = {**{name: facts[name] for name in names if name in facts}, **part.options}
    missing = [
        p.name
        for p in parameters
        if p.name not in given and p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if missing:
        known = f" and may ask for {', '.join(facts)}" if facts else ""
        raise ConfigError(
            f"{option}: {part.name} needs {', '.join(missing)}: give it as {{name: {part.name}, options: "
            f"{{{missing[0]}: ...}}}}; it gets its options{known}"
        )
    return given


def given_name(found: object) -> str:
    """The name by which a recipe shows a part that a script handed over."""
    owner = found if inspect.isclass(found) or inspect.isroutine(found) else type(found)
    return f"{GIVEN}:{owner.__module__}.{owner.__qualname__}"


def was_given(name: str) -> bool:
    """Whether a script handed that part over."""
    return name.startswith(f"{GIVEN}:")


def said(error: BaseException) -> str:
    """Where the user's code failed and with what, in a line: ``at mine.py:7: ValueError: too few``."""
    # After the line of ours that called it; what the user's line called in turn says less.
    frames = traceback.extract_tb(error.__traceback__)[1:]
    place = f"at {frames[0].filename}:{frames[0].lineno}: " if frames else "with "
    return f"{place}{type(error).__name__}: {error}".removesuffix(": ")
