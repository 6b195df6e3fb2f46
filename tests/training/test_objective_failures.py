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
from xmc.training.objective_failures import raise_named, with_named_failures

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

class Back(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores):
        return scores.sum(1)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.nothing_of_that_name

def backward_fails(queries, labels, positives):
    return Back.apply(queries @ labels.T)

class Whole:
    facts = ObjectiveFacts("whole")

    def __call__(self, inputs, reduction="mean"):
        return inputs.queries.nothing_of_that_name
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    return tmp_path / "own.py"


def fail(config: ObjectiveConfig, *, backward: bool = False) -> None:
    batch = make_batch(4, 9)
    loss = with_named_failures(configured_objective(config), config)
    assert loss.facts.name
    value = loss(ScoreInputs(batch.queries.requires_grad_(), batch.labels, batch.positives))
    if backward:
        try:
            value.backward()
        except Exception as error:
            raise_named(loss, error)
            raise


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


def test_a_failure_of_the_backward_pass_is_told_likewise(file: Path) -> None:
    with pytest.raises(ConfigError) as error:
        fail(ObjectiveConfig(f"{file}:backward_fails"), backward=True)
    line = 1 + OWN.splitlines().index("        return gradient.nothing_of_that_name")
    assert f"objective.name: {file}:backward_fails failed at {file}:{line}: AttributeE" in str(error.value)
    # It enters no function by its name: with two of one file either may be what it is of.
    terms = [TermConfig(f"{file}:fine"), TermConfig(f"{file}:backward_fails")]
    told = (
        f"^objective.terms: {file}:fine or objective.terms: {file}:backward_fails failed at {file}:{line}: "
    )
    with pytest.raises(ConfigError, match=told):
        fail(ObjectiveConfig("softmax", terms=terms), backward=True)


def test_an_error_of_the_package_in_a_backward_pass_is_none_of_the_users(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr("xmc.objectives.plain.torch.Tensor.backward", broken)
    with pytest.raises(KeyError, match="a fault"):
        fail(ObjectiveConfig(f"{file}:fine"), backward=True)


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
