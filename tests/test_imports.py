"""The rooms of docs/architecture.md stand on each other in its order: no import goes up, none in a circle.

Every import counts: those within functions, and those for type checkers alone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SUB_ROOMS = (
    "batches",
    "learned",
    "run",
    "callbacks",
)  # of xmc.training; their configuration is its own ground


def rooms_of(page: str) -> list[str]:
    """The packages of the table, ground floor first."""
    return re.findall(r"^\| `(xmc\.\w+)` \|", page, re.MULTILINE)


def ground_of(page: str) -> set[str]:
    """The modules that every room may import."""
    sentence = re.search(r"\(and from ([^)]*)\)", page)
    assert sentence, "expected the modules that every room may import, in brackets after 'and from'"
    return set(re.findall(r"`(xmc\.\w+)`", sentence.group(1)))


def read_modules() -> dict[str, ast.Module]:
    """The syntax trees of the package, by module; a package is its ``__init__``."""
    found = {}
    for path in sorted((ROOT / "xmc").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def imported(tree: ast.AST, known: Mapping[str, object]) -> Iterator[str]:
    """The modules of ours that a file imports: the submodule, where that is what an imported name is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "xmc")
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: expected absolute imports alone"
            if node.module and node.module.split(".")[0] == "xmc":
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    if inner in known:
                        yield inner
                    elif inner != "xmc.__version__":
                        yield node.module


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    return read_modules()


@pytest.fixture(scope="module")
def imports(modules: dict[str, ast.Module]) -> dict[str, set[str]]:
    return {name: set(imported(tree, modules)) - {name} for name, tree in modules.items()}


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def going_up(imports: Mapping[str, set[str]], rooms: list[str], ground: set[str]) -> list[str]:
    """Imports of a room that stands above the importer's; the front door ``xmc`` stands above all."""
    floor = {room: level for level, room in enumerate([*rooms, "xmc.__main__", "xmc"])}
    floor.update(dict.fromkeys(ground, -1))
    return [
        f"{module} imports {other}"
        for module, others in imports.items()
        for other in sorted(others)
        if room_of(other) != room_of(module)
        # The front door is opened by commands and by nothing else.
        and not (other == "xmc" and room_of(module) in ("xmc.cli", "xmc.__main__"))
        and floor[room_of(other)] > floor[room_of(module)]
    ]


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """A circle of imports, or an empty list."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return [str(module) for module in error.args[1]]
    return []


def test_the_page_names_every_room_and_nothing_else(modules: dict[str, ast.Module]) -> None:
    rooms, ground = rooms_of(PAGE), ground_of(PAGE)
    packages = {room_of(name) for name in modules} - {"xmc", "xmc.__main__"}
    assert sorted([*rooms, *ground]) == sorted(packages)
    assert rooms[-1] == "xmc.cli" and rooms.index("xmc.bench") > rooms.index("xmc.training")
    assert rooms.index("xmc.reports") < rooms.index("xmc.training"), "reports import nothing of training"


def test_no_import_goes_up(imports: dict[str, set[str]]) -> None:
    assert going_up(imports, rooms_of(PAGE), ground_of(PAGE)) == []


def test_no_files_import_each_other(imports: dict[str, set[str]]) -> None:
    assert circle(imports) == []


def test_the_rooms_of_training_do_not_import_each_other(imports: dict[str, set[str]]) -> None:
    def sub_room(module: str) -> str:
        parts = module.split(".")
        inside = parts[:2] == ["xmc", "training"] and len(parts) > 2 and parts[-1] != "config"
        return parts[2] if inside and parts[2] in SUB_ROOMS else ""

    found: dict[str, set[str]] = {room: set() for room in SUB_ROOMS}
    for module, others in imports.items():
        if sub_room(module):
            found[sub_room(module)] |= {sub_room(other) for other in others} - {"", sub_room(module)}
    assert any(found.values()) and circle(found) == []


def test_nothing_outside_the_package_is_imported_by_it(modules: dict[str, ast.Module]) -> None:
    outside = ("tests", "benchmarks", "scripts", "examples")
    for name, tree in modules.items():
        for node in ast.walk(tree):
            given = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            given += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [module for module in given if module.split(".")[0] in outside], name


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("import xmc.high", True),
        ("def f():\n    from xmc.high.part import name", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from xmc import high", True),
        ("from xmc import Trainer", True),
        ("from xmc.low.other import name\nfrom xmc.errors import XMCError", False),
        ("from xmc import __version__\nimport numpy", False),
    ],
)
def test_an_import_that_goes_up_is_seen(source: str, bad: bool) -> None:
    known = {"xmc": None, "xmc.high": None, "xmc.high.part": None, "xmc.low.other": None, "xmc.errors": None}
    imports = {"xmc.low.one": set(imported(ast.parse(source), known))}
    assert bool(going_up(imports, ["xmc.low", "xmc.high"], {"xmc.errors"})) == bad


def test_a_circle_is_seen() -> None:
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}
    assert circle({"a": {"b"}, "b": set()}) == []
