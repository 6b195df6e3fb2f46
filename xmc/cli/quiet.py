"""Keeps what the libraries underneath log, show and warn of, and repetitions, out of a command's output."""

from __future__ import annotations

import logging
import os
import warnings

__all__ = ["SaidOnce", "quiet_libraries"]

_DEFAULTS = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TOKENIZERS_PARALLELISM": "true",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


class SaidOnce(logging.Filter):
    """Lets each message of some loggers through once: a command may encode the same texts several times."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._names, self._said = names, set[str]()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the message is of another logger, or new."""
        if record.name not in self._names:
            return True
        known = record.getMessage() in self._said
        self._said.add(record.getMessage())
        return not known


def quiet_libraries() -> None:
    """Set the libraries' own switches, each only where the user has not; call it before they are imported.

    This package's own notes and warnings do reach stderr.
    """
    handler = logging.StreamHandler()
    handler.addFilter(SaidOnce("xmc.encoders.cut_count"))
    logging.basicConfig(format="%(message)s", level=logging.ERROR, handlers=[handler])
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
