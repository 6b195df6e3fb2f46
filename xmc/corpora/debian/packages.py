"""Packages out of package lists: their texts, what they refer to, and which of them to leave out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xmc.corpora.debian.control import long_text, read_stanzas, related_packages
from xmc.corpora.debian.lists import open_list
from xmc.errors import DataError

__all__ = ["RELATIONS", "Package", "is_left_out", "link_packages", "read_packages"]

RELATIONS = ("depends", "recommends", "suggests", "enhances")
"""The fields whose packages a package refers to."""

_FIELDS = ("package", "source", "section", "description", "description-md5", "tag", "maintainer")

# Sections of shared libraries, and of what nobody chooses by its topic.
_SECTIONS = frozenset(
    {"debug", "kernel", "libs", "localization", "metapackages", "oldlibs", "tasks", "translations"}
)
_SYNOPSIS = re.compile(
    r"\b(?:transitional|meta[- ]?packages?|debug(?:ging)? symbols)\b|\bdummy package\b", re.I
)
_NAME = re.compile(r"-dbg(?:sym)?$|^linux-(?:image|headers|modules)-|-l10n(?:-|$)|^language-pack-")


@dataclass(frozen=True)
class Package:
    """A binary package."""

    name: str
    source: str
    section: str
    """Without the archive's component: "libs" for "universe/libs"."""
    synopsis: str
    description: str
    """The long one, on one line; empty where no list has it."""
    related: tuple[str, ...]
    """Names of the packages it refers to, as written, itself left out."""
    tags: tuple[str, ...] = ()
    """Such as ``role::program``, in order."""
    maintainer: str = ""
    """The name, without an address."""


def read_packages(paths: Iterable[Path]) -> list[Package]:
    """The packages of some lists, in order of name; where lists share a package, the first list's.

    Apt keeps long descriptions apart, in lists called ``Translation-en``; they are found by their MD5 sum.

    Raises:
        DataError: Naming the file, and the line or package, that is no package list.
    """
    stanzas: dict[str, dict[str, str]] = {}
    translations: dict[str, str] = {}
    for path in paths:
        with open_list(path) as lines:
            for stanza in read_stanzas(lines, str(path)):
                if "description-en" in stanza:
                    translations.setdefault(stanza.get("description-md5", ""), stanza["description-en"])
                elif "package" in stanza:
                    stanzas.setdefault(stanza["package"], _kept(stanza, path))
                else:
                    found = ", ".join(list(stanza)[:5])
                    raise DataError(f"{path}: expected the field Package in every stanza, got only {found}")
    return [_package(stanzas[name], translations) for name in sorted(stanzas)]


def is_left_out(package: Package) -> bool:
    """Whether a package is none that people look for, by its section, its synopsis or its name.

    That is a shared library, a transitional package, a metapackage, debugging symbols, a kernel or a
    localisation.
    """
    return (
        package.section in _SECTIONS
        or _SYNOPSIS.search(package.synopsis) is not None
        or _NAME.search(package.name) is not None
    )


def link_packages(packages: Sequence[Package]) -> list[list[int]]:
    """For every package the positions of those it refers to, ascending; others' names are left out."""
    position = {package.name: i for i, package in enumerate(packages)}
    return [sorted(position[name] for name in package.related if name in position) for package in packages]


def _kept(stanza: Mapping[str, str], path: Path) -> dict[str, str]:
    """The fields of a stanza that count; most of a list's size is in the others."""
    wanted = (*_FIELDS, *RELATIONS)
    for name in RELATIONS:
        try:
            related_packages(stanza.get(name, ""))
        except ValueError as error:
            raise DataError(
                f"{path}: package {stanza['package']}: expected names of packages in {name}, got {error}"
            ) from error
    return {name: stanza[name] for name in wanted if name in stanza}


def _package(stanza: Mapping[str, str], translations: Mapping[str, str]) -> Package:
    name = stanza["package"]
    description = stanza.get("description", "")
    if "\n" not in description:
        description = translations.get(stanza.get("description-md5", "-"), description)
    synopsis, text = long_text(description)
    related = [other for field in RELATIONS for other in related_packages(stanza.get(field, ""))]
    return Package(
        name=name,
        source=stanza.get("source", name).partition(" ")[0],
        section=stanza.get("section", "").rpartition("/")[2],
        synopsis=synopsis,
        description=text,
        related=tuple(other for other in dict.fromkeys(related) if other != name),
        tags=_tags(stanza.get("tag", "")),
        maintainer=stanza.get("maintainer", "").partition("<")[0].strip(' "'),
    )


def _tags(field: str) -> tuple[str, ...]:
    """The tags of a field such as ``role::program, use::{editing, viewing}``, in order."""
    found: list[str] = []
    # Tags of one facet may share its name: facet::{one, other}.
    for whole, shared, several in re.findall(r"(([^\s,{}]+::)(?:\{([^}]*)\}|[^\s,{}]+))", field):
        found += [shared + tag for tag in re.split(r"[,\s]+", several) if tag] if several else [whole]
    return tuple(dict.fromkeys(found))
