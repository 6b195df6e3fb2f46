"""The momentum means of classes: the state of the discriminative loss, alike on every rank.

Source: Nguyen et al., "Large Margin Discriminative Loss for Classification" (arXiv 2405.18499v2), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from xmc.errors import ConfigError, DataError

__all__ = ["ClassMeans", "blended"]


def blended(current: Tensor, before: Tensor, kept: Tensor) -> Tensor:
    """``kept * before + (1 - kept) * current`` for each class: [C, D], differentiable by ``current`` alone.

    Args:
        current: [C, D], the means of a batch.
        before: [C, D], the momentum means before it.
        kept: [C], how much of them is kept; 0 for a class that is new, whose ``before`` does not count.
    """
    kept = kept[:, None].to(current.dtype)
    return kept * before.detach().to(current.dtype) + (1 - kept) * current


@dataclass
class ClassMeans:
    """A momentum mean for each label that was a positive, grown as labels are met.

    Holds (largest id met + 1) x D numbers on every rank.

    Attributes:
        momentum: How much of a mean is kept at most, in [0, 1).
        ramp: Whether a mean of n batches keeps at most ``n / (n + 1)``, which makes it their plain average
            until that reaches ``momentum``; otherwise it keeps ``momentum`` from its second batch on.
    """

    momentum: float = 0.99
    ramp: bool = True
    _means: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    _counts: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    _staged: tuple[Tensor, Tensor] | None = None

    def __post_init__(self) -> None:
        """Refuse, with a ConfigError, a momentum out of range."""
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"momentum: expected at least 0 and less than 1, got {self.momentum}")

    def before(self, ids: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """The means [C, D] of labels [C], of any numbers where new, and how much of each is kept: [C].

        Args:
            ids: [C] int64.
            like: [C, D], the means of a batch, whose type and device new means get.
        """
        self._grow(int(ids.max()) + 1 if len(ids) else 0, like)
        counts = self._counts[ids]
        batches = counts.to(like.dtype)
        kept = (batches / (batches + 1)).clamp(max=self.momentum)
        if not self.ramp:
            kept = torch.where(counts > 0, self.momentum, kept)
        return self._means[ids], kept

    def stage(self, ids: Tensor, means: Tensor) -> None:
        """Remember the means [C, D] of distinct labels [C], to be taken over by :meth:`commit`."""
        self._staged = ids, means.detach()

    def commit(self) -> None:
        """Take over what was staged last: a batch scored twice, as where memory ran out, counts once."""
        if self._staged is None:
            return
        ids, means = self._staged
        self._staged = None
        self._means[ids] = means.to(self._means.dtype)
        self._counts[ids] += 1

    def tensors(self) -> dict[str, Tensor]:
        """Ids [S], means [S, D] and numbers of batches [S] of the labels met."""
        ids = torch.nonzero(self._counts)[:, 0]
        return {"ids": ids, "means": self._means[ids], "counts": self._counts[ids]}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from :meth:`tensors`.

        Raises:
            DataError: When they are not of one another's shapes.
        """
        ids, means, counts = (tensors.get(name) for name in ("ids", "means", "counts"))
        if (
            ids is None
            or means is None
            or counts is None
            or ids.ndim != 1
            or means.ndim != 2
            or not len(ids) == len(means) == len(counts)
            or (len(ids) > 0 and int(ids.min()) < 0)
        ):
            raise DataError(
                f"expected the momentum means of labels as ids [S], means [S, D] and counts [S], got "
                f"{ {name: list(x.shape) for name, x in tensors.items()} }: resume with the run's objective"
            )
        self._means, self._counts = means.new_zeros(0, means.shape[1]), counts.new_zeros(0)
        self._grow(int(ids.max()) + 1 if len(ids) else 0, means)
        self._means[ids], self._counts[ids] = means, counts
        self._staged = None

    def _grow(self, size: int, like: Tensor) -> None:
        if self._means.shape[1] != like.shape[1] and len(self._counts):
            raise ConfigError(
                f"expected embeddings of {self._means.shape[1]} components, as the momentum means have, got "
                f"{like.shape[1]}"
            )
        self._means, self._counts = self._means.to(like.device), self._counts.to(like.device)
        if size <= len(self._counts):
            return
        # Twice as many at least, so that labels met one by one are not copied each time.
        size = max(size, 2 * len(self._counts))
        means = torch.zeros(size, like.shape[1], dtype=like.dtype, device=like.device)
        counts = torch.zeros(size, dtype=torch.long, device=like.device)
        if len(self._counts):
            means[: len(self._means)], counts[: len(self._counts)] = self._means, self._counts
        self._means, self._counts = means, counts
