"""Which runtime computes a transformer: torch, or ONNX Runtime and OpenVINO through sentence-transformers."""

from __future__ import annotations

import os
from importlib.util import find_spec

from xmc.errors import ConfigError, ModelError

__all__ = ["BACKENDS", "VARIABLE", "chosen_backend", "require_backend"]

BACKENDS = ("torch", "onnx", "openvino")
VARIABLE = "XMC_BACKEND"

_NEEDED = {"onnx": "optimum.onnxruntime", "openvino": "optimum.intel"}


def chosen_backend(backend: str | None) -> str:
    """``backend``, or what ``$XMC_BACKEND`` says, or "torch".

    Raises:
        ConfigError: When there is no such runtime.
    """
    name, where = (os.environ.get(VARIABLE) or "torch", VARIABLE) if backend is None else (backend, "backend")
    if name not in BACKENDS:
        raise ConfigError(f"{where}: expected one of {', '.join(BACKENDS)}, got {name!r:.80}")
    return name


def require_backend(backend: str) -> None:
    """Refuse a runtime whose packages are not installed.

    Raises:
        ModelError: Naming what to install.
    """
    module = _NEEDED.get(backend)
    if module is None or _is_there(module):
        return
    raise ModelError(
        f"expected the package {module} for the backend {backend}, which is not installed: "
        f"pip install 'sentence-transformers[{backend}]', or leave the backend out (torch)"
    )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package it is in
        return False
