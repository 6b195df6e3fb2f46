"""Times and memory of a function on a GPU, or on a CPU where everything only has to run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["matrix_rate", "median_milliseconds", "peak_extra_bytes", "product_milliseconds", "wait_for"]

PRODUCT_LABELS = 1 << 17  # the plain product writes into one buffer of this many labels
_rates: dict[tuple[str, torch.dtype], float] = {}
_products: dict[tuple[str, torch.dtype, int, int, int], float] = {}


def wait_for(device: str) -> None:
    """Return when the device has done all that was launched."""
    if device == "cuda":
        torch.cuda.synchronize()


def median_milliseconds(
    function: Callable[[], object], device: str, *, repeats: int = 20, seconds: float = 1.0
) -> float:
    """The median of up to ``repeats`` runs after one to warm up: at least 3, for about ``seconds``."""
    function()
    taken: list[float] = []
    started = time.perf_counter()
    while len(taken) < min(3, repeats) or (len(taken) < repeats and time.perf_counter() - started < seconds):
        taken.append(_once(function, device))
    return statistics.median(taken)


def matrix_rate(device: str, dtype: torch.dtype, side: int = 8192) -> float:
    """Operations a second of a square product in ``dtype``: what the card gives, measured once a process."""
    side = side if device == "cuda" else 64
    if (device, dtype) not in _rates:
        left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(left)
        milliseconds = median_milliseconds(lambda: torch.mm(left, right, out=out), device)
        _rates[device, dtype] = 2.0 * side**3 / (milliseconds * 1e-3)
    return _rates[device, dtype]


def product_milliseconds(queries: Tensor, labels: Tensor, device: str, repeats: int) -> float:
    """All scores [B, L] once, in the embeddings' type, into one buffer; measured once for each shape."""
    key = (device, queries.dtype, len(queries), *labels.shape)
    if key not in _products:
        _products[key] = median_milliseconds(lambda: _product(queries, labels), device, repeats=repeats)
    return _products[key]


def peak_extra_bytes(step: Callable[[], object], returned: Sequence[Tensor]) -> int:
    """Most memory of a GPU that ``step`` takes beyond what it returns, tensors of the sizes of these."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    size = sum(tensor.numel() * tensor.element_size() for tensor in returned)
    return max(0, torch.cuda.max_memory_allocated() - before - size)


def _product(queries: Tensor, labels: Tensor) -> None:
    width = min(PRODUCT_LABELS, len(labels))
    out = queries.new_empty(len(queries), width)
    with torch.no_grad():
        for start in range(0, len(labels), width):
            part = labels[start : start + width]
            torch.mm(queries, part.T, out=out[:, : len(part)])


def _once(function: Callable[[], object], device: str) -> float:
    if device != "cuda":
        begun = time.perf_counter()
        function()
        return (time.perf_counter() - begun) * 1e3
    # Events are on the GPU's own clock: launching is asynchronous, and the host's clock would time that.
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    function()
    stop.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(stop))
