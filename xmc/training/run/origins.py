"""Which code of the user's own took part in a run."""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xmc.files import sha256_file
from xmc.plugins import is_reference, load_object
from xmc.training.config import TrainConfig
from xmc.training.parts import was_given

__all__ = ["origins", "references", "source_file"]


def references(config: TrainConfig) -> list[str]:
    """Every reference to code in a configuration, once, in order."""
    names = [config.objective.name, *(term.name for term in config.objective.terms)]
    names += [config.encoder.builder or ""]
    parts = [*config.negatives.sources, *config.training.callbacks]
    names += [part if isinstance(part, str) else part.name for part in parts]
    return list(dict.fromkeys(name for name in names if is_reference(name)))


def origins(config: TrainConfig, given: Iterable[tuple[str, object]] = ()) -> list[dict[str, str]]:
    """Where each part of the user's own comes from.

    Args:
        config: Whose references are looked up; they are loaded already.
        given: What a script handed over, each with the name that ``config`` shows it by.

    Returns:
        For each its ``name``, and where they are known ``file``, the ``sha256`` of that one file (not of what
        it imports), and the installed ``distribution`` with its version.
    """
    found = [(name, load_object(name)) for name in references(config) if not was_given(name)]
    return [{"name": name, **_origin(part)} for name, part in [*found, *given]]


def source_file(part: object) -> Path | None:
    """The file of the module that a part, or its class, is of; None where there is none."""
    file = getattr(sys.modules.get(_owner(part).__module__), "__file__", None)
    return None if file is None else Path(file).resolve()


def _owner(part: object) -> Any:
    return part if inspect.isclass(part) or inspect.isroutine(part) else type(part)


def _origin(part: object) -> dict[str, str]:
    file = source_file(part)
    if file is None:
        return {}
    origin = {"file": str(file), "sha256": sha256_file(file)}
    package = _owner(part).__module__.partition(".")[0]
    if package != "xmc" and (known := _distributions().get(package)):
        origin["distribution"] = f"{known[0]} {importlib.metadata.version(known[0])}"
    return origin


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """The installed distributions of each package, looked up once per process: a quarter of a second."""
    return importlib.metadata.packages_distributions()
