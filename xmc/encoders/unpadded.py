"""A transformer over texts one behind another, without a padded position in any layer.

Linear layers, norms and activations take the tokens of all texts as one row of tokens. Attention, which must
not cross texts, is taken over texts of one length at a time: a batch of equal rows, which needs neither
padding nor a mask. (Where there are many lengths an accelerator pads within the attention.) A token attends
to what it would attend to in a padded batch, so that vectors are the same up to rounding.

What depends on lengths is computed on the host and copied: no number is read from the device.
"""

from __future__ import annotations

from inspect import signature
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from xmc.distributed.world import to_device
from xmc.encoders.compiled_layers import run_compiled_layer
from xmc.encoders.text_groups import MOST_GROUPS, TextGroups, attend, group_texts, positions, spread

__all__ = [
    "LowerVectors",
    "attend_by_text",
    "embedded",
    "layers_of",
    "run_layers",
    "runs_unpadded_on",
    "token_features",
    "use_unpadded",
]

ATTENTION = "xmc_by_text"
"""The name of :func:`attend_by_text` among the attention implementations of transformers."""

# Models whose layers mix tokens nowhere but in the attention they ask transformers for, and that take
# position ids: every other one is run on padded texts. RoBERTa's kind counts from its padding id on.
_FROM_ZERO = {"bert", "distilbert"}
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
        # Versions of DistilBERT count positions by themselves, from the first token of all texts.
        or "position_ids" not in signature(model.embeddings.forward).parameters
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


def runs_unpadded_on(device: torch.device) -> bool:
    """Whether texts are run without padding on a device; of other accelerators nobody knows what it costs."""
    return device.type in ("cpu", "cuda", "meta")  # meta: tests ask there what a GPU would be asked


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
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # each [t, H, d]
    return attend(q, k, v, text_groups, dropout, scaling).unsqueeze(0), None


class LowerVectors(Protocol):
    """What the first layers give, from elsewhere."""

    num_layers: int

    def __call__(self, ids: np.ndarray, lengths: np.ndarray) -> Tensor:
        """Token vectors [t, H] after ``num_layers`` layers, of texts with ids [t] and lengths [n]."""
        ...


def token_features(
    transformer: Any,
    ids: np.ndarray,
    offsets: np.ndarray,
    lower: LowerVectors | None = None,
    *,
    compiled: bool = False,
) -> dict[str, Tensor]:
    """What the library's ``Transformer`` gives for padded texts, from a pass without padding.

    Args:
        transformer: One that :func:`use_unpadded` accepts.
        ids: Flat token ids [t].
        offsets: int64 [n + 1], n at least 1; a text without tokens is read as one pad token.
        lower: What stands for the embeddings and the first layers.
        compiled: Whether layers are run as :mod:`xmc.encoders.compiled_layers` does.

    Returns:
        ``token_embeddings`` [n, longest, H], zeros after a text's end, and ``attention_mask``, int64
        [n, longest].
    """
    model = transformer.model
    ids, lengths, order = _longest_first(ids, offsets, transformer.tokenizer.pad_token_id or 0)
    hidden = embedded(model, ids, lengths) if lower is None else lower(ids, lengths)
    layers = layers_of(model)[0 if lower is None else lower.num_layers :]
    hidden = run_layers(layers, hidden, lengths, compiled=compiled)
    return _padded(hidden, lengths, order)


def layers_of(model: Any) -> nn.ModuleList:
    """The model's layers, first to last; what comes before them are its embeddings."""
    stack: Any = model.transformer if model.config.model_type == "distilbert" else model.encoder
    layers: nn.ModuleList = stack.layer
    return layers


def run_layers(
    layers: nn.ModuleList, hidden: Tensor, lengths: np.ndarray, *, compiled: bool = False
) -> Tensor:
    """Token vectors [t, H] of texts with ``lengths`` [n] through some layers, the longest text first."""
    # A CPU has no launches to spare, and is slower with masks.
    groups = group_texts(lengths, hidden.device, None if hidden.device.type == "cpu" else MOST_GROUPS)
    hidden = hidden.unsqueeze(0)
    for layer in layers:
        if compiled:
            hidden = run_compiled_layer(layer, hidden, groups)
        else:
            hidden = layer(hidden, text_groups=groups)
    return hidden[0]


def embedded(model: Any, ids: np.ndarray, lengths: np.ndarray) -> Tensor:
    """The vectors [t, H] that the first layer takes, of texts with ids [t] and lengths [n]."""
    places = positions(lengths)
    if model.config.model_type not in _FROM_ZERO:
        pad_id, starts = model.config.pad_token_id, np.cumsum(lengths) - lengths
        real = (ids != pad_id).astype(np.int64)
        before = (np.cumsum(real) - real)[starts]
        places = (np.cumsum(real) - np.repeat(before, lengths)) * real + pad_id
    device = next(model.parameters()).device
    both = to_device(np.stack([ids, places]).astype(np.int64, copy=False), device).unsqueeze(1)  # [2, 1, t]
    # DistilBERT has one kind of tokens, and no table of kinds.
    kinds = {} if model.config.model_type == "distilbert" else {"token_type_ids": torch.zeros_like(both[0])}
    rows: Tensor = model.embeddings(input_ids=both[0], position_ids=both[1], **kinds)
    return rows[0]


def _longest_first(
    ids: np.ndarray, offsets: np.ndarray, pad_id: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids [t] and lengths [n] with the longest text first, and which text each is, int64 [n]."""
    lengths = np.diff(offsets)
    if not lengths.all():
        # One pad token where a text has none, so that every text has something to attend to.
        ids = np.insert(ids, offsets[:-1][lengths == 0], pad_id)
        lengths = np.maximum(lengths, 1)
    if (np.diff(lengths) <= 0).all():
        return ids, lengths, np.arange(len(lengths))
    order = np.argsort(-lengths, kind="stable")
    starts, moved = (np.cumsum(lengths) - lengths)[order], lengths[order]
    return ids[np.repeat(starts, moved) + positions(moved)], moved, order


def _padded(hidden: Tensor, lengths: np.ndarray, order: np.ndarray) -> dict[str, Tensor]:
    """Flat vectors [t, H] as [n, longest, H] with zeros, in the order of the texts, and the mask of both."""
    width = int(lengths[0])
    if len(hidden) == len(lengths) * width:  # of one length, and so in place
        vectors = hidden.unflatten(0, (len(lengths), width))
        mask = hidden.new_ones(vectors.shape[:2], dtype=torch.int64)
        return {"token_embeddings": vectors, "attention_mask": mask}
    slots = np.repeat(order * width, lengths) + positions(lengths)
    vectors = spread(hidden, to_device(slots, hidden.device), len(lengths) * width)
    filled = np.empty((len(lengths), width), dtype=np.int64)
    filled[order] = np.arange(width) < lengths[:, None]
    mask = to_device(filled, hidden.device)
    return {"token_embeddings": vectors.unflatten(0, mask.shape), "attention_mask": mask}
