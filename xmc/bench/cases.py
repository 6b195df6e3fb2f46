"""Measured cases as JSON, with the machine they were measured on."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

__all__ = ["cases_as_json"]


def cases_as_json(cases: Sequence[Any], properties: Sequence[str] = ()) -> dict[str, Any]:
    """Dataclass instances and what they were measured on, for a JSON file.

    Args:
        cases: Whose fields are written.
        properties: Names of what is written of each case besides.
    """
    return {
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cases": [{**asdict(case), **{name: getattr(case, name) for name in properties}} for case in cases],
    }
