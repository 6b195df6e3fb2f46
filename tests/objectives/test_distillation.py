from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.autograd import gradcheck

from xmc.distributed import World
from xmc.errors import ConfigError
from xmc.objectives import build_objective
from xmc.objectives.catalogue import ObjectiveFacts
from xmc.objectives.distillation.config import DistillationConfig
from xmc.objectives.distillation.cross_entropy import soft_cross_entropy
from xmc.objectives.distillation.discriminator import (
    Discriminator,
    adversarial_rows,
    features,
    first_candidates,
)
from xmc.objectives.distillation.loss import Distillation, build_discriminator, with_distillation
from xmc.scoring import ExtraNegatives, FrozenLabels, LabelShard, Positives, ScoreInputs, as_positives

FACTS = ObjectiveFacts("distillation", takes_certain=True, takes_frozen=True)
B, L, D = 5, 12, 4


def made(
    seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor, sp.csr_matrix]:
    """Queries, labels, and targets whose last row has none; a row's probabilities add up to less than 1."""
    draw = np.random.default_rng(seed)
    queries, labels = (torch.from_numpy(draw.normal(size=(n, D))).to(dtype) for n in (B, L))
    shares = np.where(draw.random((B, L)) < 0.4, draw.random((B, L)), 0.0)
    shares[:, 0] += 0.1
    shares = shares / shares.sum(1, keepdims=True) * draw.uniform(0.5, 0.95, size=(B, 1))
    shares[-1] = 0
    return queries, labels, sp.csr_matrix(shares.astype(np.float32))


def plain(scores: torch.Tensor, shares: np.ndarray) -> torch.Tensor:
    """The loss of each row from all its scores [B, L], as the formula says."""
    rows = []
    for row, told in zip(scores, torch.from_numpy(shares).double(), strict=True):
        log_q = torch.log_softmax(row, 0)
        at = told > 0
        if not at.any():
            rows.append(row.sum() * 0)
            continue
        loss = -(told[at] * log_q[at]).sum()
        if not at.all():
            loss = loss - (1 - told.sum()) * torch.logsumexp(log_q[~at], 0)
        rows.append(loss)
    return torch.stack(rows)


def as_inputs(
    queries: torch.Tensor, labels: torch.Tensor, targets: sp.csr_matrix, **more: object
) -> ScoreInputs:
    return ScoreInputs(queries, labels, [[0]] * len(queries), 3.0, targets=targets, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("implementation", ["dense", "tiled"])
def test_it_is_the_formula_and_so_are_its_gradients(implementation: str) -> None:
    queries, labels, targets = made()
    offsets = torch.linspace(-1, 1, L, dtype=torch.float64)
    leaves = [x.clone().requires_grad_() for x in (queries, labels, offsets)]
    inputs = as_inputs(
        *leaves[:2], targets, offsets=leaves[2], implementation=implementation, memory_bytes=256
    )
    loss = Distillation(FACTS)(inputs, "none")
    others = [x.clone().requires_grad_() for x in (queries, labels, offsets)]
    expected = plain(3.0 * others[0] @ others[1].T + others[2], targets.toarray())
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-7)
    assert loss[-1].item() == 0 and loss[0].item() > 0
    weights = torch.arange(1.0, B + 1, dtype=torch.float64)
    (loss * weights).sum().backward()
    (expected * weights).sum().backward()
    for own, other in zip(leaves, others, strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-6, atol=1e-7)


def test_gradcheck_with_and_without_a_rest() -> None:
    pairs = as_positives(made()[2], B, L)
    pairs = Positives(pairs.rows, pairs.labels, pairs.weights, B, L)
    scores = torch.randn(len(pairs), dtype=torch.float64, requires_grad=True)
    rest = torch.randn(B, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda s, n: soft_cross_entropy(s, pairs, n), (scores, rest))
    none = torch.full((B,), -torch.inf, dtype=torch.float64)
    assert gradcheck(lambda s: soft_cross_entropy(s, pairs, none), (scores,))


