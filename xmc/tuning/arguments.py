"""The arguments of a fit, checked before it does anything."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from xmc.data import Dataset
from xmc.data.tables import TableOptions
from xmc.errors import ConfigError
from xmc.training import TrainConfig
from xmc.typed import checked

__all__ = ["OWN", "check_fixed", "check_plain", "given_data", "given_files"]

OWN = ("seed", "data.path", "run.dir", "run.resume", "run.overwrite", "validation.")
"""Options, or beginnings of their names, that a fit sets itself."""

_TABLE = "; save a table first, as with frame.to_csv('clicks.csv', index=False)"


def given_data(data: object) -> Dataset | list[str | Path]:
    """A data set, or the folder or files of one.

    Raises:
        ConfigError: For anything else, and for none.
    """
    if isinstance(data, Dataset):
        return data
    found = _paths(data)
    if found is None:
        mend = _TABLE if hasattr(data, "columns") or _holds_records(data) else ""
        raise _wrong("data", "a data set, or the path of a folder, a file or several", data, mend)
    if not found:
        raise ConfigError("data: expected a data set or files, got none")
    return found


def given_files(name: str, files: object) -> list[str | Path]:
    """The paths of files, one or several.

    Raises:
        ConfigError: For anything else.
    """
    found = _paths(files)
    if found is None:
        raise _wrong(name, "the path of a file, or a list of them", files)
    return found


def check_plain(
    *, out: object, labels: object, split: object, tables: object, budget: object, seed: object, say: object
) -> None:
    """Refuse arguments of other kinds than their own.

    Raises:
        ConfigError: Naming the first.
    """
    if not isinstance(out, (str, Path)):
        raise _wrong("out", "the path of a folder", out)
    if not (labels is None or isinstance(labels, (str, Path))):
        raise _wrong("labels", "the path of one table of labels, or None", labels)
    if not (split is None or _is(Real, split)):
        raise _wrong("split", "a number such as 0.1, or None for no split", split)
    if not (tables is None or isinstance(tables, TableOptions)):
        raise _wrong("tables", "xmc.data.tables.TableOptions, or None", tables)
    if not (budget is None or isinstance(budget, str) or _is(Real, budget)):
        raise _wrong("budget", 'a time such as "10m", or a number of seconds', budget)
    if not _is(Integral, seed):
        raise _wrong("seed", "a whole number", seed)
    if not callable(say):
        raise _wrong("say", "a function of a line of text", say)


def check_fixed(fixed: object) -> dict[str, Any]:
    """Options of a recipe by dotted name, each of a value that it can have.

    Raises:
        ConfigError: For a name that no option has, for one of `OWN`, and for a value of another kind.
    """
    if fixed is None:
        return {}
    if not isinstance(fixed, Mapping) or not all(isinstance(name, str) for name in fixed):
        raise _wrong("fixed", 'values by the dotted names of options, as {"training.epochs": 5.0}', fixed)
    taken = sorted(name for name in fixed if name.startswith(OWN))
    if taken:
        raise ConfigError(f"fixed: expected options that a fit leaves to you, got {', '.join(taken)}")
    for name, value in fixed.items():
        kind = _kind(TrainConfig, name)
        if not _has_parts(kind):  # those come as names and as options, which the configuration tells apart
            try:
                checked(name, kind, value)
            except ValueError as error:
                raise ConfigError(f"fixed: {error}") from None
    return dict(fixed)


def _kind(owner: Any, name: str) -> Any:
    """The type of an option of a section, by its dotted name in that."""
    kind: Any = owner
    for part in name.split("."):
        hints = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        if part not in hints:
            known = f": one of {', '.join(sorted(hints))}" if hints else ""
            raise ConfigError(f"fixed: expected an option of a recipe, got {name}{known}")
        kind = hints[part]
    if dataclasses.is_dataclass(kind):
        inner = ", ".join(sorted(typing.get_type_hints(kind)))
        raise ConfigError(f"fixed: expected an option of the section {name}, as {name}.NAME: one of {inner}")
    return kind


def _has_parts(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) or any(_has_parts(inner) for inner in typing.get_args(kind))


def _paths(given: object) -> list[str | Path] | None:
    """Paths, one or several, or None for anything else, such as a table, whose columns have names too."""
    if isinstance(given, (str, Path)):
        return [given]
    if not isinstance(given, (Sequence, Iterator)):
        return None
    found = list(given)
    return found if all(isinstance(one, (str, Path)) for one in found) else None


def _holds_records(given: object) -> bool:
    return isinstance(given, Sequence) and any(isinstance(one, Mapping) for one in given)


def _is(kind: type, value: object) -> bool:
    """Whether it is a number of a kind; a truth value is none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _wrong(name: str, expected: str, value: object, mend: str = "") -> ConfigError:
    shown = " ".join(repr(value).split())
    return ConfigError(f"{name}: expected {expected}, got {type(value).__name__} {shown:.80}{mend}")
