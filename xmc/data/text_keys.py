"""What makes two texts the same, and shares of texts drawn by a hash: the same text always falls alike."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable

import numpy as np

from xmc.errors import ConfigError
from xmc.random_streams import check_seed

__all__ = ["check_share", "drawn", "folded", "places", "text_hashes"]


def folded(text: str) -> str:
    """``text`` without what does not make another text of it: case, runs of white space, Unicode's variants.

    NFKC normalisation and case folding (Unicode standard annex 15 and chapter 3.13): "Straße " and "STRASSE"
    are one text.
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def text_hashes(texts: Iterable[str]) -> np.ndarray:
    """A hash of each text's :func:`folded` form, [N] uint64; the same on every machine."""
    return np.fromiter((_hash(folded(text).encode("utf-8", "surrogatepass")) for text in texts), np.uint64)


def places(keys: Iterable[str], seed: int) -> np.ndarray:
    """Where the hash of each key and ``seed`` puts it, [N] float64, uniform in [0, 1).

    Keys are compared in their :func:`folded` form.
    """
    check_seed("seed", seed)
    salt = f"{seed}\0"
    hashes = (_hash((salt + folded(key)).encode("utf-8", "surrogatepass")) for key in keys)
    # The 53 bits that a float64 holds, so that no place is rounded up to 1.
    return np.asarray((np.fromiter(hashes, np.uint64) >> np.uint64(11)).astype(np.float64) / 2.0**53)


def drawn(keys: Iterable[str], share: float, seed: int) -> np.ndarray:
    """Which of the keys are drawn, [N] bool: those whose place is below ``share``, and at least one.

    A key is drawn or not whatever the others are, so that it stays on its side as data grow. Only where none
    is below are those of the lowest place taken instead, and where all are, those of the highest left out.

    Raises:
        ConfigError: When ``share`` is not between 0 and 1, or there are not two different keys.
    """
    check_share("share", share)
    where = places(keys, seed)
    if len(where) == 0 or where.min() == where.max():
        raise ConfigError(
            f"expected at least two different texts, of which a share is held out, got {min(len(where), 1)}: "
            "bring more data, or hold none out"
        )
    chosen = where < share
    if not chosen.any():
        chosen = where == where.min()
    elif chosen.all():
        chosen = where < where.max()
    return np.asarray(chosen)


def check_share(option: str, share: float) -> None:
    """Refuse a share that is not between 0 and 1, both left out.

    Raises:
        ConfigError: Naming the option.
    """
    if not 0 < share < 1:
        raise ConfigError(f"{option}: expected a share between 0 and 1, such as 0.1, got {share}")


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
