"""Moments of all labels' embeddings, kept as some are written anew, at a cost that does not grow with L."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from xmc.distributed import World, all_reduce_sum
from xmc.scoring.moments import LabelMoments

__all__ = ["RunningMoments"]

# Rows per product, whose sum is float32: the blocks are then added up in float64.
BLOCK_ROWS = 4096


class RunningMoments:
    """Number, sum and Gram matrix of a set of vectors that ranks share; every rank holds those of the whole.

    Attributes:
        count: Vectors, a float64 scalar.
        reference: [D], the mean of the first vectors, rounded to float32: what all are taken about. About the
            origin the scatter of vectors that lie close together would be lost in rounding.
        total: The sum of their differences to the reference, [D] float64.
        gram: The Gram matrix of these differences, [D, D], in products of float32 added up in float64; what
            replacing leaves behind is the rounding of the replaced ones alone.
    """

    def __init__(self, dimension: int, device: torch.device | str = "cpu") -> None:
        """Of no vectors yet."""
        self.reference = torch.zeros(dimension, dtype=torch.float64, device=device)
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        self.total = torch.zeros(dimension, dtype=torch.float64, device=device)
        self.gram = torch.zeros(dimension, dimension, dtype=torch.float64, device=device)

    def replace(self, old: Tensor, new: Tensor, world: World) -> None:
        """Take out this rank's ``old`` [n, D] and put in its ``new`` [m, D]; (n + m) D^2.

        Over W ranks: one all-reduce of D^2 + D + 1 float64 numbers, and of D + 1 the first time.
        """
        if self.count < 0.5:
            # Any reference gives the same moments but for rounding: one near the mean keeps the differences,
            # and so the Gram matrix, small. It stays as it is, as changing it would change every term.
            sums = torch.cat([new.sum(0, dtype=torch.float64), self.count.new_tensor([len(new)])])
            sums = all_reduce_sum(sums, world)
            self.reference.copy_((sums[:-1] / sums[-1].clamp_min(1.0)).float())
        # Sums over vectors: replacing one takes its term out and puts another in, whatever the others are.
        change = _packed(new, self.reference) - _packed(old, self.reference)
        self._add(all_reduce_sum(change, world))

    def without(self, vectors: Tensor, world: World) -> LabelMoments:
        """The moments of the rest, with an offset of 0 as one more dimension; n D^2.

        Over W ranks: one all-reduce of D^2 + D + 1 float64 numbers.

        Args:
            vectors: This rank's [n, D], all of them in the set.
            world: The ranks.
        """
        left = RunningMoments(len(self.total), self.total.device)
        left._add(torch.cat([self.count.view(1), self.total, self.gram.flatten()]))
        left._add(-all_reduce_sum(_packed(vectors, self.reference), world))
        # A memory's labels have no offsets, so the last dimension is 0 and adds nothing.
        size = len(left.total) + 1
        mean, scatter = left.total.new_zeros(size), left.total.new_zeros(size, size)
        if left.count > 0.5:
            # With d_j = e_j - reference and m the mean of d_j: mean = reference + m, and
            # sum_j (d_j - m)(d_j - m)^T = gram - n m m^T.
            apart = left.total / left.count
            mean[:-1] = self.reference + apart
            scatter[:-1, :-1] = left.gram - left.count * torch.outer(apart, apart)
        return LabelMoments(left.count, mean, scatter)

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint; the same on every rank."""
        return {
            "reference": self.reference,
            "count": self.count,
            "total": self.total,
            "gram": self.gram,
        }

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])

    def _add(self, packed: Tensor) -> None:
        count, total, gram = packed.split([1, len(self.total), self.gram.numel()])
        self.count += count[0]
        self.total += total
        self.gram += gram.view_as(self.gram)


def _packed(vectors: Tensor, reference: Tensor) -> Tensor:
    """Number, sum and Gram matrix of differences to the reference in one: [1 + D + D^2] float64."""
    size = vectors.shape[1]
    total = torch.zeros(size, dtype=torch.float64, device=vectors.device)
    gram = torch.zeros(size, size, dtype=torch.float64, device=vectors.device)
    for part in _differences(vectors, reference):
        total += part.sum(0, dtype=torch.float64)
        # float32 products, of differences that are small; the sum of blocks in float64.
        gram += part.T @ part
    return torch.cat([total.new_tensor([len(vectors)]), total, gram.flatten()])


def _differences(vectors: Tensor, reference: Tensor) -> Iterator[Tensor]:
    """Blocks in float32; float64 vectors stay so."""
    dtype = torch.promote_types(vectors.dtype, torch.float32)
    return (part.to(dtype) - reference.to(dtype) for part in vectors.split(BLOCK_ROWS))
