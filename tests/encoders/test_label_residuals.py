from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from xmc.encoders import LabelResiduals, add_residuals
from xmc.errors import ModelError

TABLE = np.array([[0.5, 0.0], [0.0, -0.5]], dtype=np.float32)


def residuals() -> LabelResiduals:
    return LabelResiduals(["a", "b", "c"], np.array([1, 0, 1]), TABLE)


def test_a_sum_keeps_the_length_of_the_encoded_text() -> None:
    labels = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    joined = add_residuals(labels, torch.tensor([[1.0, 3.0], [0.0, 0.0]]))
    torch.testing.assert_close(joined, torch.tensor([[3 * 0.8, 3 * 0.6], [0.0, 1.0]]))


def test_a_zero_vector_stays_finite() -> None:
    # A label without a known token has a zero embedding.
    joined = add_residuals(torch.zeros(1, 2), torch.zeros(1, 2))
    assert torch.equal(joined, torch.zeros(1, 2))


@pytest.mark.parametrize("rows", [None, [4, 0, 2]])
def test_its_gradients_are_those_of_autograd(rows: list[int] | None) -> None:
    drawn = torch.Generator().manual_seed(0)
    labels, residuals = (torch.randn(n, 3, generator=drawn, dtype=torch.float64) for n in (5, 5))
    labels[1] *= 7
    chosen = None if rows is None else torch.tensor(rows)
    residuals = residuals if rows is None else residuals[rows]
    given = labels.clone().requires_grad_(), residuals.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, r: add_residuals(x, r, chosen), given)
    # What is said of it, step by step.
    total = labels + residuals if chosen is None else labels.index_add(0, chosen, residuals)
    expected = total / total.norm(dim=1, keepdim=True) * labels.norm(dim=1, keepdim=True)
    torch.testing.assert_close(add_residuals(labels, residuals, chosen), expected)
    torch.testing.assert_close(labels, given[0].detach())  # what came in is left alone


def test_a_label_without_a_known_token_has_finite_gradients() -> None:
    labels, residuals = torch.zeros(2, 3, requires_grad=True), torch.ones(1, 3, requires_grad=True)
    add_residuals(labels, residuals, torch.tensor([1])).sum().backward()
    assert labels.grad is not None and residuals.grad is not None
    assert torch.isfinite(labels.grad).all() and not residuals.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_joined_in_float32(dtype: torch.dtype) -> None:
    labels = torch.tensor([[4000.0, 0.0], [0.0, 0.0]], dtype=dtype, requires_grad=True)
    residuals = torch.tensor([[0.0, 3000.0], [0.0, 0.0]], dtype=dtype, requires_grad=True)
    joined = add_residuals(labels, residuals)
    assert joined.dtype == dtype and add_residuals(labels, residuals.float()).dtype == torch.float32
    torch.testing.assert_close(
        joined.float(), torch.tensor([[3200.0, 2400.0], [0.0, 0.0]]), rtol=4e-3, atol=0
    )
    joined[:, 1].sum().backward()
    # d/dy of y |x| / |(x, y)| is |x|^3 / |(x, y)|^3.
    assert residuals.grad is not None and residuals.grad[0, 1].item() == pytest.approx(0.512, rel=4e-3)
    assert torch.isfinite(residuals.grad).all() and torch.isfinite(labels.grad).all()


def test_labels_are_found_by_uid() -> None:
    embeddings = np.array([[1, 0], [1, 0], [1, 0]], dtype=np.float32)
    joined = residuals().add_to(embeddings, ["c", "unknown", "b"])
    expected = add_residuals(torch.tensor([[1.0, 0], [1, 0]]), torch.from_numpy(TABLE[[1, 0]])).numpy()
    np.testing.assert_allclose(joined[[0, 2]], expected)
    np.testing.assert_array_equal(joined[1], embeddings[1])
    np.testing.assert_array_equal(embeddings, [[1, 0]] * 3)  # the input is left alone


def test_saved_and_loaded(tmp_path: Path) -> None:
    residuals().save(tmp_path)
    loaded = LabelResiduals.load(tmp_path)
    assert loaded.uids == ["a", "b", "c"]
    np.testing.assert_array_equal(loaded.rows, [1, 0, 1])
    np.testing.assert_array_equal(loaded.table, TABLE)


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="for each of 1 labels"):
        LabelResiduals(["a"], np.array([0, 1]), TABLE)
    with pytest.raises(ModelError, match=r"rows in \[0, 2\), got 0 to 2"):
        LabelResiduals(["a", "b"], np.array([0, 2]), TABLE)
    with pytest.raises(ModelError, match="diverged"):
        LabelResiduals(["a"], np.array([0]), TABLE * np.nan)
    with pytest.raises(ModelError, match="label_residuals.safetensors"):
        LabelResiduals.load(tmp_path)
