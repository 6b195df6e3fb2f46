from __future__ import annotations

from pathlib import Path

import pytest

from xmc.errors import DataError
from xmc.reports.run_facts import RunFacts, peculiarities, read_run


def test_an_ordinary_run_has_none() -> None:
    assert (
        peculiarities(
            "a", RunFacts(result={"changes": [], "plugins": [], "skipped_steps": 0, "stopped": None})
        )
        == []
    )
    assert peculiarities("a", RunFacts()) == []


def test_what_a_configuration_does_not_say_is_told() -> None:
    result = {
        "changes": [{"step": 7, "changes": {"training.learning_rate": [0.1, 0.02]}}],
        "plugins": [{"name": "./mine.py:loss", "sha256": "0"}],
        "skipped_steps": 3,
        "stopped": "no better nDCG@5",
    }
    told = peculiarities("a", RunFacts(result=result))
    assert told == [
        "a was resumed with another configuration after step 7: training.learning_rate 0.1 to 0.02.",
        "a used code of its own: ./mine.py:loss.",
        "a skipped 3 steps, which were not finite.",
        "a ended before its last step: no better nDCG@5.",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("result.json", "[]"),
        ("result.json", "[" * 100_000),
        ("result.json", '{"changes": 3}'),
        ("result.json", '{"changes": [{"step": 1, "changes": {"a": 1}}]}'),
        ("result.json", '{"plugins": ["mine"]}'),
        ("result.json", '{"num_steps": "many"}'),
        ("result.json", '{"seconds": NaN}'),
        ("config.yaml", "3"),
        ("config.yaml", "a: 2024-99-99"),
        ("config.yaml", "\xff"),
        ("machine.json", '{"cpu": 3}'),
        ("machine.json", "{"),
        ("metrics.jsonl", '{"step": "x"}\n{"step": 1}\n'),
        ("metrics.jsonl", "[" * 100_000 + "\n{}\n"),
    ],
)
def test_a_damaged_file_of_a_run_is_named(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    assert read_run(tmp_path).config == {"seed": 1}
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=f"{tmp_path.name}.*: expected"):
        read_run(tmp_path)
