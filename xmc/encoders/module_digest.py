"""What decides the embeddings of a list of modules; dropout, which is off outside training, does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from xmc.encoders.model_fingerprint import Weights, described, digest
from xmc.encoders.module_kinds import is_dropout, is_library_module, is_static, is_transformer
from xmc.encoders.static_modules import TokenBag, UnitLength

__all__ = ["describe_modules", "digest_weights"]


def describe_modules(modules: Sequence[nn.Module]) -> str:
    """The modules by name and settings, without those that only act in training."""
    return described([(_name(module), _settings(module)) for module in modules if not is_dropout(module)])


def digest_weights(modules: Sequence[nn.Module]) -> str:
    """SHA-256 of all weights, by position and name."""
    return digest(
        Weights(
            position,
            name,
            str(saved.dtype),
            tuple(saved.shape),
            saved.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data,
        )
        for position, module in enumerate(modules)
        if not is_dropout(module)
        for name, tensor in sorted(module.state_dict().items())
        for saved in (tensor.float() if isinstance(module, TokenBag) else tensor,)
    )


def _name(module: nn.Module) -> str:
    # Read by us or by the library, a module is the same.
    return str(getattr(type(module), "saved_as", type(module).__name__))


def _settings(module: Any) -> dict[str, Any]:
    # Those of the first module are in the weights' shapes and in the tower's fingerprint.
    if is_static(module) or is_transformer(module):
        return {}
    own = isinstance(module, UnitLength) or is_library_module(module)
    return dict(module.get_config_dict()) if own else {}
