"""What decides the embeddings of a list of modules; dropout, which is off outside training, does not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from xmc.encoders.module_kinds import is_dropout, is_library_module, is_static, is_transformer
from xmc.encoders.static_modules import TokenBag, UnitLength

__all__ = ["describe_modules", "digest_weights"]


def describe_modules(modules: Sequence[nn.Module]) -> str:
    """The modules by name and settings, without those that only act in training."""
    described = [[_name(module), _settings(module)] for module in modules if not is_dropout(module)]
    return json.dumps(described, sort_keys=True, default=str)


def digest_weights(modules: Sequence[nn.Module]) -> str:
    """SHA-256 of all weights, by position and name; names and shapes count as well.

    The same bytes in another layout are another model.
    """
    digest = hashlib.sha256()
    for position, module in enumerate(modules):
        if is_dropout(module):
            continue
        for name, tensor in sorted(module.state_dict().items()):
            saved = tensor.float() if isinstance(module, TokenBag) else tensor
            digest.update(f"{position} {name} {saved.dtype} {tuple(saved.shape)}".encode())
            digest.update(saved.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _name(module: nn.Module) -> str:
    # Read by us or by the library, a module is the same.
    return str(getattr(type(module), "saved_as", type(module).__name__))


def _settings(module: Any) -> dict[str, Any]:
    # Those of the first module are in the weights' shapes and in the tower's fingerprint.
    if is_static(module) or is_transformer(module):
        return {}
    own = isinstance(module, UnitLength) or is_library_module(module)
    return dict(module.get_config_dict()) if own else {}
