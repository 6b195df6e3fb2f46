"""From an objective's name and options to what a step calls."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from xmc.errors import ConfigError
from xmc.objectives.catalogue import facts_of
from xmc.objectives.objective import Loss
from xmc.objectives.plain import GIVEN, is_plain_loss, plain_objective
from xmc.plugins import is_reference, load_object

__all__ = ["build_objective"]


def build_objective(name: str, options: Mapping[str, Any] | None = None) -> Loss:
    """The objective of a name, with its own options.

    Args:
        name: Of the catalogue, or ``package.module:attribute`` or ``./file.py:attribute``: an objective, a
            function that builds one from options, or a plain loss (:class:`xmc.objectives.plain.PlainLoss`).
        options: The objective's own keywords, such as ``{"k": 5, "alpha": 2.0}`` for soft top-k.

    Raises:
        ConfigError: When there is no such objective, or it has no such option; the text names the nearest.
    """
    options = dict(options or {})
    if is_reference(name):
        return _from_reference(name, options)
    module = importlib.import_module(facts_of(name).module)
    return _build(name, module.objective, options)


def _from_reference(name: str, options: dict[str, Any]) -> Loss:
    found = load_object(name)
    if is_plain_loss(found):
        _check_options(name, found, options)
        return plain_objective(name, found, options)
    # An objective has facts; so does the class of one, which is yet to be built.
    if hasattr(found, "facts") and not inspect.isclass(found):
        if options:
            raise ConfigError(
                f"objective.options: {name} is an objective already and takes none, got "
                f"{', '.join(options)}: refer to a function that builds it"
            )
        return cast(Loss, found)
    if not callable(found):
        raise ConfigError(
            f"objective.name: expected {name} to be an objective, a function that builds one, or a loss of "
            f"queries, labels and positives, got {type(found).__name__}"
        )
    return _build(name, found, options)


def _build(name: str, builder: Callable[..., Any], options: dict[str, Any]) -> Loss:
    _check_options(name, builder, options)
    parameters = inspect.signature(builder).parameters.values()
    missing = [
        p.name
        for p in parameters
        if p.default is inspect.Parameter.empty and p.kind not in _COLLECTING and p.name not in options
    ]
    if missing:
        raise ConfigError(
            f"objective.name: expected {name} to be a loss with arguments named queries, labels and "
            "positives, or a function that builds an objective from objective.options, got one that asks for "
            f"{', '.join(missing)}"
        )
    made = builder(**options)
    if not (callable(made) and hasattr(made, "facts")):
        raise ConfigError(
            f"objective.name: expected {name} to build an objective (xmc.objectives.Objective), got "
            f"{type(made).__name__}; a plain loss takes arguments named queries, labels and positives"
        )
    loss = cast(Loss, made)
    if not loss.facts.name:
        # What is built from a reference may be nameless; messages and logs then use the reference.
        loss = cast(Loss, replace(made, facts=replace(loss.facts, name=name)))
    return loss


_COLLECTING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _check_options(name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(function).parameters.values()
    any_name = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    # What a step gives by itself is no option.
    own = sorted(p.name for p in parameters if p.name not in GIVEN and p.kind not in _COLLECTING)
    for option in options:
        if option in GIVEN or not (any_name or option in own):
            near = difflib.get_close_matches(option, own, n=1)
            known = f"expected one of {', '.join(own)}" if own else "it has none"
            hint = f"did you mean '{near[0]}'?" if near else known
            raise ConfigError(f"objective.options: {name} has no option '{option}': {hint}")
