"""A discriminator of teachers' outputs and the student's, and the losses of both.

Source: Shen and Savvides 2020, "MEAL V2" (arXiv 2009.08453), section 3.2, whose discriminator sees the scores
of all classes. With labels by the million it sees the log probabilities of a row's first candidates, in the
teachers' order, and of the rest: what a label is plays no part.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from xmc.random_streams import Stream, seed_torch
from xmc.scoring import Positives
from xmc.scoring.scaled_gradient import scaled_gradient

__all__ = ["Discriminator", "adversarial_rows", "features", "first_candidates"]

FLOOR = -20.0
"""The least log probability that is seen; also what stands where a row has fewer candidates."""


class Discriminator(nn.Module):
    """Two hidden layers, as wide as their input of ``width + 1`` log probabilities and half as wide.

    At least 8 wide, as narrow ones of rectified units die.

    Reversal: one output, the log odds of a teacher. Reference: two, for student and teacher, after a ReLU as
    in the published code, where no probability falls below a half.
    """

    def __init__(self, width: int, kind: Literal["reversal", "reference"], seed: int = 0) -> None:
        """Make it.

        Args:
            width: K, how many candidates of a row it sees.
            kind: See above.
            seed: The run's; decides the first weights, and disturbs no other draw.
        """
        super().__init__()
        self.width, self.kind = width, kind
        inputs = width + 1
        first, second = max(8, inputs), max(8, inputs // 2)
        with torch.random.fork_rng(devices=[]):
            seed_torch(torch.device("cpu"), seed, Stream.DISCRIMINATOR)
            last = nn.Linear(second, 2 if kind == "reference" else 1)
            self.layers = nn.Sequential(
                nn.Linear(inputs, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), last
            )
        if kind == "reference":
            self.layers.append(nn.ReLU())

    def forward(self, features: Tensor) -> Tensor:
        """[n, 1] or [n, 2] from features [n, K + 1] in [-20, 0]."""
        # To about unit size, without statistics of a batch, which would differ between the two kinds of rows.
        output: Tensor = self.layers(features / -FLOOR * 2 + 1)
        return output


def first_candidates(candidates: Positives, width: int) -> Tensor:
    """Where each row's ``width`` candidates of the largest weights stand among the C pairs: [B, K] int64.

    Ties go by label; -1 where a row has fewer.
    """
    weights, rows = candidates.weights, candidates.rows
    if weights is None:
        weights = torch.ones(len(candidates), device=rows.device)
    # By row, in a row by falling weight; both sorts keep the order of what is equal.
    order = torch.argsort(weights, descending=True, stable=True)
    order = order[torch.argsort(rows[order], stable=True)]
    counts = candidates.row_counts()
    starts = torch.cumsum(counts, 0) - counts
    ranks = torch.arange(len(rows), device=rows.device) - starts[rows[order]]
    kept = ranks < width
    found = torch.full((candidates.num_rows, width), -1, dtype=torch.long, device=rows.device)
    found[rows[order][kept], ranks[kept]] = order[kept]
    return found


def features(log_probabilities: Tensor, log_rest: Tensor, places: Tensor) -> Tensor:
    """What is seen, [B, K + 1]: log probabilities [C] at ``places`` [B, K], and the rest's [B]."""
    seen = torch.where(places >= 0, log_probabilities[places.clamp(min=0)], FLOOR)
    return torch.cat([seen, log_rest[:, None]], 1).clamp(min=FLOOR, max=0.0)


def adversarial_rows(
    discriminator: Discriminator, student: Tensor, teacher: Tensor, share: float, num_copies: int = 1
) -> Tensor:
    """The discriminator's loss on each row, [B]: the mean of that on the student's and on the teachers'.

    The discriminator's gradient is this loss's own. The student's is ``share`` times it: reversed for kind
    "reversal", whose student raises the loss (Ganin et al. 2016, section 3.2), and as it is for "reference",
    whose student lowers it too.

    Args:
        discriminator: What is trained.
        student: Features [B, K + 1] of the student.
        teacher: Those of the teachers, without a gradient.
        share: At 0 the discriminator alone learns.
        num_copies: How many ranks compute this alike; the discriminator's gradient is summed over them, so
            that each passes on one of as many equal parts.
    """
    reversal = discriminator.kind == "reversal"
    weights = {
        name: scaled_gradient(weight, 1 / num_copies) for name, weight in discriminator.named_parameters()
    }
    own = functional_call(discriminator, weights, scaled_gradient(student, -share if reversal else share))
    theirs = functional_call(discriminator, weights, teacher.detach())
    if reversal:
        return (F.softplus(own[:, 0]) + F.softplus(-theirs[:, 0])) / 2
    targets = torch.eye(2, device=own.device, dtype=own.dtype)
    losses = [
        F.binary_cross_entropy_with_logits(output, target.expand_as(output), reduction="none").mean(1)
        for output, target in zip((own, theirs), targets, strict=True)
    ]
    return (losses[0] + losses[1]) / 2
