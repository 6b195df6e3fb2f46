"""Finds shipped recipes by name: ``FOLDER`` for its usual one, ``FOLDER/OTHER`` for another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from xmc.received import read_yaml

__all__ = ["Recipe", "find_recipe", "shipped_recipes"]

FOLDER = Path(__file__).parent
USUAL = "static"
"""Of a folder's recipes the one that the folder's name alone stands for."""


@dataclass(frozen=True)
class Recipe:
    """A recipe of the package."""

    name: str
    """What ``xmc train`` takes."""
    path: Path

    @property
    def text(self) -> str:
        """The file as it is."""
        return self.path.read_text(encoding="utf-8")

    @property
    def dataset(self) -> str:
        """The folder of the data set it is for."""
        return str(read_yaml(self.path)["data"]["path"])

    @property
    def summary(self) -> str:
        """The first sentence of the comment it begins with."""
        comment = re.match(r"(?:#.*\n)+", self.text)
        words = " ".join(line.lstrip("# ") for line in (comment[0] if comment else "").splitlines())
        return re.split(r"[.;](?: |$)", words, maxsplit=1)[0]


def shipped_recipes() -> list[Recipe]:
    """All of them, by name."""
    found = [Recipe(_name(path), path) for path in FOLDER.glob("*/*.yaml")]
    return sorted(found, key=lambda recipe: recipe.name)


def find_recipe(name: str) -> Path | None:
    """The file of a shipped recipe; None for a name that is none.

    ``FOLDER/static`` is the same as ``FOLDER``.
    """
    names = {recipe.name: recipe.path for recipe in shipped_recipes()}
    return names.get(name.removesuffix(f"/{USUAL}"))


def _name(path: Path) -> str:
    folder = path.parent.name
    return folder if path.stem == USUAL else f"{folder}/{path.stem}"
