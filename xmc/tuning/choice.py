"""An option of a recipe that was chosen, with the reason; and a recipe made of such."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xmc.errors import ConfigError
from xmc.files import atomic_file
from xmc.received import read_json, reading
from xmc.training import TrainConfig
from xmc.typed import from_plain

__all__ = ["Choice", "read_choices", "with_options", "write_choices"]


@dataclass(frozen=True)
class Choice:
    """The value of an option, and why."""

    option: str
    """By its dotted name in a recipe."""
    value: Any
    reason: str

    def __str__(self) -> str:
        """A line for a terminal."""
        return f"{self.option} = {self.value}: {self.reason}"


def write_choices(path: Path, choices: Sequence[Choice]) -> None:
    """Write choices and reasons as JSON, in order."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps([asdict(choice) for choice in choices], indent=2), encoding="utf-8")


def read_choices(path: Path) -> list[Choice] | None:
    """What :func:`write_choices` wrote; None where there is no file.

    Raises:
        DataError: When it is something else.
    """
    if not path.is_file():
        return None
    with reading(path, "the choices of xmc fit"):
        return [from_plain(Choice, values) for values in read_json(path)]


def with_options(config: TrainConfig, options: Mapping[str, Any]) -> TrainConfig:
    """The configuration with some options changed, by their dotted names.

    Raises:
        ConfigError: For a name that no option has, and for what the configuration refuses.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        section, _, rest = name.partition(".")
        sections.setdefault(section, {})[rest] = value
    # All of a section at once: an option may only be right together with another.
    return dataclasses.replace(
        config, **{name: _replaced(config, name, inner) for name, inner in sections.items()}
    )


def _replaced(owner: Any, name: str, inner: Mapping[str, Any]) -> Any:
    names = {field.name for field in dataclasses.fields(owner)}
    if name not in names:
        raise ConfigError(f"expected an option of a recipe, got {name}: one of {', '.join(sorted(names))}")
    if "" in inner:
        return inner[""]
    part = getattr(owner, name)
    deeper: dict[str, dict[str, Any]] = {}
    for rest, value in inner.items():
        head, _, tail = rest.partition(".")
        deeper.setdefault(head, {})[tail] = value
    return dataclasses.replace(
        part, **{head: _replaced(part, head, values) for head, values in deeper.items()}
    )
