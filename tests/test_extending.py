"""The Python of ``docs/extending.md``, run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from tests.fixtures.tiny_models import tiny_tokenizer

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
SECTIONS = re.split(r"^##+ (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
BLOCKS = {
    name: blocks
    for name, text in zip(SECTIONS[::2], SECTIONS[1::2], strict=True)
    if (blocks := re.findall(r"```python\n(.*?)```", text, re.DOTALL))
}


@pytest.mark.parametrize("section", BLOCKS)
def test_the_examples_run(section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = tiny_tokenizer()
    weights = torch.randn(tokenizer.get_vocab_size(), 8)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")
    model.save(str(tmp_path / "my-model"))
    monkeypatch.chdir(tmp_path)
    for block in BLOCKS[section]:
        exec(compile(block, f"{PAGE.name}: {section}", "exec"), {})


def test_every_heading_of_the_contents_is_there() -> None:
    listed = re.findall(r"^- \[(.+?)\]\(#", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed and set(listed) <= set(SECTIONS[::2])
