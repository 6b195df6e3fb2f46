"""Opening a model without the library's bar over its weights and its table of keys it did not need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging

__all__ = ["quiet_loading"]


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Within the block transformers shows no bars and reports errors only; afterwards as before."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        # Not enabled for a program that had them off before.
        if bars:
            logging.enable_progress_bar()
