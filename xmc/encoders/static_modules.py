"""The modules of a static tower: what sentence-transformers has by the same names, without its imports.

Importing sentence-transformers, with transformers and scikit-learn beneath it, takes several times as long
as importing torch. A table, dropout and a normalisation need none of that, and work alike to the last bit.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from xmc.encoders.static_folder import EMBEDDING, NORMALISED
from xmc.errors import ModelError

__all__ = ["BagDropout", "TokenBag", "UnitLength", "bag_of_rows", "plain_bag", "row_leaf"]


class TokenBag(nn.Module):
    """A tokenizer and a table [V, D], the library's ``StaticEmbedding``."""

    saved_as = "StaticEmbedding"

    def __init__(self, tokenizer: Tokenizer, table: Tensor) -> None:
        super().__init__()
        tokenizer.no_padding()  # as the library's module does; where it cuts a text is the model's
        self.tokenizer = tokenizer
        self.embedding = nn.EmbeddingBag.from_pretrained(table, freeze=False)

    def get_config_dict(self) -> dict[str, Any]:
        """Nothing: all of it is in the table and the tokenizer."""
        return {}


class BagDropout(nn.Module):
    """Dropout of embeddings while training, the library's ``Dropout``."""

    saved_as = "Dropout"

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout

    def get_config_dict(self) -> dict[str, Any]:
        """As the library's module tells it."""
        return {"dropout": self.dropout}

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """The features with a share of the components of embeddings [n, D] set to zero, in training."""
        features[EMBEDDING] = F.dropout(features[EMBEDDING], self.dropout, self.training)
        return features


class UnitLength(nn.Module):
    """Embeddings of length 1, the library's ``Normalize``."""

    saved_as = "Normalize"

    def get_config_dict(self) -> dict[str, Any]:
        """As the library's module tells it."""
        return dict(NORMALISED)

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """The features with embeddings [n, D] of length 1."""
        features[EMBEDDING] = F.normalize(features[EMBEDDING], p=2, dim=-1)
        return features


def plain_bag(table: Tensor, ids: Tensor, offsets: Tensor, mode: str = "mean") -> Tensor:
    """``F.embedding_bag`` of flat ids [t] of texts that start at offsets [n + 1], in float32 at least."""
    bags = F.embedding_bag(ids, table, offsets, mode=mode, include_last_offset=True)
    # Each bag of a table of bfloat16 is added up in float32 and rounded once.
    return bags.float() if bags.dtype == torch.bfloat16 else bags


def row_leaf(table: nn.Parameter) -> Tensor:
    """What gets the gradient of a table's rows: the table, or what stands for one of bfloat16.

    A gradient has the dtype of what it is of. So a float32 tensor of the table's shape, and without memory of
    its own, gets the one of a bfloat16 table, which is added up and applied in float32.
    """
    if table.dtype != torch.bfloat16:
        return table
    return torch.zeros((), device=table.device).expand(table.shape).requires_grad_()


def bag_of_rows(
    table: Tensor,
    ids: Tensor,
    offsets: Tensor,
    mode: Literal["mean", "sum"] = "mean",
    *,
    leaf: Tensor | None = None,
) -> Tensor:
    """The mean (or sum) of the vectors of each text's tokens, [n, D]; zeros for a text without one.

    As ``F.embedding_bag``, but with another backward pass: the gradient of the table is a coalesced
    sparse tensor of the U distinct tokens' rows [U, D], and it is made without one vector per token. For the
    gradient of a row is a bag too: the weighted sum of the gradients of the texts that its token is in.

    Args:
        table: [V, D].
        ids: Flat token ids [t].
        offsets: Where each text starts, [n + 1], of the ids' type.
        mode: What a text is of its tokens.
        leaf: What gets the gradient; the table itself when None.

    Raises:
        ModelError: For any other mode.
    """
    if mode not in ("mean", "sum"):
        raise ModelError(
            f"expected a bag of tokens that takes their mean or sum, got {mode!r}, which has no gradient by "
            "rows: train it with --training.token_optimiser adamw"
        )
    bags: Tensor = _BagOfRows.apply(  # type: ignore[no-untyped-call]
        table if leaf is None else leaf, table.detach(), ids, offsets, mode
    )
    return bags


class _BagOfRows(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        leaf: Tensor,
        table: Tensor,
        ids: Tensor,
        offsets: Tensor,
        mode: str,
    ) -> Tensor:
        ctx.save_for_backward(ids, offsets)
        ctx.mode, ctx.size = mode, leaf.shape  # type: ignore[attr-defined]
        return plain_bag(table, ids, offsets, mode)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor, None, None, None, None]:
        ids, offsets = ctx.saved_tensors  # type: ignore[attr-defined]
        rows, values = _gradient_rows(ids, offsets, gradients[0], ctx.mode == "mean")  # type: ignore[attr-defined]
        gradient = torch.sparse_coo_tensor(
            rows.unsqueeze(0),
            values,
            ctx.size,  # type: ignore[attr-defined]
            is_coalesced=True,
            check_invariants=False,
        )
        return gradient, None, None, None, None


def _gradient_rows(ids: Tensor, offsets: Tensor, gradient: Tensor, mean: bool) -> tuple[Tensor, Tensor]:
    """The distinct tokens, ascending int64 [U], and the gradients of their rows [U, D]."""
    transpose = _transpose_by_counting if ids.device.type == "cpu" else _transpose_by_sorting
    rows, starts, texts = transpose(ids, offsets)
    weights = (1 / offsets.diff().to(gradient.dtype))[texts] if mean else None
    values = F.embedding_bag(
        texts,
        gradient.contiguous(),
        starts,
        mode="sum",
        per_sample_weights=weights,
        include_last_offset=True,
    )
    return rows, values


def _transpose_by_sorting(ids: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The texts of each distinct token instead of the tokens of each text.

    Returns:
        The tokens, ascending int64 [U]; where the texts of each start among them all, [U + 1]; and the texts
        [t], each as often as it has the token, in their order, so that sums are the same each time.
    """
    lengths = offsets.diff()
    tokens, order = torch.sort(ids, stable=True)
    rows, counts = torch.unique_consecutive(tokens, return_counts=True)
    texts = torch.repeat_interleave(torch.arange(len(lengths), device=ids.device), lengths)
    starts = F.pad(counts.cumsum(0), (1, 0))
    return rows.long(), starts.to(ids.dtype), texts.to(ids.dtype)[order]


def _transpose_by_counting(ids: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`_transpose_by_sorting`, in less than half the time on a CPU: no tokens are compared."""
    from scipy.sparse import csr_matrix

    tokens, starts = ids.numpy(), offsets.numpy()
    size = len(starts) - 1, int(tokens.max(initial=-1)) + 1
    by_token = csr_matrix((np.empty(len(tokens), np.bool_), tokens, starts), size).tocsc()
    first = by_token.indptr
    rows = np.flatnonzero(np.diff(first))  # a token without texts starts where the next one does
    starts = np.append(first[rows], first[-1])
    return torch.from_numpy(rows), torch.from_numpy(starts), torch.from_numpy(by_token.indices)
