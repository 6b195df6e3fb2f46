"""Whether the Triton kernels can serve given tensors and a statistic, and if not, why and what to do."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor

from xmc.errors import ConfigError, DependencyError
from xmc.scoring.statistic import FusedStatistic, RowStatistic

__all__ = ["chosen_by_auto", "require_device", "require_triton", "served_dtypes"]

served_dtypes = (torch.float32, torch.bfloat16, torch.float16)


def chosen_by_auto(queries: Tensor, labels: Tensor, statistic: RowStatistic) -> bool:
    """Whether ``implementation="auto"`` takes the kernels: on a GPU, where they can serve what is given."""
    if not queries.is_cuda or find_spec("triton") is None or _unserved(queries, labels, statistic):
        return False
    # Only now, as it imports Triton.
    from xmc.scoring.fused.kernels import INTERPRETED

    return not INTERPRETED and _too_old(queries.device) is None


def require_triton(queries: Tensor, labels: Tensor, statistic: RowStatistic) -> None:
    """Check that ``implementation="triton"`` can serve what is given.

    Raises:
        DependencyError: When Triton is not installed.
        ConfigError: When tensors are not on a GPU (and Triton's interpreter is not asked for), or their type
            or the statistic is not served.
    """
    _require_installed()
    _refuse(_unserved(queries, labels, statistic))
    require_device(queries.device)


def require_device(device: torch.device) -> None:
    """Check that ``implementation="triton"`` can run on a device.

    Raises:
        DependencyError: When Triton is not installed.
        ConfigError: When it is no GPU (and Triton's interpreter is not asked for), or one that is too old.
    """
    _require_installed()
    _refuse(_too_old(device) or _not_runnable(device))


def _require_installed() -> None:
    if find_spec("triton") is None:
        raise DependencyError(
            "the triton implementation needs Triton, which CUDA builds of torch for Linux bring along: "
            "pip install 'triton>=3.4', or use implementation 'tiled'"
        )


def _refuse(reason: str | None) -> None:
    if reason is not None:
        raise ConfigError(f"the triton implementation {reason}; use 'tiled' or 'auto'")


def _unserved(queries: Tensor, labels: Tensor, statistic: RowStatistic) -> str | None:
    for name, tensor in (("queries", queries), ("labels", labels)):
        if tensor.dtype not in served_dtypes:
            kinds = ", ".join(str(dtype).removeprefix("torch.") for dtype in served_dtypes)
            return f"serves {kinds}, got {name} in {str(tensor.dtype).removeprefix('torch.')}"
    if not isinstance(statistic, FusedStatistic):
        return f"needs a statistic with Triton functions, got {type(statistic).__name__}"
    return None


def _too_old(device: torch.device) -> str | None:
    if device.type != "cuda" or torch.version.hip is not None:
        return None
    capability = torch.cuda.get_device_capability(device)
    if capability >= (8, 0):
        return None
    return f"needs a GPU of compute capability 8.0 or later, got {capability[0]}.{capability[1]}"


def _not_runnable(device: torch.device) -> str | None:
    from xmc.scoring.fused.kernels import INTERPRETED

    if device.type == "cuda" or INTERPRETED:
        return None
    return (
        f"runs on a GPU, got tensors on {device.type} (to test without one, set TRITON_INTERPRET=1 "
        "before Python starts)"
    )