def test_the_least_loss_is_the_teachers_entropy_and_the_gradient_is_the_difference() -> None:
    shares = torch.tensor([0.5, 0.2, 0.1], dtype=torch.float64)
    pairs = Positives(torch.zeros(3, dtype=torch.long), torch.arange(3), shares.float(), 1, 5)
    scores, rest = (
        shares.log().requires_grad_(),
        torch.tensor([0.2], dtype=torch.float64).log().requires_grad_(),
    )
    loss = soft_cross_entropy(scores, pairs, rest).sum()
    everything = torch.cat([shares, torch.tensor([0.2], dtype=torch.float64)])
    torch.testing.assert_close(loss, -(everything * everything.log()).sum(), rtol=1e-6, atol=1e-7)
    loss.backward()
    torch.testing.assert_close(scores.grad, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-7)
    other = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    n = torch.tensor([0.7], dtype=torch.float64, requires_grad=True)
    soft_cross_entropy(other, pairs, n).sum().backward()
    q = torch.softmax(torch.cat([other, n]).detach(), 0)
    torch.testing.assert_close(other.grad, q[:3] - shares, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(n.grad, q[3:] - 0.2, rtol=1e-6, atol=1e-7)


def test_one_teacher_of_hard_labels_is_a_plain_cross_entropy() -> None:
    queries, labels, _ = made()
    hard = sp.csr_matrix((np.ones(B, np.float32), (range(B), range(B))), shape=(B, L))
    loss = Distillation(FACTS)(as_inputs(queries, labels, hard))
    expected = torch.nn.functional.cross_entropy(3.0 * queries @ labels.T, torch.arange(B))
    torch.testing.assert_close(loss, expected)


def test_a_sample_with_its_weights_is_unbiased_and_certain_candidates_count_once() -> None:
    queries, labels, targets = made()
    told = targets.indices
    kept = np.unique(np.concatenate([told, [0, 1, 2, 3]]))
    doubled = torch.full((len(kept),), 0.25, dtype=torch.float64)
    columns = sp.csr_matrix(targets.toarray()[:, kept])
    # What is certain for a row is weighed by 1: as a candidate it is in the row already, and only once.
    certain = sp.csr_matrix(columns.toarray() > 0)
    certain[0, 0] = False
    inputs = ScoreInputs(
        queries, labels[torch.from_numpy(kept)], [[]] * B, 3.0, log_weights=doubled, targets=columns,
        extra=ExtraNegatives(certain),
    )  # fmt: skip
    loss = Distillation(FACTS)(inputs, "none")
    scores = 3.0 * queries @ labels[torch.from_numpy(kept)].T
    weighed = torch.where(torch.from_numpy(columns.toarray() > 0), scores, scores + 0.25)
    expected = plain_weighed(scores, weighed, columns.toarray())
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-7)


def plain_weighed(scores: torch.Tensor, weighed: torch.Tensor, shares: np.ndarray) -> torch.Tensor:
    told = torch.from_numpy(shares).double()
    total = torch.logsumexp(weighed, 1)
    rest = torch.logsumexp(weighed.masked_fill(told > 0, -torch.inf), 1)
    loss = (told * (total[:, None] - scores)).sum(1)
    left = torch.where(told.sum(1) > 0, 1 - told.sum(1), 0.0)
    return loss + left * (total - rest)


def test_labels_of_a_memory_are_in_the_rest() -> None:
    queries, labels, targets = made()
    part = sp.csr_matrix(targets.toarray()[:, :8])
    frozen = FrozenLabels(labels[8:], None, None, LabelShard(0, L - 8, World()))
    inputs = as_inputs(queries, labels[:8], part, extra=ExtraNegatives(None, frozen))
    whole = np.zeros((B, L), np.float32)
    whole[:, :8] = part.toarray()
    expected = plain(3.0 * queries @ labels.T, whole)
    torch.testing.assert_close(Distillation(FACTS)(inputs, "none"), expected, rtol=1e-6, atol=1e-7)


def test_it_needs_targets_that_are_not_masked() -> None:
    queries, labels, targets = made()
    with pytest.raises(ConfigError, match="expected targets beside the positives"):
        Distillation(FACTS)(ScoreInputs(queries, labels, [[0]] * B))
    masked = sp.csr_matrix(targets.toarray() > 0)
    with pytest.raises(ConfigError, match="masked pairs apart from the positives"):
        Distillation(FACTS)(as_inputs(queries, labels, targets, masked=masked))


def test_the_discriminator_sees_the_first_candidates_in_the_teachers_order() -> None:
    shares = np.array([[0.1, 0.4, 0.0, 0.2], [0.0, 0.0, 0.3, 0.0]], np.float32)
    pairs = as_positives(sp.csr_matrix(shares), 2, 4)
    places = first_candidates(pairs, 2)
    assert [pairs.labels[p].item() for p in places[0]] == [1, 3] and places[1].tolist()[1] == -1
    assert pairs.labels[places[1, 0]] == 2
    assert pairs.weights is not None
    seen = features(pairs.weights.log(), torch.tensor([-1.0, -50.0]), places)
    np.testing.assert_allclose(seen.exp(), [[0.4, 0.2, np.exp(-1)], [0.3, 0, 0]], atol=1e-6)
    assert seen.min() == -20


