"""Which precision the encoders' forward passes run in."""

from __future__ import annotations

import torch

from xmc.errors import ConfigError

__all__ = ["mixed_precision"]


def mixed_precision(precision: str) -> str:
    """Accelerate's name, "bf16" or "no", for "auto", "fp32" or "bf16".

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
