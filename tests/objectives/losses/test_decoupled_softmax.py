from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.objectives.oracle import LEAVES, Batch, loss_and_gradients, naive_decoupled_softmax, random_batch
from xmc.errors import ConfigError
from xmc.objectives import DecoupledSoftmax, decoupled_softmax

LARGE = 1 << 20
WAYS = [("dense", LARGE), ("tiled", LARGE), ("tiled", 1), ("auto", 1)]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of three labels, so that small batches have many."""
    monkeypatch.setattr("xmc.scoring.tiled.tile_width", lambda *_: 3)


@pytest.mark.parametrize(("implementation", "memory_bytes"), WAYS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("extras", [False, True])
def test_float64_equals_the_naive_loop(
    narrow: None, implementation: str, memory_bytes: int, weighted: bool, extras: bool
) -> None:
    batch = random_batch(weighted=weighted, offsets=extras, log_weights=extras)
    loss, gradients = loss_and_gradients(batch, implementation=implementation, memory_bytes=memory_bytes)
    expected_loss, expected = loss_and_gradients(batch, naive=True)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(gradients, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("memory_bytes", [1, 20_000, 1 << 28])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_float32_tiles_equal_the_float64_oracle(memory_bytes: int, scale: float) -> None:
    batch = random_batch(9, 300, 8, scale=scale, weighted=True)
    batch.queries, batch.labels = F.normalize(batch.queries), F.normalize(batch.labels)
    loss, gradients = loss_and_gradients(batch.to(torch.float32), memory_bytes=memory_bytes)
    expected_loss, expected = loss_and_gradients(batch, implementation="dense")
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected_loss, rtol=1e-5, atol=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient.double(), expected[name], rtol=1e-5, atol=1e-5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    num_rows=st.integers(0, 5),
    num_labels=st.integers(0, 7),
    dimension=st.integers(1, 3),
    width=st.integers(1, 4),
    kept=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_shape_and_tile_width_equals_the_naive_loop(
    monkeypatch: pytest.MonkeyPatch,
    num_rows: int,
    num_labels: int,
    dimension: int,
    width: int,
    kept: bool,
    seed: int,
) -> None:
    monkeypatch.setattr("xmc.scoring.tiled.tile_width", lambda *_: width)
    batch = random_batch(num_rows, num_labels, dimension, seed=seed, weighted=bool(seed % 2))
    expected_loss, expected = loss_and_gradients(batch, naive=True)
    for names in (LEAVES, ("queries", "scale")):  # labels without a gradient take a way of their own
        loss, gradients = loss_and_gradients(batch, names, memory_bytes=LARGE if kept else 1)
        torch.testing.assert_close(loss, expected_loss, rtol=1e-8, atol=1e-8)
        for name, gradient in gradients.items():
            zeros = torch.zeros_like(getattr(batch, name))
            torch.testing.assert_close(gradient, expected.get(name, zeros), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(("implementation", "memory_bytes"), WAYS)
def test_gradcheck(narrow: None, implementation: str, memory_bytes: int) -> None:
    batch = random_batch(4, 7, 3, weighted=True).leaves()
    relevance = sp.csr_matrix(batch.relevance)

    def rows(
        queries: torch.Tensor, labels: torch.Tensor, scale: torch.Tensor, offsets: torch.Tensor
    ) -> torch.Tensor:
        return decoupled_softmax(
            queries, labels, relevance, scale=scale, offsets=offsets, log_weights=batch.log_weights,
            reduction="none", implementation=implementation, memory_bytes=memory_bytes,
        )  # fmt: skip

    assert torch.autograd.gradcheck(rows, (batch.queries, batch.labels, batch.scale, batch.offsets))


@pytest.mark.parametrize("names", [("queries",), ("labels",), ("scale",), ("offsets",), ("queries", "scale")])
@pytest.mark.parametrize("memory_bytes", [1, LARGE])
def test_each_gradient_is_the_same_when_others_are_not_asked_for(
    narrow: None, names: tuple[str, ...], memory_bytes: int
) -> None:
    batch = random_batch()
    _, expected = loss_and_gradients(batch, implementation="dense")
    _, gradients = loss_and_gradients(batch, names, memory_bytes=memory_bytes)
    assert set(gradients) == set(names)
    for name in names:
        torch.testing.assert_close(gradients[name], expected[name])


def test_reductions_are_of_the_row_losses() -> None:
    batch = random_batch()
    relevance = sp.csr_matrix(batch.relevance)
    rows = decoupled_softmax(batch.queries, batch.labels, relevance, **batch.options, reduction="none")
    torch.testing.assert_close(rows, naive_decoupled_softmax(batch), rtol=1e-8, atol=1e-8)
    for reduction, expected in (("sum", rows.sum()), ("mean", rows.mean())):
        loss = decoupled_softmax(batch.queries, batch.labels, relevance, **batch.options, reduction=reduction)
        torch.testing.assert_close(loss, expected)
    with pytest.raises(ConfigError, match="'mean', 'sum' or 'none', got 'avg'"):
        decoupled_softmax(batch.queries, batch.labels, relevance, reduction="avg")  # type: ignore[arg-type]


@pytest.mark.parametrize("implementation", ["dense", "tiled"])
def test_rows_without_positives_and_rows_without_negatives_cost_nothing(implementation: str) -> None:
    queries = torch.randn(3, 2, requires_grad=True)
    labels = torch.randn(4, 2, requires_grad=True)
    rows = decoupled_softmax(
        queries, labels, [[], [0, 1, 2, 3], [1]], reduction="none", implementation=implementation
    )
    assert rows[:2].tolist() == [0.0, 0.0]
    rows.sum().backward()
    assert queries.grad is not None and labels.grad is not None
    assert queries.grad[:2].abs().max() == 0
    assert queries.grad[2].abs().min() > 0
    assert torch.isfinite(labels.grad).all()


@pytest.mark.parametrize("implementation", ["dense", "tiled"])
def test_one_label_alone_costs_nothing(implementation: str) -> None:
    queries, labels = torch.randn(2, 3, requires_grad=True), torch.randn(1, 3)
    loss = decoupled_softmax(queries, labels, [[0], []], implementation=implementation)
    loss.backward()
    assert loss == 0
    assert queries.grad is not None and queries.grad.abs().max() == 0


def test_a_negative_with_the_positive_s_embedding_halves_its_share() -> None:
    queries, labels = torch.tensor([[0.3, -0.2]]), torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    torch.testing.assert_close(decoupled_softmax(queries, labels, [[0]]), torch.tensor(2.0).log())
    assert decoupled_softmax(queries, labels, [[0, 1]]) == 0


@pytest.mark.parametrize(("implementation", "memory_bytes"), WAYS)
def test_scores_of_300_need_no_sentinel(implementation: str, memory_bytes: int) -> None:
    """A mask by a constant such as -100 would win over negatives at -300: a loss of 150 instead of 0."""
    queries = torch.ones(2, 1)
    labels = torch.full((200, 1), -300.0)
    labels[5] = -250.0
    for sign, expected in ((1.0, 0.0), (-1.0, 50.0 + np.log(199))):
        loss = decoupled_softmax(
            queries,
            sign * labels,
            [[5], [5]],
            scale=1.0,
            implementation=implementation,
            memory_bytes=memory_bytes,
        )
        assert loss.item() == pytest.approx(expected, rel=1e-6, abs=1e-15)


def test_one_positive_a_row_is_cross_entropy() -> None:
    batch = random_batch(5, 300, 4, offsets=False, log_weights=False)
    targets = torch.tensor([3, 299, 0, 127, 128])
    loss = decoupled_softmax(
        batch.queries, batch.labels, targets[:, None].tolist(), scale=2.0, memory_bytes=1
    )
    torch.testing.assert_close(loss, F.cross_entropy(2.0 * batch.queries @ batch.labels.T, targets))


def score_gradients(scores: list[float], positives: list[int]) -> torch.Tensor:
    """Of one row's loss by its scores: offsets over a query of zeros are scores."""
    offsets = torch.tensor(scores, dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(len(scores), 1, dtype=torch.float64)
    decoupled_softmax(zeros[:1], zeros, [positives], offsets=offsets).backward()
    assert offsets.grad is not None
    return offsets.grad


def test_score_gradients_of_a_row_sum_to_zero_with_the_right_signs() -> None:
    gradient = score_gradients([0.3, -1.0, 2.0, 0.5, 1.5], [0, 2])
    assert gradient.sum().abs() < 1e-12
    assert (gradient[[0, 2]] < 0).all()
    assert (gradient[[1, 3, 4]] > 0).all()


def test_a_positive_s_gradient_does_not_fall_when_another_positive_is_high() -> None:
    low, high = (score_gradients([0.0, other, 1.0, 0.5], [0, 1])[0] for other in (-3.0, 30.0))
    torch.testing.assert_close(low, high)
    negatives = torch.logsumexp(torch.tensor([1.0, 0.5], dtype=torch.float64), 0)
    torch.testing.assert_close(high, -(1 - torch.sigmoid(-negatives)) / 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("memory_bytes", [1, LARGE])
def test_half_inputs_are_accumulated_in_float32(dtype: torch.dtype, memory_bytes: int) -> None:
    batch = random_batch(6, 300, 64, scale=20.0, log_weights=False)
    half = Batch(
        F.normalize(batch.queries).to(dtype),
        F.normalize(batch.labels).to(dtype),
        batch.relevance,
        batch.scale,
    )
    rounded = half.to(torch.float32)
    for implementation in ("tiled", "dense"):
        loss, gradients = loss_and_gradients(
            half, ("queries", "labels"), implementation=implementation, memory_bytes=memory_bytes
        )
        expected_loss, expected = loss_and_gradients(rounded, ("queries", "labels"))
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected_loss, rtol=1e-6, atol=1e-6)
        _, frozen = loss_and_gradients(half, ("queries",), memory_bytes=memory_bytes)
        for name, gradient in [*gradients.items(), *frozen.items()]:
            assert gradient.dtype == dtype
            torch.testing.assert_close(gradient.float(), expected[name], rtol=2**-8, atol=1e-5)


def test_labels_of_another_type_than_the_queries_are_not_rounded() -> None:
    batch = random_batch(6, 20, 8).to(torch.float32)
    rounded = batch.queries.to(torch.bfloat16)
    expected = decoupled_softmax(rounded.float(), batch.labels, sp.csr_matrix(batch.relevance))
    for implementation in ("tiled", "dense"):
        loss = decoupled_softmax(
            rounded, batch.labels, sp.csr_matrix(batch.relevance), implementation=implementation
        )
        torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("implementation", ["dense", "tiled"])
def test_autocast_around_the_loss_changes_nothing(implementation: str) -> None:
    batch = random_batch(6, 200, 16).to(torch.float32)
    expected_loss, expected = loss_and_gradients(batch)
    batch = batch.leaves()
    with torch.autocast("cpu", torch.bfloat16):
        loss = decoupled_softmax(
            batch.queries,
            batch.labels,
            sp.csr_matrix(batch.relevance),
            **batch.options,
            implementation=implementation,
        )
    loss.backward()
    torch.testing.assert_close(loss.detach(), expected_loss)
    torch.testing.assert_close(batch.gradients(), expected)


@pytest.mark.parametrize("memory_bytes", [1, LARGE])
def test_inputs_are_left_alone_and_backward_can_run_twice(narrow: None, memory_bytes: int) -> None:
    batch = random_batch().leaves()
    relevance = sp.csr_matrix(batch.relevance)
    before = batch.leaves(()), relevance.copy()
    loss = decoupled_softmax(
        batch.queries, batch.labels, relevance, **batch.options, memory_bytes=memory_bytes
    )
    loss.backward(retain_graph=True)
    first = {name: gradient.clone() for name, gradient in batch.gradients().items()}
    loss.backward()
    for name, gradient in batch.gradients().items():
        assert torch.equal(gradient, 2 * first[name])
        assert torch.equal(getattr(batch, name), getattr(before[0], name))
    assert (relevance != before[1]).nnz == 0


def test_changing_an_input_before_backward_is_an_error(narrow: None) -> None:
    for name in ("queries", "labels", "offsets", "log_weights"):
        batch = random_batch().leaves()
        loss = decoupled_softmax(
            batch.queries, batch.labels, sp.csr_matrix(batch.relevance), **batch.options, memory_bytes=1
        )
        with torch.no_grad():
            getattr(batch, name).mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_second_derivatives_are_an_error_of_tiles_and_exact_when_dense() -> None:
    batch = random_batch().leaves()
    relevance = sp.csr_matrix(batch.relevance)
    for implementation in ("tiled", "dense"):
        loss = decoupled_softmax(
            batch.queries, batch.labels, relevance, **batch.options, implementation=implementation
        )
        (gradient,) = torch.autograd.grad(loss, batch.queries, create_graph=True)
        if implementation == "dense":
            gradient.sum().backward()
        else:
            with pytest.raises(RuntimeError, match="once_differentiable"):
                gradient.sum().backward()


def test_layouts_of_inputs_do_not_matter(narrow: None) -> None:
    batch = random_batch()
    strided = replace(
        batch,
        queries=batch.queries.T.contiguous().T,
        labels=batch.labels.repeat_interleave(2, 1)[:, ::2],
        scale=batch.scale.reshape(1),
    )
    loss, gradients = loss_and_gradients(strided, memory_bytes=1)
    expected_loss, expected = loss_and_gradients(batch, implementation="dense")
    torch.testing.assert_close(loss, expected_loss)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient.reshape(expected[name].shape), expected[name])


def test_module_holds_the_scale_fixed_or_learned() -> None:
    batch = random_batch(offsets=False, log_weights=False)
    relevance = sp.csr_matrix(batch.relevance)
    expected = decoupled_softmax(batch.queries, batch.labels, relevance, scale=5.0)
    fixed, learned = DecoupledSoftmax(5.0), DecoupledSoftmax(5.0, learn_scale=True, implementation="dense")
    assert [p for p in fixed.parameters() if p.requires_grad] == []
    for module in (fixed, learned):
        torch.testing.assert_close(
            module(batch.queries, batch.labels, relevance), expected, rtol=1e-5, atol=1e-6
        )
    learned(batch.queries, batch.labels, relevance).backward()
    assert learned.log_scale.grad is not None and learned.log_scale.grad != 0
    offsets = torch.randn(len(batch.labels))
    moved = decoupled_softmax(batch.queries, batch.labels, relevance, scale=5.0, offsets=offsets)
    torch.testing.assert_close(
        fixed(batch.queries, batch.labels, relevance, offsets), moved, rtol=1e-5, atol=1e-6
    )
    with pytest.raises(ConfigError, match="expected a scale above 0.*got 0"):
        DecoupledSoftmax(0.0)
