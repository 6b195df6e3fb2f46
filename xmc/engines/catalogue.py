"""The engines by name, each in a file of its own that is imported when it is asked for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from xmc.engines.protocol import Engine
from xmc.errors import ConfigError, DependencyError

__all__ = ["ENGINES", "KEY_VARIABLE", "EngineKind", "open_engine"]

KEY_VARIABLE = "XMC_ENGINE_KEY"
"""The environment variable of an engine's secret: an API key, a token, or user:password."""


@dataclass(frozen=True)
class EngineKind:
    """Where an engine's code is, and what it needs.

    Attributes:
        module: The file, with a function ``open_collection(place, name)``.
        packages: What it imports beyond the package's own dependencies.
        places: What a place of it looks like.
    """

    module: str
    packages: tuple[str, ...]
    places: str


ENGINES: Mapping[str, EngineKind] = {
    "parquet": EngineKind("xmc.engines.parquet", (), "a folder"),
    "lancedb": EngineKind("xmc.engines.lance", ("lancedb",), "a folder or an address of object storage"),
    "qdrant": EngineKind("xmc.engines.qdrant", ("qdrant_client",), "a folder, or http://localhost:6333"),
    "milvus": EngineKind("xmc.engines.milvus", ("pymilvus",), "a file labels.db, or http://localhost:19530"),
    "pgvector": EngineKind("xmc.engines.pgvector", ("psycopg",), "postgresql://localhost/shop"),
    "opensearch": EngineKind("xmc.engines.opensearch", (), "http://localhost:9200"),
}
"""By the name of ``xmc export --to``, which is also that of the optional extra of its packages."""

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PASSWORD = re.compile(r"://[^/@]*:[^/@]+@|\bpassword\s*=")
"""Of PostgreSQL, in an address or in words of ``name=value``."""


def open_engine(kind: str, place: str, name: str = "labels") -> Engine:
    """The collection ``name`` in an engine at ``place``; it need not be there yet.

    Raises:
        ConfigError: For an unknown engine, a name that not every engine takes, or a place that is empty, no
            address, or one with a secret.
        DependencyError: When its package is not installed, with the command that installs it.
        XMCError: When nothing answers at the place.
    """
    if kind not in ENGINES:
        raise ConfigError(f"expected an engine of {', '.join(ENGINES)}, got {kind!r}")
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"expected a collection's name of small letters, digits and _, at most 63, got {name!r:.80}"
        )
    _check_place(kind, place)
    for package in ENGINES[kind].packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise DependencyError(
                f"{kind} needs {package.replace('_', '-')}, but importing it failed ({error}): "
                f'`pip install "xmc-dual-encoder[{kind}]"`'
            ) from error
    module = importlib.import_module(ENGINES[kind].module)
    return cast(Engine, module.open_collection(place, name))


def _check_place(kind: str, place: str) -> None:
    """Refuse, with a ConfigError, a place that is none, and an address that has a secret in it."""
    if not place.strip():
        raise ConfigError(
            f"expected the place of {kind} (--out), such as {ENGINES[kind].places}, got an empty one"
        )
    try:
        address = urlsplit(place)
    except ValueError as error:
        raise ConfigError(
            f"expected an address such as {ENGINES[kind].places}, got {place!r} ({error})"
        ) from error
    if address.scheme in ("http", "https") and "@" in address.netloc:
        mend = f"set {KEY_VARIABLE} instead"
    elif kind == "pgvector" and _PASSWORD.search(place):
        mend = "PostgreSQL takes its password from PGPASSWORD or ~/.pgpass"
    else:
        return
    raise ConfigError(f"expected an address without a secret, which messages would show: {mend}")
