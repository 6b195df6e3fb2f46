"""A transformer over texts one behind another, without a padded position in any layer.

Linear layers, norms and activations take the tokens of all texts as one row of tokens. Attention, which must
not cross texts, is taken over texts of one length at a time: a batch of equal rows, which needs neither
padding nor a mask. A token attends to what it would attend to in a padded batch, so that vectors are the same
up to rounding.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

__all__ = [
    "LowerVectors",
    "TextGroups",
    "attend_by_text",
    "embedded",
    "layers_of",
    "run_layers",
    "text_groups",
    "token_features",
    "use_unpadded",
]

ATTENTION = "xmc_by_text"
"""The name of :func:`attend_by_text` among the attention implementations of transformers."""

TextGroups = list[tuple[int, int]]
"""Texts one behind another: (how many, of how many tokens each), group after group."""

# Models whose layers mix tokens nowhere but in the attention they ask transformers for, and that take
# position ids: every other one is run on padded texts. RoBERTa's kind counts from its padding id on.
_FROM_ZERO = {"bert"}
_FROM_PADDING = {"camembert", "roberta", "xlm-roberta"}

_PLAIN_OUTPUT = {"method": "forward", "method_output_name": "last_hidden_state"}


def use_unpadded(transformer: Any) -> bool:
    """Whether a library's ``Transformer`` can run unpadded; if so, its attention is told to expect that.

    Padded batches run through its model as before.
    """
    model = transformer.model
    config: Any = getattr(model, "config", None)
    if (
        getattr(transformer, "backend", "torch") != "torch"
        or getattr(config, "model_type", None) not in _FROM_ZERO | _FROM_PADDING
        or getattr(config, "is_decoder", False)
        or getattr(transformer.tokenizer, "padding_side", "right") != "right"
        or transformer.modality_config.get("text") != _PLAIN_OUTPUT
        or transformer.module_output_name != "token_embeddings"
    ):
        return False
    if config._attn_implementation != ATTENTION:
        if config._attn_implementation != "sdpa":
            return False
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.masking_utils import sdpa_mask

        AttentionInterface.register(ATTENTION, attend_by_text)
        AttentionMaskInterface.register(ATTENTION, sdpa_mask)
        model.set_attn_implementation(ATTENTION)
    return True


def attend_by_text(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    *,
    text_groups: TextGroups | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention within each text; without ``text_groups``, the library's own on padded texts.

    Args:
        module: The layer's attention.
        query: [1, H, t, d], of the tokens of all texts.
        key: As ``query``.
        value: As ``query``.
        attention_mask: None, as no position is padding.
        dropout: Share of attention weights dropped.
        scaling: What scores are multiplied with.
        text_groups: How the t tokens make texts.
        kwargs: What else the model hands to an attention function.

    Returns:
        [1, t, H, d], and None for the weights, which are not kept.
    """
    if text_groups is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        padded: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return padded
    sizes = [count * length for count, length in text_groups]
    # Split, not sliced: its gradient is one concatenation, where a slice's is of the size of the whole.
    parts = zip(*(x[0].transpose(0, 1).split(sizes) for x in (query, key, value)), strict=True)
    out = []
    for (count, length), part in zip(text_groups, parts, strict=True):
        q, k, v = (x.unflatten(0, (count, length)).transpose(1, 2) for x in part)  # [count, H, length, d]
        attended = scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling)
        out.append(attended.transpose(1, 2).flatten(0, 1))  # [count * length, H, d]
    return torch.cat(out).unsqueeze(0), None


