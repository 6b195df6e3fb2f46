"""``xmc serve``: an index over HTTP, with a page."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields

from xmc.cli.parser import make_parser, parse
from xmc.cli.query_options import add_device_option

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Serve an index until SIGTERM or Ctrl-C."""
    from xmc.serving.limits import ServingLimits

    parser = make_parser(
        "serve",
        "Serve an index over HTTP: searches, changes to its labels, metrics, and a page at /.",
        "xmc serve runs/demo-index",
    )
    parser.add_argument("index", help="An index folder.")
    parser.add_argument("--host", default="127.0.0.1", help="The address; the default is this machine's own.")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="The port; 0 takes any free one.")
    parser.add_argument(
        "--token-file",
        type=str | None,
        default=None,
        metavar="FILE",
        help="The token that changes need, else XMC_TOKEN; none: no changes.",
    )
    parser.add_argument(
        "--model",
        type=str | None,
        default=None,
        help="The model; by default the one the index was built with.",
    )
    add_device_option(parser.add_argument)
    parser.add_argument(
        "--watch",
        type=float,
        default=1.0,
        metavar="S",
        help="Seconds between two looks at the folder for a new version.",
    )
    for field in fields(ServingLimits):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            default=field.default,
            metavar="N",
            help=_LIMITS[field.name],
        )
    options = parse(parser, arguments)
    limits = ServingLimits(**{field.name: options[field.name] for field in fields(ServingLimits)})
    if options.watch <= 0:
        from xmc.errors import ConfigError

        raise ConfigError(f"--watch: expected more than 0 seconds, got {options.watch}")

    from xmc.serving.server import serve
    from xmc.serving.tokens import read_token

    token = read_token(options.token_file)
    serve(
        options.index,
        model=options.model,
        device=options.device,
        host=options.host,
        port=options.port,
        token=token,
        limits=limits,
        watch=options.watch,
        ready=lambda address: _announce(options.index, address, token),
    )


_LIMITS = {
    "max_text": "Characters of a query, or of a label's text.",
    "max_texts": "Queries of a request.",
    "max_k": "Labels of a query.",
    "max_changes": "Labels of a request that changes them.",
    "max_body": "Bytes of a request's body.",
    "max_seconds": "Seconds of a search, and for a request's body to arrive.",
    "max_change_seconds": "Seconds that a change is waited for.",
    "max_waiting": "Queries that may wait for their turn.",
    "batch_texts": "Queries encoded and searched at once.",
    "batch_wait": "Seconds a batch waits for more, while several clients ask.",
}


def _announce(index: str, address: str, token: str | None) -> None:
    curl = shlex.join(["curl", "--json", '{"text": "your text", "k": 5}', f"{address}/search"])
    changes = "labels can be changed with the token" if token else "read only (--token-file allows changes)"
    print(f"{index} at {address}, {changes}\n{curl}", flush=True)
