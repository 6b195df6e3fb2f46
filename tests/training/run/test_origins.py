from __future__ import annotations

import hashlib
from pathlib import Path

from xmc.training.config import TermConfig
from xmc.training.run.origins import origins, references

MINE = """
from functools import partial

def loss(queries, labels, positives):
    return (queries @ labels.T).mean()

bound = partial(loss)
"""


def test_every_reference_is_named_once_with_its_file(config, changed, tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text(MINE, encoding="utf-8")
    own = changed(
        config,
        objective={"name": f"{file}:loss", "terms": [TermConfig(f"{file}:loss"), TermConfig("softmax")]},
        encoder={"builder": "tests.fixtures.words:changed"},
        training={"callbacks": ["<python>:here.Mine"]},
    )
    assert references(own) == [f"{file}:loss", "tests.fixtures.words:changed", "<python>:here.Mine"]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    found = origins(changed(own, encoder={"builder": None}), [("<python>:here.Mine", self_made)])
    assert found[0] == {"name": f"{file}:loss", "file": str(file), "sha256": digest}
    assert found[1]["name"] == "<python>:here.Mine" and found[1]["file"] == str(Path(__file__).resolve())
    assert origins(config) == []


def test_a_package_says_its_version(config):
    [found] = origins(config, [("yaml", __import__("yaml").safe_load)])
    assert found["distribution"].startswith("PyYAML ")


def self_made() -> None:
    """A function of this file."""
