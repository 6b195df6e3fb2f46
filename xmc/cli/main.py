"""Chooses the verb, and turns errors into one line and an exit code.

0: done. 2: something to mend. 3: another process of the run failed. 130: interrupted. 143: terminated.
"""

from __future__ import annotations

import difflib
import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from xmc import __version__
from xmc.errors import ConfigError, RankError, XMCError

__all__ = ["VERBS", "guarded", "main"]

_LONGEST = 2000
"""Characters of a message that are shown."""

VERBS = {
    "demo": "data, training, evaluation and a search on documentation strings, in minutes",
    "data": "build, import or describe a prepared data set",
    "fit": "from clicks to a searched index, with a recipe chosen for the data",
    "train": "train a dual encoder from a YAML recipe",
    "distill": "train a student on what other models say of the training queries",
    "recipes": "the recipes that are shipped: list, show, copy",
    "index": "label indexes: build, add, update, remove, info, merge, tune",
    "search": "rank an index's labels for a text",
    "encode": "embeddings of a data set's texts, in shards that many processes write",
    "export": "an index's labels into a vector engine or Parquet, and searches there",
    "serve": "an index over HTTP: searches, changes, metrics, a page",
    "predict": "the labels of texts in a file, by a threshold where wanted",
    "calibrate": "probabilities and thresholds of a model, from held-out rows",
    "evaluate": "score a model on a data set's test split",
    "score": "measure any system's predictions on a data set",
    "fuse": "one ranking out of several systems', weights from held-out rows",
    "compare": "two runs on the same queries: differences, p-values, changed queries",
    "table": "runs by metrics, mean and deviation over seeds; Markdown, LaTeX, CSV",
    "report": "a page about one run, or several side by side",
    "bench": "time and memory of the objectives on this machine",
    "doctor": "versions, devices, FAISS flavour, and what is missing",
}
"""Verb to one line of help; the module of a verb is ``xmc.cli.<verb>`` and holds ``run(arguments)``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ``xmc`` command with ``arguments`` (default: the process's own); returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    code = guarded(lambda: _dispatch(words))
    if arguments is None and words[:1] == ["search"] and "torch" not in sys.modules:
        # The process ends, and Python's last look for cycles takes a twentieth of the time of a search, which
        # leaves nothing to be closed by it. Of what torch brings along Triton would report its objects.
        gc.freeze()
    return code


def guarded(work: Callable[[], None]) -> int:
    """Run ``work`` as a command does, and return its exit code.

    An XMCError, a file that cannot be read or written, or Ctrl-C becomes one line on stderr.
    """
    try:
        work()
        sys.stdout.flush()
    except RankError as error:
        print(f"error{_rank_suffix()}: {error}", file=sys.stderr)
        return error.exit_code
    except XMCError as error:
        print(f"error{_rank_suffix()}: {_shown(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        code = int(getattr(error, "exit_code", 130))
        print("interrupted" if code == 130 else "terminated", file=sys.stderr)
        return code
    except BrokenPipeError:
        # The reader (`| head`) went away; without this the interpreter complains again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.filename is None:  # no file's fault: a traceback tells more
            raise
        print(f"error{_rank_suffix()}: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def _shown(text: str) -> str:
    """A message that may quote a file: cut, and without what would command a terminal."""
    plain = "".join(
        letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text
    )
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


def _dispatch(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
    elif words[0] == "--version":
        print(f"xmc {__version__}")
    elif words[0] in VERBS:
        from xmc.cli.quiet import quiet_libraries

        quiet_libraries()
        importlib.import_module(f"xmc.cli.{words[0]}").run(words[1:])
    else:
        near = difflib.get_close_matches(words[0], VERBS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "expected one of " + ", ".join(VERBS)
        raise ConfigError(f"unknown command '{words[0]}': {hint} (xmc --help lists them)")


def _help() -> str:
    rows = "\n".join(f"  {verb:<9} {summary}" for verb, summary in VERBS.items())
    return f"""usage: xmc COMMAND ...

Extreme multi-label classification with dual encoders: text in, ranked labels out.

commands:
{rows}

options:
  --help     show this; `xmc COMMAND --help` shows a command's options and an example
  --version  show the version

example:
  xmc data build api-docs data/api-docs"""


def _rank_suffix() -> str:
    rank = os.environ.get("RANK", "0")
    return "" if rank == "0" else f" (rank {rank})"
