"""The table of public data sets that recipes are for."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from xmc.errors import ConfigError

__all__ = ["Place", "PublicSet", "find_public_set", "public_sets"]


@dataclass(frozen=True)
class Place:
    """Where files of a data set are.

    Attributes:
        kind: "file" is fetched; "page" has to be opened in a browser.
        url: Of it.
        about: What is there, and what is known of whether it still is.
        name: Of a file, in the folder it is put in.
        sha256: Of a file, where it is known.
    """

    kind: Literal["file", "page"]
    url: str
    about: str
    name: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class PublicSet:
    """A public data set.

    Attributes:
        name: As it is published.
        about: What leads to what.
        num_train, num_test, num_labels: Rows and labels.
        labels_per_row: Mean of the training rows.
        licence: As far as it is known.
        places: Where it is to be had.
        prepare: The command that makes a prepared data set of what was fetched to ``{folder}``.
        recipe: The shipped recipe for it.
    """

    name: str
    about: str
    num_train: int
    num_test: int
    num_labels: int
    labels_per_row: float
    licence: str
    places: tuple[Place, ...]
    prepare: str
    recipe: str

    def command(self, folder: str) -> str:
        """What to run once the files are in ``folder``."""
        return self.prepare.replace("{folder}", folder)


@cache
def public_sets() -> tuple[PublicSet, ...]:
    """All of the table."""
    text = resources.files("xmc.data.public").joinpath("sets.json").read_text(encoding="utf-8")
    return tuple(_set(row) for row in json.loads(text)["sets"])


def find_public_set(name: str) -> PublicSet:
    """The data set of that name, in any case.

    Raises:
        ConfigError: For another name, with the nearest.
    """
    known = {one.name.casefold(): one for one in public_sets()}
    if name.casefold() not in known:
        near = difflib.get_close_matches(name.casefold(), known, n=1)
        names = ", ".join(one.name for one in public_sets())
        hint = f"did you mean '{known[near[0]].name}'?" if near else f"known are {names}"
        raise ConfigError(f"expected the name of a public data set, got '{name}': {hint}")
    return known[name.casefold()]


def _set(row: dict[str, Any]) -> PublicSet:
    return PublicSet(**{**row, "places": tuple(Place(**place) for place in row["places"])})