@pytest.mark.parametrize("kind", ["reversal", "reference"])
def test_the_discriminator_learns_and_the_student_is_pulled_or_helps(kind) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    judge = Discriminator(3, kind, seed=7).double()
    student = torch.rand(6, 4, dtype=torch.float64).neg().requires_grad_()
    teacher = torch.rand(6, 4, dtype=torch.float64).neg() - 3

    def loss() -> torch.Tensor:
        return adversarial_rows(judge, student, teacher, 0.5).mean()

    loss().backward()
    assert student.grad is not None
    reversed_gradient, own = student.grad.clone(), [p.grad.clone() for p in judge.parameters()]
    # Numerically: the discriminator descends on its loss, the student climbs (reversal) or descends.
    weight = next(judge.parameters())
    with torch.no_grad():
        before = float(loss())
        weight -= 1e-4 * own[0]
        assert float(loss()) <= before
        weight += 1e-4 * own[0]
        moved = student - 1e-3 * reversed_gradient
        after = float(adversarial_rows(judge, moved, teacher, 0.5).mean())
    assert after > before if kind == "reversal" else after <= before
    # Of W copies each has a W-th of the discriminator's gradient, and all of the student's.
    student.grad = None
    judge.zero_grad()
    adversarial_rows(judge, student, teacher, 0.5, num_copies=4).mean().backward()
    torch.testing.assert_close(student.grad, reversed_gradient)
    for parameter, gradient in zip(judge.parameters(), own, strict=True):
        torch.testing.assert_close(parameter.grad, gradient / 4)


def test_the_reference_discriminator_never_says_less_than_a_half() -> None:
    judge = Discriminator(3, "reference")
    assert torch.sigmoid(judge(torch.rand(9, 4).neg() * 9)).min().item() >= 0.5
    assert judge(torch.zeros(2, 4)).shape == (2, 2)


def test_the_reference_loss_is_that_of_the_published_code() -> None:
    """Binary cross-entropy of both outputs, of students against [1, 0] and of teachers against [0, 1]."""
    judge = Discriminator(3, "reference", seed=2).double()
    student, teacher = torch.rand(2, 5, 4, dtype=torch.float64).neg()
    outputs = judge(torch.cat([student, teacher]))
    targets = torch.tensor([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 5, dtype=torch.float64)
    expected = torch.nn.BCEWithLogitsLoss()(outputs, targets)
    torch.testing.assert_close(adversarial_rows(judge, student, teacher, 1.0).mean(), expected)


def test_the_same_seed_makes_the_same_discriminator_and_disturbs_no_draw() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    made_here = [build_discriminator(DistillationConfig("file"), 5) for _ in range(2)]
    assert torch.equal(torch.rand(4), expected)
    for one, other in zip(*(m.state_dict().values() for m in made_here if m is not None), strict=True):
        assert torch.equal(one, other)
    assert build_discriminator(DistillationConfig("file", discriminator="none"), 5) is None
    assert build_discriminator(DistillationConfig(), 5) is None


def test_the_warm_up_and_the_weights_of_the_terms() -> None:
    queries, labels, targets = made(dtype=torch.float32)
    config = DistillationConfig("file", weight=2.0, hard_weight=0.5, discriminator="none")
    main = build_objective("decoupled_softmax")
    both = with_distillation(main, config)(as_inputs(queries, labels, targets))
    alone = Distillation(FACTS)(as_inputs(queries, labels, targets))
    torch.testing.assert_close(both, 0.5 * main(as_inputs(queries, labels, targets)) + 2 * alone)
    soft = with_distillation(main, DistillationConfig("file", discriminator="none"))
    torch.testing.assert_close(soft(as_inputs(queries, labels, targets)), alone)
    assert soft.facts.takes_certain and with_distillation(main, DistillationConfig()) is main
    judge = Discriminator(4, "reversal")
    gradients = []
    for index in (0, 5, 10, 20):
        leaf = queries.clone().requires_grad_()
        Distillation(FACTS, judge, 0.7, warmup=10)(
            as_inputs(leaf, labels, targets, batch_index=index)
        ).backward()
        gradients.append(leaf.grad)
    plain_leaf = queries.clone().requires_grad_()
    Distillation(FACTS)(as_inputs(plain_leaf, labels, targets)).backward()
    torch.testing.assert_close(gradients[0], plain_leaf.grad)
    torch.testing.assert_close(
        gradients[2] - gradients[0], 2 * (gradients[1] - gradients[0]), rtol=1e-3, atol=1e-6
    )
    assert not torch.allclose(gradients[1], gradients[0]) and torch.equal(gradients[2], gradients[3])


def test_wrong_options_are_refused() -> None:
    for options, text in (
        ({"weight": 0.0}, "distillation.weight"),
        ({"hard_weight": -1.0}, "distillation.hard_weight"),
        ({"discriminator": "maybe"}, "distillation.discriminator: expected one of reversal"),
        ({"discriminator_width": 0}, "distillation.discriminator_width"),
    ):
        with pytest.raises(ConfigError, match=text):
            DistillationConfig("file", **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="ranks by magnitude"):
        with_distillation(build_objective("taylor_softmax"), DistillationConfig("file"))
