"""Keeps the log lines, bars and warnings of the libraries underneath out of a command's output."""

from __future__ import annotations

import logging
import os
import warnings

__all__ = ["quiet_libraries"]

_DEFAULTS = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TOKENIZERS_PARALLELISM": "true",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


def quiet_libraries() -> None:
    """Set the libraries' own switches, each only where the user has not; call it before they are imported.

    This package's own notes and warnings do reach stderr.
    """
    logging.basicConfig(format="%(message)s", level=logging.ERROR)
    logging.getLogger("xmc").setLevel(logging.INFO)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("PYTHONWARNINGS"):
        for module in (
            "torch",
            "transformers",
            "sentence_transformers",
            "accelerate",
            "datasets",
            "jsonargparse",
            "faiss",
        ):
            warnings.filterwarnings("ignore", module=rf"{module}(\..*)?")
        # Issued from importlib's frames, so no module pattern catches it.
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
