from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tests.heads.dense import LOSSES, DenseHead, draw_batch, draw_table, value_of
from tests.largest import LargestTensor
from xmc.errors import ConfigError
from xmc.heads import factor, factored_step, plain_table
from xmc.heads.errors import IllConditionedError
from xmc.heads.state import table_moments
from xmc.scoring import as_positives


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("sizes", "decay"),
    [
        pytest.param((7,), 0.0, marks=pytest.mark.slow),
        pytest.param((7,), 1e-2, marks=pytest.mark.slow),
        pytest.param((24,), 1e-2, marks=pytest.mark.slow),
        ((7, 24), 1e-2),  # fewer rows than components, and more, in turn
    ],
    ids=["narrow", "narrow-decay", "wide-decay", "both-decay"],
)
@pytest.mark.parametrize("decoupled", [False, True], ids=["plain", "decoupled"])
@pytest.mark.parametrize(("name", "options", "lr"), LOSSES, ids=[name for name, _, _ in LOSSES])
def test_a_hundred_steps_are_those_of_autograd_and_sgd(name, options, lr, decoupled, sizes, decay):
    options = {**options, "decoupled": decoupled}
    table = draw_table(40, 12)
    dense, state = DenseHead(table, name, options, decay), factor(table.clone())
    value = value_of(name, **options)
    for number in range(100):
        num_rows = sizes[number % len(sizes)]
        queries, positives = draw_batch(num_rows, 40, 12, number, weighted=number % 4 > 1)
        loss, gradient = dense.step(queries, positives, lr)
        step = factored_step(state, queries, positives, value, lr, decay)
        state = step.state
        assert abs(float(step.loss - loss)) <= 1e-10 * max(1.0, abs(float(loss)))
        assert relative(step.gradient, gradient) < 1e-10
    moved = dense.table.detach()
    assert relative(moved, table) > 1e-2, "the steps did something"
    assert relative(plain_table(state), moved) < 1e-10
    mean, scatter = table_moments(state)
    assert relative(state.mean, mean) < 1e-10 and relative(state.scatter, scatter) < 1e-9


@pytest.mark.parametrize("num_rows", [7, 24], ids=["narrow", "wide"])
@pytest.mark.parametrize("decoupled", [False, True], ids=["plain", "decoupled"])
@pytest.mark.parametrize(("name", "options", "lr"), LOSSES, ids=[name for name, _, _ in LOSSES])
def test_masked_pairs_are_neither_positives_nor_negatives(name, options, lr, decoupled, num_rows):
    options = {**options, "decoupled": decoupled}
    table = draw_table(40, 12)
    dense, state = DenseHead(table, name, options), factor(table.clone())
    ignoring = factor(table.clone())
    for number in range(10):
        queries, positives = draw_batch(num_rows, 40, 12, number, weighted=number % 2 == 1)
        free = positives.toarray() == 0
        masked = sp.csr_matrix(free & (np.random.default_rng(number).random(free.shape) < 0.2))
        loss, gradient = dense.step(queries, positives, lr, masked)
        step = factored_step(state, queries, positives, value_of(name, **options), lr, masked=masked)
        state = step.state
        assert abs(float(step.loss - loss)) <= 1e-10 * max(1.0, abs(float(loss)))
        assert relative(step.gradient, gradient) < 1e-10
        ignoring = factored_step(ignoring, queries, positives, value_of(name, **options), lr).state
    assert relative(plain_table(state), dense.table.detach()) < 1e-10
    assert relative(plain_table(ignoring), dense.table.detach()) > 1e-4


def test_a_step_that_multiplies_the_table_out_is_the_same_step():
    value = value_of("spherical_z_loss")
    table = draw_table(40, 12)
    for num_rows in (7, 24):
        state = factored_step(factor(table.clone()), *draw_batch(num_rows, 40, 12, 0), value, 1.0).state
        copy = replace(state, factor=state.factor.clone())
        batch = draw_batch(num_rows, 40, 12, 1)
        plain = factored_step(state, *batch, value, 1.0, 1e-2)
        folded = factored_step(copy, *batch, value, 1.0, 1e-2, fold=True)
        assert relative(plain_table(folded.state), plain_table(plain.state)) < 1e-12
        assert relative(folded.state.scatter, plain.state.scatter) < 1e-12
        assert relative(folded.gradient, plain.gradient) < 1e-12
        assert folded.state.condition == pytest.approx(1.0)


def test_a_step_whose_rate_makes_it_singular_is_exact_when_it_multiplies_the_table_out():
    """Squared error with one query of length 1: 1 - lr A has a zero at lr = 1/2."""
    table = draw_table(10, 4)
    queries, positives = torch.eye(4, dtype=torch.float64)[:1], [[3]]
    value = value_of("mean_squared_error")
    state = factor(table.clone())
    with pytest.raises(IllConditionedError, match="condition of at most"):
        factored_step(state, queries, positives, value, 0.5)
    assert torch.equal(plain_table(state), table), "a refused step leaves the table alone"
    dense = DenseHead(table, "mean_squared_error", {})
    dense.step(queries, positives, 0.5)
    folded = factored_step(state, queries, positives, value, 0.5, fold=True).state
    assert relative(plain_table(folded), dense.table.detach()) < 1e-14


@pytest.mark.parametrize("num_rows", [6, 20])
def test_nothing_of_queries_by_labels_is_made(num_rows):
    table = draw_table(3000, 8)
    queries, positives = draw_batch(num_rows, 3000, 8, 0)
    state, value = factor(table), value_of("spherical_z_loss", decoupled=True)
    pairs = as_positives(positives, num_rows, 3000)
    with LargestTensor(ignored=table.shape) as seen:
        factored_step(state, queries, pairs, value, 0.1, 1e-4)
    assert 0 < seen.elements <= 8 * len(pairs), "the largest is a vector a pair"


def test_rows_without_positives_and_batches_without_any():
    table = draw_table(9, 4)
    value = value_of("spherical_z_loss", decoupled=True)
    queries = draw_table(3, 4, 1)
    some = factored_step(factor(table.clone()), queries, [[1], [], list(range(9))], value, 0.1)
    assert torch.isfinite(some.gradient).all() and (some.gradient[1:] == 0).all()
    none = factored_step(factor(table.clone()), queries, [[], [], []], value, 0.1)
    assert none.loss == 0 and torch.equal(plain_table(none.state), table)


def test_what_does_not_fit_is_refused():
    value = value_of("spherical_z_loss")
    state = factor(draw_table(9, 4))
    with pytest.raises(ConfigError, match=r"queries \[B, 4\]"):
        factored_step(state, torch.zeros(2, 3), [[0], [1]], value, 0.1)
    with pytest.raises(ConfigError, match="lr x decay below 1"):
        factored_step(state, torch.zeros(2, 4), [[0], [1]], value, 2.0, 0.5)
    with pytest.raises(ConfigError, match="float32 or float64"):
        factor(torch.zeros(3, 2, dtype=torch.float16))
