from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from xmc.cli.config import load_train_config
from xmc.cli.main import main
from xmc.errors import ConfigError
from xmc.recipes import find_recipe, shipped_recipes

ROOT = Path(__file__).resolve().parents[2]
Capture = pytest.CaptureFixture[str]


def test_a_recipe_is_found_by_name_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_train_config(["debian-related-30k", "--seed", "3"])
    assert (config.data.path, config.seed, config.encoder.tied) == ("data/debian-related-30k", 3, False)
    assert load_train_config(["debian-related-30k/static", "--seed", "3"]) == config
    assert load_train_config(["debian-related-30k/factored"]).head.kind == "factored"
    (tmp_path / "more.yaml").write_text("training: {epochs: 2}\n", encoding="utf-8")
    both = load_train_config(["api-docs", "more.yaml", "--run.dir", "elsewhere"])
    assert (both.training.epochs, both.training.batch_size, both.run.dir) == (2.0, 512, "elsewhere")
    (tmp_path / "api-docs").mkdir()
    assert load_train_config(["api-docs"]).seed == 0
    (tmp_path / "debian-related-30k").write_text("run: {dir: r}\ndata: {path: mine}\n", encoding="utf-8")
    assert load_train_config(["debian-related-30k"]).data.path == "mine", "one's own file goes first"


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="debian-related: expected a YAML recipe.*'debian-related-30k'"):
        load_train_config(["debian-related"])
    with pytest.raises(ConfigError, match="xmc recipes lists them"):
        load_train_config(["nope.yaml"])
    assert find_recipe("static") is None and find_recipe("../recipes/api-docs/static.yaml") is None


def test_list_show_and_copy(tmp_path: Path, capsys: Capture) -> None:
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines if line[0] != " "} == {
        "name",
        *(recipe.name for recipe in shipped_recipes()),
    }
    assert lines[1].startswith("api-docs") and "data/api-docs" in lines[1] and "The demo" in lines[1]
    assert max(map(len, lines)) <= 110
    assert main(["recipes", "show", "api-docs"]) == 0
    shown = capsys.readouterr().out
    mine = tmp_path / "mine.yaml"
    assert main(["recipes", "copy", "api-docs", str(mine)]) == 0
    assert mine.read_text(encoding="utf-8") == shown and "batch_size: 512" in shown
    assert load_train_config([str(mine)]) == load_train_config(["api-docs"])
    assert main(["recipes", "copy", "debian-related-30k", str(mine)]) == 2
    assert "is there already" in capsys.readouterr().err and mine.read_text(encoding="utf-8") == shown
    assert main(["recipes", "show", "api-doc"]) == 2
    assert "did you mean 'api-docs'?" in capsys.readouterr().err
    assert main(["recipes", "shwo"]) == 2
    assert "did you mean 'show'?" in capsys.readouterr().err


def test_every_recipe_says_what_it_is() -> None:
    for recipe in shipped_recipes():
        assert recipe.summary and recipe.dataset.startswith("data/"), recipe.name
        assert f"xmc train {recipe.name}\n" in recipe.text, "its comment has the command that trains it"


def test_the_build_takes_every_recipe_along() -> None:
    package_data = re.search(r"^xmc = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert package_data is not None
    patterns = re.findall(r'"(.+?)"', package_data[1])
    for recipe in shipped_recipes():
        place = str(recipe.path.relative_to(ROOT / "xmc"))
        assert any(fnmatch.fnmatch(place, pattern) for pattern in patterns), place


@pytest.mark.slow
def test_the_wheel_holds_the_recipes_and_finds_them(tmp_path: Path) -> None:
    source, place = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "xmc", source / "xmc", ignore=shutil.ignore_patterns("__pycache__"))
    build = "import setuptools.build_meta as b; print(b.build_wheel('.'))"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
        held = {name for name in archive.namelist() if name.endswith(".yaml")}
    assert held == {str(recipe.path.relative_to(ROOT)) for recipe in shipped_recipes()}
    code = (
        f"import sys; sys.path.insert(0, {str(place)!r}); import xmc; from xmc.cli.main import main; "
        "print(xmc.__file__); sys.exit(main(['recipes']))"
    )
    shown = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    assert shown.startswith(str(place)) and all(recipe.name in shown for recipe in shipped_recipes())
