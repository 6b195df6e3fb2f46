"""With the real Annif, which pins its libraries so that few environments of ours have it.

Its `eval` asks the network for a tokenizer's data, so that it is no part of a test.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECTS = """\
[dense]
name=Dense
language=en
backend=xmc
analyzer=simple
vocab=fruit
limit=3
training.epochs=8
"""


@pytest.mark.slow
def test_annif_trains_and_suggests(tmp_path: Path) -> None:
    pytest.importorskip("annif", reason="Annif is not installed here")
    fruit = ["apples", "pears", "plums", "cherries", "grapes", "melons"]
    (tmp_path / "vocabulary.tsv").write_text(
        "".join(f"<http://x.org/{i}>\t{name}\n" for i, name in enumerate(fruit))
    )
    rows = [
        f"A text about {name}, number {n}\t<http://x.org/{i}>\n"
        for n in range(20)
        for i, name in enumerate(fruit)
    ]
    (tmp_path / "train.tsv").write_text("".join(rows))
    (tmp_path / "projects.cfg").write_text(PROJECTS)

    def annif(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "xmc.integrations.annif", *words]
        return subprocess.run(command, cwd=tmp_path, input=text, capture_output=True, text=True)

    assert annif("load-vocab", "fruit", "vocabulary.tsv", "--language", "en").returncode == 0
    untrained = annif("suggest", "dense", text="plums")
    assert untrained.returncode != 0 and "not trained" in untrained.stdout + untrained.stderr
    for words in (("train.tsv",), ("--cached",)):
        trained = annif("train", "dense", *words)
        assert trained.returncode == 0, trained.stderr
    place = tmp_path / "data" / "projects" / "dense"
    assert [path.name for path in place.glob("xmc-model-*")] == ["xmc-model-2"], "the one before is gone"
    found = annif("suggest", "dense", text="Something about plums").stdout.splitlines()
    assert found[0].startswith("<http://x.org/2>\tplums\t") and len(found) <= 3
    assert all(0 < float(line.rpartition("\t")[2]) <= 1 for line in found)
