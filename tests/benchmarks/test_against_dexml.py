"""benchmarks/against_dexml.py: runs differ in what they are to, and what is there is not run again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import against_dexml
from benchmarks.against_dexml import GROUPS, METHODS
from benchmarks.methods import configured
from benchmarks.methods_list import Method
from xmc.data import Dataset
from xmc.training.objective import configured_objective


def config_of(name: str) -> Any:
    return configured(METHODS[name], "debian-related-30k", Path("data"), Path("run"), [], [])


@pytest.fixture(scope="module")
def configs() -> dict[str, Any]:
    return {name: config_of(name) for name in METHODS}


def test_every_method_is_one_that_the_recipe_takes(configs: dict[str, Any]) -> None:
    for config in configs.values():
        configured_objective(config.objective, None, seed=0)
    assert len({method.title for method in METHODS.values()}) == len(METHODS)


def test_where_formulas_are_alike_nothing_but_the_objective_differs(configs: dict[str, Any]) -> None:
    first, *others = [configs[name] for name in GROUPS["formulas alike"]]
    for other in others:
        alike = replace(other.objective, name=first.objective.name, options=first.objective.options)
        assert other != first and replace(other, objective=alike) == first
    assert first.negatives.mode == "all" and not first.objective.label_offsets


def test_all_defaults_are_those_that_are_taken_one_at_a_time(configs: dict[str, Any]) -> None:
    plain, every = configs["dexml-decoupled"], configs["dexml-decoupled-default"]
    changed = {}
    for name in GROUPS["one default at a time"]:
        one = configs[name]
        for section in ("encoder", "training"):
            options = vars(getattr(one, section))
            new = {
                key: value for key, value in options.items() if value != vars(getattr(plain, section))[key]
            }
            changed |= {(section, key): value for key, value in new.items()}
        assert (
            one != plain and replace(one, encoder=plain.encoder, training=plain.training).data == plain.data
        )
    for section in ("encoder", "training"):
        options = vars(getattr(every, section))
        changes = {
            key: value for key, value in options.items() if value != vars(getattr(plain, section))[key]
        }
        assert changes == {key: value for (of, key), value in changed.items() if of == section}


@pytest.fixture
def recipe(static_model: Path, tmp_path: Path) -> str:
    """Batches of 40 rows, and two towers with dropout."""
    sections = {
        "data": {"path": "data"},
        "run": {"dir": "run"},
        "encoder": {"model": str(static_model), "kind": "static", "tied": False, "dropout": 0.1},
        "training": {"batch_size": 40, "learning_rate": 0.1},
    }
    path = tmp_path / "words.yaml"
    path.write_text(json.dumps(sections), encoding="utf-8")
    return str(path)


def test_both_are_trained_alike_and_measured(dataset: Dataset, recipe: str, tmp_path: Path) -> None:
    found = {
        name: against_dexml.measure(METHODS[name], recipe, dataset.path, tmp_path, [], 4, 0)
        for name in ("xmc-top-5", "dexml-top-5", "one-positive")
    }
    ours, theirs, other = found.values()
    assert ours["test"] == theirs["test"] != other["test"]
    for record in found.values():
        assert 0 < record["step_seconds"] < 60 and json.dumps(record)
        assert record["growth_bytes"] is None or record["growth_bytes"] >= 0
    assert not (tmp_path / "run").exists()


def test_memory_is_counted_from_the_first_step_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(against_dexml, "mark_resident", lambda: 100)
    monkeypatch.setattr(against_dexml, "peak_resident", lambda: 130)
    memory = against_dexml.PeakMemory()
    for step in range(2):
        memory.before_step(SimpleNamespace(step=step, num_steps=2))
        memory.after_step(SimpleNamespace(step=step + 1, num_steps=2), None)
        assert memory.growth == (None if step == 0 else 30)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Runs that are not made: (title, seed) of each."""
    made: list[tuple[str, int]] = []

    def measure(method: Method, recipe: str, data: Path, out: Path, given: Any, steps: int, seed: int) -> Any:
        made.append((method.title, seed))
        numbers = dict.fromkeys(against_dexml.COLUMNS, 50.0 + seed)
        return {"step_seconds": 0.25, "growth_bytes": 3 * 2**20, "test": numbers}

    monkeypatch.setattr(against_dexml, "measure", measure)
    return made


def test_what_is_there_is_not_made_again_and_the_table_has_it(
    measured: list[tuple[str, int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["api-docs", "data", "--steps", "8", "--out", str(tmp_path), "--seeds", "0,1"]
    words += ["--methods", "xmc-recipe,dexml-decoupled"]
    assert against_dexml.main(words) == 0 and len(measured) == 4
    first = capsys.readouterr().out
    assert against_dexml.main(words) == 0 and len(measured) == 4 and capsys.readouterr().out == first
    groups, rows = [line for line in first.splitlines() if "**" in line], first.splitlines()
    assert [group.split("**")[1] for group in groups] == ["formulas alike", "all defaults"]
    assert rows[-1] == "| xmc, the recipe | 2 | " + "50.50 ± 0.71 | " * 4 + "250 | 3 |"
    with pytest.raises(SystemExit, match="another folder"):
        against_dexml.main([*words, "--training.batch_size", "32"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "8", "--methods", "xmc"], "expected some of xmc-decoupled"),
        (["--steps", "2"], "expected more than the 2"),
    ],
)
def test_wrong_words_are_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        against_dexml.main(["api-docs", "data", "--out", str(tmp_path), *words])
    assert message in capsys.readouterr().err


def test_a_draw_of_labels_is_made_once(dataset: Dataset, tmp_path: Path) -> None:
    folder = against_dexml.fewer_labels(dataset.path, tmp_path / "few", 10)
    few = Dataset.load(folder)
    assert few.num_labels == 10 and set(few.uids("labels")) < set(dataset.uids("labels"))
    assert against_dexml.fewer_labels(dataset.path, folder, 10) == folder
    with pytest.raises(SystemExit, match="fewer than the 40"):
        against_dexml.fewer_labels(dataset.path, tmp_path / "all", 40)


def test_a_cut_transformer_is_its_first_layers(
    words_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import SentenceTransformer

    monkeypatch.setattr(against_dexml, "resolve_model", lambda name: words_bert)
    folder = against_dexml.cut_transformer(tmp_path / "cut", 1)
    assert against_dexml.cut_transformer(folder, 1) == folder
    whole, cut = (SentenceTransformer(str(path), device="cpu") for path in (words_bert, folder))
    tokens = cut.tokenize(["query1 query2"])
    layers = whole[0].auto_model(**tokens, output_hidden_states=True).hidden_states
    torch.testing.assert_close(cut[0].auto_model(**tokens).last_hidden_state, layers[1])
