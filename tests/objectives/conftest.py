from __future__ import annotations

from tests.training.conftest import changed, config, dataset, static_model

__all__ = ["changed", "config", "dataset", "static_model"]
