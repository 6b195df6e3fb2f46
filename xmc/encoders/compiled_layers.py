"""The part of a transformer's layer after its attention, compiled: norms, activations, residuals and dropout.

A GPU reads and writes all tokens for each of these, and the host launches each; compiled they are a few
kernels. Attention stays as it is, as its groups of texts would be compiled anew for each list of lengths.

All layers share one compilation, for any number of tokens: theirs is the same code, which takes the weights
as inputs. The gradient cache needs of it that a pass without gradients and its replay with them draw the same
dropout, which compiled kernels do by the generator's state and the place of a number. An uncompiled pass
draws others, so that what cannot be compiled is an error and is not run uncompiled (``fullgraph``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from xmc.encoders.text_groups import TextGroups
from xmc.errors import ConfigError

__all__ = ["compiled", "run_compiled_layer"]

BACKEND = "inductor"

_MOST_VARIANTS = 64
"""Of a compilation: with and without gradients, frozen or not, of each of the towers' widths and types."""


def run_compiled_layer(layer: Any, hidden: Tensor, groups: TextGroups) -> Tensor:
    """What a layer of BERT's, DistilBERT's or RoBERTa's kind gives for token vectors [1, t, H]: [1, t, H].

    Raises:
        ConfigError: When the machine lacks what compiles.
    """
    distilbert = hasattr(layer, "ffn")
    attention = layer.attention if distilbert else layer.attention.self
    attended, _ = attention(hidden, text_groups=groups)
    after = _after_distilbert if distilbert else _after_bert
    try:
        return compiled(after, BACKEND)(layer, _no_view(attended), _no_view(hidden))
    except torch._dynamo.exc.BackendCompilerFailed as error:
        raise ConfigError(
            "training.compile: expected a machine with a C compiler, and with Triton for a GPU, got "
            f"{str(error).strip():.200}: leave it false"
        ) from error


def _no_view(values: Tensor) -> Tensor:
    """The same numbers in the same place, as a tensor that is no view, and whose gradient passes through.

    What a view is of is part of the form that is compiled for: each layout of groups would have its own.
    """
    same: Tensor = torch.ops.aten._unsafe_view(values, values.shape)
    return same


def _after_bert(layer: Any, attended: Tensor, hidden: Tensor) -> Tensor:
    hidden = layer.attention.output(attended, hidden)
    out: Tensor = layer.output(layer.intermediate(hidden), hidden)
    return out


def _after_distilbert(layer: Any, attended: Tensor, hidden: Tensor) -> Tensor:
    hidden = layer.sa_layer_norm(attended + hidden)
    out: Tensor = layer.output_layer_norm(layer.ffn(hidden) + hidden)
    return out


@lru_cache
def compiled(function: Callable[..., Tensor], backend: str) -> Callable[..., Tensor]:
    """The function as it is compiled, once for each form of its arguments."""
    config: Any = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, _MOST_VARIANTS)
    made: Callable[..., Tensor] = torch.compile(function, dynamic=True, fullgraph=True, backend=backend)
    return made