class LowerVectors(Protocol):
    """What the first layers give, from elsewhere."""

    num_layers: int

    def __call__(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Token vectors [t, H] after ``num_layers`` layers, of texts with ids [t] and lengths [n]."""
        ...


def token_features(
    transformer: Any, ids: Tensor, offsets: Tensor, lower: LowerVectors | None = None
) -> dict[str, Tensor]:
    """What the library's ``Transformer`` gives for padded texts, from a pass without padding.

    Args:
        transformer: One that :func:`use_unpadded` accepts.
        ids: Flat token ids [t].
        offsets: int64 [n + 1], n at least 1; a text without tokens is read as one pad token.
        lower: What stands for the embeddings and the first layers.

    Returns:
        ``token_embeddings`` [n, longest, H], zeros after a text's end, and ``attention_mask``, int64
        [n, longest].
    """
    model = transformer.model
    ids, lengths, order = _longest_first(ids.long(), offsets.long(), transformer.tokenizer.pad_token_id or 0)
    hidden = embedded(model, ids, lengths) if lower is None else lower(ids, lengths)
    layers = layers_of(model)[0 if lower is None else lower.num_layers :]
    hidden = run_layers(layers, hidden, text_groups(lengths))
    vectors, mask = _padded(hidden, lengths)
    if order is not None:
        back = order.argsort()
        vectors, mask = vectors[back], mask[back]
    return {"token_embeddings": vectors, "attention_mask": mask}


def layers_of(model: Any) -> nn.ModuleList:
    """The model's layers, first to last; what comes before them are its embeddings."""
    layers: nn.ModuleList = model.encoder.layer
    return layers


def run_layers(layers: nn.ModuleList, hidden: Tensor, groups: TextGroups) -> Tensor:
    """Token vectors [t, H] of texts in ``groups`` through some layers."""
    hidden = hidden.unsqueeze(0)
    for layer in layers:
        hidden = layer(hidden, text_groups=groups)
    return hidden[0]


def text_groups(lengths: Tensor) -> TextGroups:
    """Neighbours of one length as one group, for lengths [n]."""
    sizes, counts = torch.unique_consecutive(lengths, return_counts=True)
    return list(zip(counts.tolist(), sizes.tolist(), strict=True))


def _longest_first(ids: Tensor, offsets: Tensor, pad_id: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Ids and lengths with the longest text first, and where each text was; None where all stay in place."""
    lengths = offsets.diff()
    if not bool(lengths.all()):
        # One pad token where a text has none, so that every text has something to attend to.
        at = offsets[:-1][lengths == 0]
        kept = torch.ones(len(ids) + len(at), dtype=torch.bool, device=ids.device)
        kept[at + torch.arange(len(at), device=ids.device)] = False
        filled = ids.new_full((len(kept),), pad_id)
        filled[kept] = ids
        ids, lengths = filled, lengths.clamp(min=1)
    if bool((lengths.diff() <= 0).all()):
        return ids, lengths, None
    order = lengths.argsort(descending=True, stable=True)
    starts = lengths.cumsum(0) - lengths
    moved = lengths[order]
    shift = (starts[order] - (moved.cumsum(0) - moved)).repeat_interleave(moved)
    return ids[shift + torch.arange(len(ids), device=ids.device)], moved, order


def embedded(model: Any, ids: Tensor, lengths: Tensor) -> Tensor:
    """The vectors [t, H] that the first layer takes, of texts with ids [t] and lengths [n]."""
    starts = lengths.cumsum(0) - lengths
    if model.config.model_type in _FROM_ZERO:
        positions = torch.arange(len(ids), device=ids.device) - starts.repeat_interleave(lengths)
    else:
        pad_id = model.config.pad_token_id
        real = ids.ne(pad_id).long()
        before = (real.cumsum(0) - real)[starts]
        positions = (real.cumsum(0) - before.repeat_interleave(lengths)) * real + pad_id
    kinds = torch.zeros_like(ids).unsqueeze(0)
    rows: Tensor = model.embeddings(
        input_ids=ids.unsqueeze(0), position_ids=positions.unsqueeze(0), token_type_ids=kinds
    )
    return rows[0]


def _padded(hidden: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Flat vectors [t, H] as [n, longest, H] with zeros, and the mask [n, longest] of those that are none."""
    width = int(lengths[0])
    filled = torch.arange(width, device=lengths.device) < lengths.unsqueeze(1)
    if len(hidden) == filled.numel():
        return hidden.unflatten(0, filled.shape), filled.long()
    out = hidden.new_zeros(*filled.shape, hidden.shape[-1])
    out[filled] = hidden
    return out, filled.long()
