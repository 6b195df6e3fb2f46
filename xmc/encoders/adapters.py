"""Low-rank adapters on a tower's transformer, by PEFT: put in place, and merged where a model leaves the run.

PEFT is imported where adapters are asked for; without it no model has any.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from xmc.encoders.lora_config import LoraConfig
from xmc.errors import ConfigError

__all__ = ["add_adapters", "has_adapters", "merged", "num_adapter_parameters"]

_UNUSED = "pooler"
"""A BERT's layer behind the first token, which sentence-transformers does not read."""


def add_adapters(module: Any, config: LoraConfig) -> None:
    """Freeze a ``Transformer``'s weights and put fresh adapters beside its linear layers, in place.

    B starts at zero, so that embeddings are what they were.

    Args:
        module: Of sentence-transformers, with the transformer as ``model``.
        config: Of rank 1 or more.

    Raises:
        ConfigError: When PEFT is not installed, or a target names no linear layer; it says which exist.
    """
    try:
        import peft
    except ImportError as error:
        raise ConfigError(
            'encoder.lora: expected the package peft: pip install "xmc-dual-encoder[lora]", or set '
            "encoder.lora.rank to 0"
        ) from error
    alpha: Any = config.alpha  # annotated as a whole number there, and only divided by the rank
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=alpha,
        lora_dropout=config.dropout,
        target_modules=_targets(module.model, config.target_modules),
    )
    module.model.add_adapter(settings)


def has_adapters(model: nn.Module) -> bool:
    """Whether any layer of ``model`` has an adapter."""
    return bool(_adapted(model))


def num_adapter_parameters(model: nn.Module) -> int:
    """Numbers in all adapters of ``model``, which a saved one does not have."""
    return sum(
        parameter.numel()
        for _, _, layer in _adapted(model)
        for name, parameter in layer.named_parameters()
        if not name.startswith("base_layer.")
    )


@contextmanager
def merged(model: nn.Module) -> Iterator[None]:
    """Within the block ``model`` has ordinary layers, of weights that the adapters are added to.

    Afterwards it is what it was to the last bit: the very tensors that were there are put back.
    """
    with ExitStack() as stack, torch.no_grad():
        for parent, name, layer in _adapted(model):
            stack.enter_context(_merged_layer(parent, name, layer))
        part: Any
        for part in model.modules():
            # By it transformers would save adapters alone.
            if getattr(part, "_hf_peft_config_loaded", False):
                part._hf_peft_config_loaded = False
                stack.callback(setattr, part, "_hf_peft_config_loaded", True)
        yield


@contextmanager
def _merged_layer(parent: nn.Module, name: str, layer: Any) -> Iterator[None]:
    base = layer.get_base_layer()
    kept = dict(base._parameters)
    # Copies: towers may share frozen weights, each with adapters of its own.
    for key, parameter in kept.items():
        if parameter is not None:
            base._parameters[key] = nn.Parameter(parameter.clone(), requires_grad=False)
    try:
        layer.merge()
        parent._modules[name] = base
        yield
    finally:
        parent._modules[name] = layer
        layer.merged_adapters.clear()
        base._parameters.update(kept)


def _adapted(model: nn.Module) -> list[tuple[nn.Module, str, nn.Module]]:
    """Each layer with an adapter, with the module it is a part of and its name there."""
    library = sys.modules.get("peft.tuners.tuners_utils")
    if library is None:
        return []
    return [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent._modules.items()
        if isinstance(child, library.BaseTunerLayer)
    ]


def _targets(model: nn.Module, wanted: list[str] | None) -> list[str]:
    """Whole names of the linear layers that are asked for."""
    layers = [name for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    used = [name for name in layers if _UNUSED not in name.split(".")]
    if wanted is None:
        return used
    found = []
    for target in wanted:
        named = [name for name in layers if name == target or name.endswith(f".{target}")]
        if not named:
            ends = ", ".join(sorted({name.rpartition(".")[2] for name in used}))
            raise ConfigError(
                f"encoder.lora.target_modules: expected linear layers of the transformer ({ends}, or longer "
                f"ends of their names, as in {used[0] if used else 'none'}), got {target!r}"
            )
        found += named
    return list(dict.fromkeys(found))
