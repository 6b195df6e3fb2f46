"""Which precision the encoders' forward passes run in."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import torch

from xmc.encoders.micro_batches import AutocastFactory
from xmc.errors import ConfigError

__all__ = ["autocast_in", "mixed_precision"]


def autocast_in(precision: str, device: torch.device) -> AutocastFactory:
    """What makes the context that encoders run in on a device, for "auto", "fp32" or "bf16".

    Not Accelerate's: the process may have been set up for another precision by an earlier run or by another
    library's trainer, which Accelerate does not change.

    Raises:
        ConfigError: As :func:`mixed_precision`.
    """
    if mixed_precision(precision) == "no":
        return nullcontext
    return partial(torch.autocast, device.type, dtype=torch.bfloat16)


def mixed_precision(precision: str) -> str:
    """Whether encoders run in "bf16", or "no", for "auto", "fp32" or "bf16".

    "auto" is bf16 on a GPU that computes in it. A CPU gets fp32: without tile matrix units (AMX) autocast to
    bf16 is slower than float32.

    Raises:
        ConfigError: When bf16 is asked for on a CPU without AMX, where it would only cost time and precision.
    """
    if precision == "fp32":
        return "no"
    if torch.cuda.is_available():
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        supported = torch.cpu._is_amx_tile_supported()
    if precision == "bf16" and not supported:
        raise ConfigError(
            "training.precision: expected a device that computes in bf16, got one that emulates it, slower "
            "than fp32; use auto or fp32"
        )
    return "bf16" if supported else "no"
