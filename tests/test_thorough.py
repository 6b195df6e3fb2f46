from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.thorough import THOROUGH, is_thorough

FOLDER = Path(__file__).parent


@pytest.mark.parametrize("file", THOROUGH)
def test_what_is_thorough_is_there(file: str) -> None:
    tree = ast.parse((FOLDER / file).read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {name.partition("[")[0] for name in THOROUGH[file]} <= functions


def test_a_function_or_one_of_its_cases_is_named() -> None:
    assert is_thorough("test_readme.py", "test_commands_and_python_run", "test_commands_and_python_run")
    assert is_thorough("fuzz/test_hostile.py", "test_gzip_bomb", "test_gzip_bomb[newlines]")
    assert not is_thorough("fuzz/test_hostile.py", "test_gzip_bomb", "test_gzip_bomb[spaces]")
    assert not is_thorough("test_nothing.py", "test_gzip_bomb", "test_gzip_bomb[newlines]")


def test_ci_runs_the_thorough_ones_too() -> None:
    assert "make thorough" in (FOLDER.parent / ".ci" / "run").read_text(encoding="utf-8")
