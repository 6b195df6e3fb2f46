from __future__ import annotations

import pytest
import torch

from xmc.objectives.statistics import label_moments as label_moments_file
from xmc.objectives.statistics.label_moments import label_moments


def anisotropic(num_labels: int, dimension: int, mean_over_spread: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randn(num_labels, dimension, generator=generator, dtype=torch.float64)
    return (labels + mean_over_spread * torch.ones(dimension)).float()


@pytest.mark.parametrize("mean_over_spread", [0.0, 5.0, 64.0, 800.0])
def test_the_variance_of_scores_keeps_float32_accuracy_for_anisotropic_labels(
    mean_over_spread: float,
) -> None:
    labels = anisotropic(20_000, 32, mean_over_spread)
    query = torch.ones(32, dtype=torch.float64)
    total, _, scatter = label_moments(labels, None, None)
    found = query @ scatter[:-1, :-1] @ query / total
    exact = (labels.double() @ query).var(correction=0)
    assert abs(found / exact - 1) < 1e-6
    if mean_over_spread == 800.0:
        about_zero = query.float() @ (labels.T @ labels) @ query.float() / 20_000
        naive = about_zero - (labels.mean(0) @ query.float()).square()
        assert abs(naive / exact - 1) > 1e-2, "the Gram matrix about the origin would not do"


def test_gradients_in_float64_with_weights_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_moments_file, "BLOCK_ELEMENTS", 8)
    generator = torch.Generator().manual_seed(1)
    labels, offsets, weights = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((7, 3), (7,), (7,))
    )
    weights = weights.exp()
    inputs = labels.requires_grad_(), offsets.requires_grad_()
    assert torch.autograd.gradcheck(lambda e, b: label_moments(e, b, weights)[1:], inputs)
    extended = torch.cat([labels, offsets[:, None]], 1)
    total, mean, scatter = label_moments(labels, offsets, weights)
    torch.testing.assert_close(mean, weights @ extended / weights.sum())
    centred = extended - mean
    torch.testing.assert_close(scatter, centred.T @ (weights[:, None] * centred))
    torch.testing.assert_close(total, weights.sum())


def test_the_label_gradient_is_affine_in_the_label() -> None:
    labels = torch.randn(9, 3, dtype=torch.float64)
    labels[2] = (labels[0] + labels[1]) / 2
    leaf = labels.requires_grad_()
    _, mean, scatter = label_moments(leaf, None, None)
    (mean.sum() + (scatter * torch.randn(4, 4, dtype=torch.float64)).sum()).backward()
    torch.testing.assert_close(leaf.grad[2], (leaf.grad[0] + leaf.grad[1]) / 2)


def test_a_shard_without_labels_has_moments_of_zero() -> None:
    labels = torch.zeros(0, 3, requires_grad=True)
    total, mean, scatter = label_moments(labels, None, None)
    assert total == 0 and (mean == 0).all() and (scatter == 0).all()
    (mean.sum() + scatter.sum()).backward()
    assert labels.grad.shape == (0, 3)
