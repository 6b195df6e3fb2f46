"""A chosen recipe as a file that a person can read: what differs from the defaults, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from xmc.files import atomic_file
from xmc.tuning.choice import Choice

__all__ = ["write_recipe"]

WIDTH = 110


def write_recipe(path: Path, choices: Sequence[Choice], head: str) -> None:
    """Write the options, each once, under the comment ``head``; a later choice of an option stands."""
    last = {choice.option: choice for choice in choices}
    sections: dict[str, list[Choice]] = {}
    for choice in last.values():
        section, _, _ = choice.option.rpartition(".")
        sections.setdefault(section, []).append(choice)
    lines = [f"# {line}" for line in head.splitlines()]
    for section, own in sections.items():
        if section:
            lines.append(f"{section}:")
        indent = "  " if section else ""
        for choice in own:
            text = f"{indent}{choice.option.rpartition('.')[2]}: {_value(choice.value)}"
            lines.append(f"{text}  # {choice.reason}" if choice.reason else text)
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _value(value: Any) -> str:
    """As YAML writes it in a line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
