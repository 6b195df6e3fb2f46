"""What a package list says of a package besides its relations: tags, section, maintainer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from xmc.corpora.debian.packages import Package

__all__ = ["FACETS", "facet_labels", "values_of"]

FACETS: dict[str, Callable[[Package], Sequence[str]]] = {
    "tags": lambda package: package.tags,
    "section": lambda package: (package.section,) if package.section else (),
    "maintainer": lambda package: (package.maintainer,) if package.maintainer else (),
}
"""Tags are several a package, of some 600 (debtags); a section is one of some 50; a maintainer one of some
2,000, whose name says nothing of the packages."""


def values_of(packages: Sequence[Package], facet: str) -> tuple[list[str], list[list[int]]]:
    """The values of a facet, in order, and for every package the positions of those it has, ascending."""
    own = [FACETS[facet](package) for package in packages]
    values = sorted({value for some in own for value in some})
    position = {value: i for i, value in enumerate(values)}
    return values, [sorted({position[value] for value in some}) for some in own]


def facet_labels(values: Sequence[str]) -> list[tuple[str, str, str]]:
    """Uid, title and content of each value: ``role::shared-lib`` is the text "role shared lib"."""
    return [(value, " ".join(re.split(r"::|[-\s]+", value)).strip(), "") for value in values]
