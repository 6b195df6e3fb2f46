"""The Python of ``docs/extending.md``, run as it stands, and its commands on files with its blocks."""

from __future__ import annotations

import json
import re
import shlex
import traceback
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml

from tests.fixtures.libraries import sbert, text_modules
from tests.fixtures.tiny_models import tiny_tokenizer
from xmc.cli.main import main
from xmc.plugins import load_object

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
SECTIONS = re.split(r"^##+ (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
BLOCKS = {
    name: blocks
    for name, text in zip(SECTIONS[::2], SECTIONS[1::2], strict=True)
    if (blocks := re.findall(r"```python\n(.*?)```", text, re.DOTALL))
}
FILES = {
    found[1]: block
    for blocks in BLOCKS.values()
    for block in blocks
    if (found := re.match(r"# (my_\w+\.py)\n", block))
}
COMMANDS = {
    name: re.findall(r"^xmc (train my-recipe\.yaml .+)$", text, re.MULTILINE)
    for name, text in zip(SECTIONS[::2], SECTIONS[1::2], strict=True)
}


def failure(block: str, section: str) -> str:
    """How a block of the page ends that fails, as where an ``assert`` of its own is false; else ""."""
    try:
        exec(compile(block, f"{PAGE.name}: {section}", "exec"), {"__name__": section})
    except Exception:
        return traceback.format_exc()
    return ""


@pytest.mark.parametrize("section", BLOCKS)
def test_the_examples_run(section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer()
    weights = torch.randn(tokenizer.get_vocab_size(), 8)
    model = sbert.SentenceTransformer(
        modules=[text_modules.StaticEmbedding(tokenizer, embedding_weights=weights)],
        device="cpu",
    )
    model.save(str(tmp_path / "my-model"))
    monkeypatch.chdir(tmp_path)
    failures = [failure(block, section) for block in BLOCKS[section]]
    assert failures == [""] * len(BLOCKS[section]), "\n".join(failures)


def test_every_heading_of_the_contents_is_there() -> None:
    listed = re.findall(r"\[([^\]]+?)\]\(#", PAGE.read_text(encoding="utf-8").partition("## ")[0])
    assert listed and set(listed) <= set(SECTIONS[::2])


@pytest.fixture
def place(config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's files and a recipe of the words data set."""
    for name, block in FILES.items():
        (tmp_path / name).write_text(block, encoding="utf-8")
    own = replace(
        config,
        encoder=replace(config.encoder, dropout=0.0),
        objective=replace(config.objective, label_offsets=False),
        training=replace(config.training, epochs=8),
    )
    (tmp_path / "my-recipe.yaml").write_text(yaml.safe_dump(asdict(own)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("section", [name for name, commands in COMMANDS.items() if commands])
def test_the_commands_train(section: str, place: Path, dataset) -> None:
    [command] = COMMANDS[section]
    assert main(shlex.split(command)) in (None, 0)
    result = json.loads((place / "run" / "result.json").read_text(encoding="utf-8"))
    # Guessing gives 7.5: three of forty labels are right.
    assert result["validation"]["P@1"] > 15
    [plugin] = result["plugins"]
    assert Path(plugin["file"]).parent == place and len(plugin["sha256"]) == 64
    model = sbert.SentenceTransformer(str(place / "run" / "model"), device="cpu")
    assert model.encode_query(["query1"]).shape == model.encode_document(["label1"]).shape


def test_a_callback_stops_and_logs(place: Path) -> None:
    [command] = COMMANDS["A callback"]
    main(shlex.split(command))
    assert json.loads((place / "run" / "result.json").read_text())["stopped"].startswith("P@1 of ")
    assert "mean_loss" in (place / "run" / "metrics.jsonl").read_text()


def test_it_trains_from_python(place: Path, config) -> None:
    result = load_object("./my_training.py:main")(config)
    assert result.num_steps == 28 and len(result.plugins) == 2
    recipe = yaml.safe_load((place / "run" / "config.yaml").read_text())
    assert recipe["objective"]["name"] == "<python>:soft_top_k"
    (place / "run" / "config.yaml").rename(place / "again.yaml")
    assert main(["train", "again.yaml", "--run.overwrite", "true"]) == 2
