"""Dataclasses out of plain values, as JSON holds them: each value is checked against its field's type."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

__all__ = ["checked", "from_plain"]

T = TypeVar("T")


def from_plain(cls: type[T], values: object, *, extra: bool = False) -> T:
    """An instance of a dataclass, nested ones too.

    A whole number serves where a float is wanted, a list where a tuple is; a truth value is no number, and
    numbers are finite.

    Args:
        cls: The dataclass; its fields are of plain types, dataclasses, or lists, tuples, mappings, choices of
            those.
        values: By field; those with a default may be missing.
        extra: Leave keys that are no field aside.

    Raises:
        ValueError: Naming the field, what was expected and what came.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"expected a mapping of keys, got {values!r:.80}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = [key for key in values if key not in fields]
    if unknown and not extra:
        raise ValueError(f"unknown key {unknown[0]!r:.80}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ValueError(f"it lacks {name!r}")
    return cls(**{name: checked(name, hints[name], values[name]) for name in fields if name in values})


def checked(name: str, kind: Any, value: Any) -> Any:
    """A value of a type, as :func:`from_plain` takes that of a field.

    Raises:
        ValueError: With ``name``, what was expected and what came.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else from_plain(kind, value)  # type: ignore[arg-type]
    if origin is typing.Literal:
        if not any(value == option and type(value) is type(option) for option in inner):
            raise _wrong(name, f"one of {', '.join(map(repr, inner))}", value)
        return value
    if origin in (typing.Union, types.UnionType):
        return _first_fitting(name, inner, value)
    if origin in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise _wrong(name, "a list", value)
        return origin(checked(name, inner[0], item) for item in value)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(name, "a mapping", value)
        return {
            checked(name, inner[0], key): checked(f"{name}.{key}", inner[1], item)
            for key, item in value.items()
        }
    return _plain(name, kind, value)


def _first_fitting(name: str, options: tuple[Any, ...], value: Any) -> Any:
    if value is None and type(None) in options:
        return None
    reason: ValueError | None = None
    for option in options:
        if option is not type(None):
            try:
                return checked(name, option, value)
            except ValueError as error:
                reason = reason or error
    raise reason or _wrong(name, "null", value)


def _plain(name: str, kind: Any, value: Any) -> Any:
    if kind is float:
        if type(value) not in (int, float):
            raise _wrong(name, "a number", value)
        # A whole number of 400 digits is no float either.
        if abs(value) > 1.7e308 or not math.isfinite(value):
            raise _wrong(name, "a finite number", value)
        return value
    if type(value) is not kind:
        words = {int: "a whole number", str: "a text", bool: "true or false"}
        raise _wrong(name, words.get(kind, str(kind)), value)
    return value


def _wrong(name: str, expected: str, value: object) -> ValueError:
    return ValueError(f"{name}: expected {expected}, got {value!r:.80}")
