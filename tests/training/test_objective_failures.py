from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.objectives.batches import make_batch
from xmc.errors import ConfigError, NonFiniteError
from xmc.objectives import build_objective
from xmc.scoring import ScoreInputs
from xmc.training.config import ObjectiveConfig, TermConfig
from xmc.training.objective import configured_objective
from xmc.training.objective_failures import with_named_failures

OWN = """
import torch
from xmc.errors import NonFiniteError
from xmc.objectives.catalogue import ObjectiveFacts

def first(queries, labels, positives):
    return below(queries)

def second(queries, labels, positives):
    return below(queries)

def below(queries):
    raise ValueError("two\\nlines")

def fine(queries, labels, positives):
    return (queries @ labels.T).mean()

def full(queries, labels, positives):
    raise torch.OutOfMemoryError("no room")

def infinite(queries, labels, positives):
    raise NonFiniteError("told already")

class Whole:
    facts = ObjectiveFacts("whole")

    def __call__(self, inputs, reduction="mean"):
        return inputs.queries.nothing_of_that_name
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    return tmp_path / "own.py"


def fail(config: ObjectiveConfig) -> None:
    batch = make_batch(4, 9)
    loss = with_named_failures(configured_objective(config), config)
    assert loss.facts.name
    loss(ScoreInputs(batch.queries, batch.labels, batch.positives))


def test_the_function_the_line_and_the_error_are_told(file: Path) -> None:
    with pytest.raises(ConfigError) as error:
        fail(ObjectiveConfig(f"{file}:first"))
    line = 1 + OWN.splitlines().index('    raise ValueError("two\\nlines")')
    assert str(error.value) == f"objective.name: {file}:first failed at {file}:{line}: ValueError: two lines"
    assert isinstance(error.value.__cause__, ValueError)
    with pytest.raises(ConfigError) as error:
        fail(ObjectiveConfig(f"{file}:Whole"))
    line = len(OWN.splitlines())
    assert str(error.value).startswith(f"objective.name: {file}:Whole failed at {file}:{line}: AttributeErr")


def test_of_two_in_a_file_the_one_that_was_entered_is_told(file: Path) -> None:
    with pytest.raises(ConfigError, match=f"^objective.terms: {file}:second failed"):
        fail(ObjectiveConfig("softmax", terms=[TermConfig(f"{file}:fine"), TermConfig(f"{file}:second")]))


def test_memory_and_errors_that_say_enough_pass_through(file: Path) -> None:
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        fail(ObjectiveConfig(f"{file}:full"))
    with pytest.raises(NonFiniteError, match="^told already$"):
        fail(ObjectiveConfig(f"{file}:infinite"))


def test_an_error_of_the_package_is_none_of_the_users(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, inputs: ScoreInputs, reduction: str = "mean") -> None:
        raise KeyError("a fault")

    monkeypatch.setattr("xmc.objectives.terms.WeightedTerms.__call__", broken)
    with pytest.raises(KeyError, match="a fault"):
        fail(ObjectiveConfig("softmax", terms=[TermConfig(f"{file}:first")]))


def test_what_is_not_the_users_is_left_as_it_is() -> None:
    loss = build_objective("softmax")
    assert with_named_failures(loss, ObjectiveConfig("softmax")) is loss
