"""The token that changes to the labels need: where it is read, and how one that came is compared."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from xmc.errors import ConfigError
from xmc.received import read_text, reading

__all__ = ["TOKEN_VARIABLE", "is_token", "read_token"]

TOKEN_VARIABLE = "XMC_TOKEN"
_LEAST = 16
_LIMIT = 4_096


def read_token(file: str | Path | None) -> str | None:
    """The token in ``file``, else that of the environment variable XMC_TOKEN; None when there is neither.

    Raises:
        ConfigError: When it cannot be read, is shorter than 16 characters, or could not be sent in a header.
    """
    if file is not None:
        with reading(file, "a file with the token on its one line", error=ConfigError):
            token = read_text(Path(file), _LIMIT).strip()
        place = f"--token-file {file}"
    elif TOKEN_VARIABLE in os.environ:
        token, place = os.environ[TOKEN_VARIABLE].strip(), f"the environment variable {TOKEN_VARIABLE}"
    else:
        return None
    if len(token) < _LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"{place}: expected a token of at least {_LEAST} printable ASCII characters without spaces, got "
            f"{len(token)} characters: make one with `openssl rand -hex 32`"
        )
    return token


def is_token(came: str, token: str) -> bool:
    """Whether a text is the token, in a time that tells neither how much of it is right nor its length."""
    digests = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (came, token)]
    return hmac.compare_digest(*digests)
