"""What a model's folder promises, held against what it holds, before and after the libraries build it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from xmc.received import read_json

if TYPE_CHECKING:
    from torch import nn

__all__ = ["check_finite", "check_layers", "check_vocabularies"]

_SPARE_IDS = 10_000
_LAYERS = re.compile(r"(^n_|_|^)(layers?|blocks?|stages?|repeats?)$")


def check_layers(folder: Path) -> None:
    """Refuse configurations of more layers than there are tensors in the weights.

    Libraries make every layer before they look for its weights, however many a configuration asks for.

    Raises:
        ValueError: Naming the file and its key; also for a configuration or weights that cannot be read.
        OSError, SafetensorError: When the weights are damaged.
    """
    tensors = 0
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, "np") as file:
            tensors += len(file.keys())
    for path in sorted(folder.rglob("config.json")):
        for key, value in _numbers(read_json(path)):
            if _LAYERS.search(key) and value > tensors:
                raise ValueError(
                    f"{path.relative_to(folder)} asks for {key} {value}, more than its {tensors} tensors"
                )


def check_vocabularies(folder: Path) -> None:
    """Refuse tokenizers with token ids far beyond the number of their tokens.

    The tokenizers library lists every id between that is of no token, 4 billion of them if need be.

    Raises:
        ValueError: Naming the file and the id; also for a file that cannot be read.
    """
    for path in sorted(folder.rglob("tokenizer.json")):
        content = read_json(path)
        vocabulary = content["model"].get("vocab") or {}
        ids = list(vocabulary.values()) if isinstance(vocabulary, dict) else []
        ids += [token["id"] for token in content.get("added_tokens") or []]
        last = max((number for number in ids if type(number) is int), default=0)
        if last > 2 * len(ids) + _SPARE_IDS:
            raise ValueError(f"{path.relative_to(folder)} gives {len(ids)} tokens ids up to {last}")


def _numbers(value: Any) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if type(inner) is int:
                yield str(key), inner
            yield from _numbers(inner)


def check_finite(model: nn.Module) -> None:
    """Refuse weights that are not finite.

    Raises:
        ValueError: Naming the first.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise ValueError(f"its weights {name} hold NaN or infinity")
