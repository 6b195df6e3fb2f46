"""Failures of an objective of the user's own in a line: which it is, where in its file, and with what."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from xmc.errors import ConfigError, XMCError
from xmc.objectives.catalogue import ObjectiveFacts
from xmc.objectives.objective import Loss, Reduction
from xmc.plugins import is_reference, load_object
from xmc.scoring import ScoreInputs
from xmc.training.config import ObjectiveConfig
from xmc.training.memory_limit import is_out_of_memory
from xmc.training.parts import was_given
from xmc.training.run.origins import source_file

__all__ = ["raise_named", "with_named_failures"]


@dataclass(frozen=True)
class OwnCode:
    """Code that a recipe refers to: by which option and name, and in which file it is."""

    option: str
    name: str
    file: Path


@dataclass(frozen=True)
class NamedFailures:
    """A loss whose exceptions in the user's own code name that code; see :class:`Loss`."""

    loss: Loss
    own: tuple[OwnCode, ...]

    @property
    def facts(self) -> ObjectiveFacts:
        """The loss's."""
        return self.loss.facts

    def __call__(self, inputs: ScoreInputs, reduction: Reduction = "mean") -> Tensor:
        """See :class:`Loss`.

        Raises:
            ConfigError: When the user's code raises what is neither an XMCError nor memory that ran out.
        """
        try:
            return self.loss(inputs, reduction)
        except Exception as error:
            raise_named(self, error)
            raise


def raise_named(loss: Loss, error: Exception) -> None:
    """Raise what a loss's forward or backward pass raised as an error that names the user's code.

    It returns where that says enough (an XMCError), is memory that ran out, or did not pass through the
    user's code.

    Raises:
        ConfigError: Naming it.
    """
    if not isinstance(loss, NamedFailures) or isinstance(error, XMCError) or is_out_of_memory(error):
        return
    if (said := failure(error, loss.own)) is not None:
        raise ConfigError(said) from error


def with_named_failures(loss: Loss, config: ObjectiveConfig) -> Loss:
    """The loss with :class:`NamedFailures` where a recipe names code of the user's own, or as it is."""
    named = [("objective.name", config.name), *(("objective.terms", term.name) for term in config.terms)]
    own = [
        OwnCode(option, name, file)
        for option, name in named
        if is_reference(name) and not was_given(name) and (file := source_file(load_object(name))) is not None
    ]
    return NamedFailures(loss, tuple(own)) if own else loss


def failure(error: Exception, own: tuple[OwnCode, ...]) -> str | None:
    """Which code of the user's own failed, at which line of its file and with what; None where none did.

    The line is the innermost in the folder of that file: what a library raises below says less.
    """
    frames = [(Path(f.filename).resolve(), f) for f in traceback.extract_tb(error.__traceback__)]
    concerned = [code for code in own if any(file.parent == code.file.parent for file, _ in frames)]
    if not concerned:
        return None
    # The one whose function was entered. A backward pass enters none by name, and may be of any of a folder.
    entered = {(file, frame.name) for file, frame in frames}
    named = [code for code in concerned if (code.file, code.name.rpartition(":")[2]) in entered][:1]
    named = named or [code for code in concerned if code.file in {file for file, _ in frames}] or concerned
    place = [frame for file, frame in frames if file.parent == named[0].file.parent][-1]
    said = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    which = " or ".join(dict.fromkeys(f"{code.option}: {code.name}" for code in named))
    return f"{which} failed at {place.filename}:{place.lineno}: {said}"
