"""The callbacks of a run as one: each hook asks them in their order, and errors name whose they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm.auto import tqdm

from xmc.errors import ConfigError, XMCError
from xmc.training.callbacks.callback import Callback
from xmc.training.callbacks.run_state import RunState
from xmc.training.parts import PartConfig, make_part, said
from xmc.training.step import StepResult

__all__ = ["Callbacks", "build_callbacks"]


class Callbacks:
    """Calls each hook of every callback, in their order."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        """Take the callbacks in the order that they are to be called.

        Raises:
            ConfigError: When two have the same name, which tells them apart in checkpoints.
        """
        self.all = tuple(callbacks)
        twice = [name for name, count in Counter(c.name for c in self.all).items() if count > 1]
        if twice:
            raise ConfigError(
                f"training.callbacks: expected a name of its own for each callback, got {', '.join(twice)} "
                "more than once (the package's own are among them): give one another `name`"
            )

    @contextmanager
    def around(self, run: RunState) -> Iterator[None]:
        """Tell of the start, and of the end however it comes."""
        try:
            for callback in self.all:
                _call(callback, "on_start", run, run)
            yield
        except BaseException as error:
            self._end(run, error)
            raise
        self._end(run, None)

    def before_step(self, run: RunState) -> None:
        """See :class:`Callback`."""
        for callback in self.all:
            _call(callback, "before_step", run, run)

    def after_step(self, run: RunState, result: StepResult) -> None:
        """See :class:`Callback`."""
        for callback in self.all:
            _call(callback, "after_step", run, run, result)

    def after_validation(self, run: RunState, metrics: Mapping[str, float]) -> None:
        """See :class:`Callback`."""
        for callback in self.all:
            _call(callback, "after_validation", run, run, metrics)

    def on_save(self, run: RunState, path: Path | None) -> None:
        """See :class:`Callback`; nothing where nothing was written."""
        for callback in self.all if path is not None else ():
            _call(callback, "on_save", run, run, path)

    def state_dict(self) -> dict[str, Any]:
        """The state of each by name, for a checkpoint's JSON.

        Raises:
            XMCError: When one's is not made for JSON.
        """
        states = {}
        for callback in self.all:
            states[callback.name] = state = callback.state_dict()
            try:
                json.dumps(state)
            except (TypeError, ValueError) as error:
                raise XMCError(
                    f"callback {callback.name}: expected its state_dict to hold numbers, texts and lists "
                    f"for JSON: {error}"
                ) from error
        return {name: state for name, state in states.items() if state}

    def tensors(self) -> dict[str, Tensor]:
        """None: callbacks keep what JSON holds."""
        return {}

    def load(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Give each its state of a checkpoint. State of a callback that the run lacks is told of."""
        for callback in self.all:
            if callback.name in state:
                try:
                    callback.load_state_dict(state[callback.name])
                except Exception as error:
                    raise XMCError(
                        f"callback {callback.name}: loading its state failed {said(error)}"
                    ) from error
        unknown = sorted(set(state) - {callback.name for callback in self.all})
        if unknown:
            tqdm.write(f"the checkpoint has state of callbacks this run has not: {', '.join(unknown)}")

    def _end(self, run: RunState, error: BaseException | None) -> None:
        """Tell every callback of the end, also when one fails: then the first error is the run's."""
        failed: XMCError | None = None
        for callback in self.all:
            try:
                _call(callback, "on_end", run, run, error)
            except XMCError as of_callback:
                if error is not None or failed is not None:
                    tqdm.write(str(of_callback))
                failed = failed or of_callback
        if failed is not None and error is None:
            raise failed


def _call(callback: Callback, hook: str, run: RunState, *given: object) -> None:
    called: Callable[..., None] = getattr(callback, hook)
    try:
        called(*given)
    except Exception as error:
        if isinstance(error, XMCError) and type(callback).__module__.startswith("xmc.training."):
            raise  # ours say enough
        raise XMCError(
            f"callback {callback.name}: {hook} failed after step {run.step}, {said(error)}"
        ) from error


def build_callbacks(parts: Sequence[PartConfig]) -> list[Callback]:
    """The callbacks that ``training.callbacks`` names.

    Raises:
        ConfigError: When one cannot be made, or is no :class:`Callback`.
    """
    option, made = "training.callbacks", []
    for part in parts:
        callback = make_part(option, part, {})
        if not isinstance(callback, Callback):
            raise ConfigError(
                f"{option}: expected {part.name} to make an xmc.training.Callback, got "
                f"{type(callback).__name__}: make it a subclass"
            )
        made.append(callback)
    return made
