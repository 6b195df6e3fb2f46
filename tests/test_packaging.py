"""What an installation promises: dependencies for every import, extras, a quick import, shipped files."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import xmc

ROOT = Path(__file__).resolve().parents[1]
IMPORT_NAMES = {
    "yaml": "pyyaml",
    "huggingface_hub": "huggingface-hub",
    "sentence_transformers": "sentence-transformers",
    "typing_extensions": "typing-extensions",
}
# triton comes with CUDA builds of torch; everything runs without it.
OF_EXTRAS = {"bm25s", "faiss", "jinja2", "matplotlib", "pandas", "sklearn", "model2vec", "peft", "triton"}
OF_EXTRAS |= {"annif", "rdflib"}
OF_EXTRAS |= {"lancedb", "psycopg", "pymilvus", "qdrant_client"}
OF_EXTRAS |= {"fastapi", "prometheus_client", "pydantic", "starlette", "uvicorn"}


def pyproject_lines(table: str) -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return text.split(f"[{table}]\n", 1)[1].split("\n[", 1)[0]


def declared() -> dict[str, Requirement]:
    block = pyproject_lines("project").split("dependencies = [", 1)[1].split("\n]", 1)[0]
    found = [Requirement(line) for line in re.findall(r'^\s*"(.+)",$', block, re.MULTILINE)]
    return {requirement.name: requirement for requirement in found}


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_every_import_is_declared() -> None:
    imported = set().union(*(imports_of(path) for path in (ROOT / "xmc").rglob("*.py")))
    third_party = imported - set(sys.stdlib_module_names) - {"xmc"} - OF_EXTRAS
    assert {IMPORT_NAMES.get(name, name) for name in third_party} - set(declared()) == set()


def test_the_environment_meets_what_is_declared() -> None:
    from importlib import metadata

    for name, requirement in declared().items():
        assert requirement.specifier.contains(metadata.version(name), prereleases=True), name


def test_constraints_fit_the_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert [pin.name for pin in pins] == ["torch"]
    (pin,) = pins[0].specifier
    assert declared()["torch"].specifier.contains(pin.version)


def test_only_one_faiss_extra_is_installed_by_make() -> None:
    extras = re.search(r"^EXTRAS := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert extras is not None and extras[1] == "$(FAISS),demo,distill,lora,report,serve,dev"
    offered = re.findall(r"^(\w+) = \[", pyproject_lines("project.optional-dependencies"), re.MULTILINE)
    engines = {"lancedb", "milvus", "pgvector", "qdrant"}
    others = {"cpu", "gpu", "demo", "distill", "lora", "report", "serve", "docs", "dev", "skos", "slow"}
    assert set(offered) == others | engines


def test_names_are_there_on_first_use() -> None:
    for name in xmc.__all__:
        assert getattr(xmc, name) is not None
    assert set(xmc.__all__) <= set(dir(xmc))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = xmc.nothing


def test_import_is_quick() -> None:
    code = (
        "import sys, xmc; print(sorted({'torch', 'numpy', 'scipy', 'datasets', 'faiss'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "[]\n"


def test_types_and_licence_are_shipped() -> None:
    assert (ROOT / "xmc" / "py.typed").is_file()
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_packages_have_their_init() -> None:
    folders = {path.parent for path in (ROOT / "xmc").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_ci_runs_check_and_test_without_input() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text and "</dev/null" in text
    assert re.findall(r"^make (\w+)$", text, re.MULTILINE) == ["check", "docs", "test", "thorough"]
