"""Fetches a file over HTTP, and goes on where an earlier try was cut short."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from xmc.errors import DataError
from xmc.files import explained, sha256_file
from xmc.progress import Bar
from xmc.received import check_name, read_json

__all__ = ["download_file"]

_TIMEOUT = 30.0  # seconds without a byte


def download_file(
    url: str, folder: str | Path, name: str, *, sha256: str = "", progress: bool = True, client: Any = None
) -> Path:
    """Fetch ``url`` to ``folder / name``; a file that is there already is left, where it is the right one.

    What arrives is in ``NAME.part`` until it is whole. A later call asks for the rest of it, if the server
    still has the same file (by its ETag or date) and gives parts; else it begins anew.

    Args:
        url: ``http`` or ``https``.
        folder: Made where it is not there.
        name: A plain file name.
        sha256: Of the whole file in hexadecimal; "" where it is not known: then its length alone is checked.
        progress: Show a bar.
        client: An ``httpx.Client`` to ask with.

    Raises:
        DataError: Without a network or an answer, when the server sends less than it announced, or for
            another SHA-256.
    """
    import httpx

    place = Path(folder) / check_name(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_file():
        _check(place, sha256, url)
        return place
    part, known = place.with_name(f"{name}.part"), place.with_name(f"{name}.part.json")
    have, tag = _begun(part, known, url)
    headers = {"Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={have}-", "If-Range": tag} if have else {}
    asking = client or httpx.Client(follow_redirects=True, timeout=_TIMEOUT)
    try:
        with explained(place), asking.stream("GET", url, headers=headers) as answer:
            if answer.status_code not in (200, 206):
                raise DataError(
                    f"{url}: expected the file, got HTTP {answer.status_code} {answer.reason_phrase}: it may "
                    f"have moved; put {name} into {folder} yourself"
                )
            if answer.status_code == 200:
                have = 0
            total = _total(answer.headers, have)
            told = answer.headers.get("etag", "")
            # A weak tag says that the content is much the same, which is too little to join parts by.
            tag = told if told and not told.startswith("W/") else answer.headers.get("last-modified", "")
            known.write_text(json.dumps({"url": url, "tag": tag}), encoding="utf-8")
            with open(part, "ab" if have else "wb") as file, Bar(total, name, "B", shown=progress) as bar:
                bar.update(have)
                for block in answer.iter_bytes():
                    file.write(block)
                    bar.update(len(block))
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise DataError(
            f"{url}: expected a network and an answer ({type(error).__name__}: {error}); the same command "
            f"goes on where it stopped; without a network put {name} into {folder} yourself"
        ) from error
    finally:
        if client is None:
            asking.close()
    size = part.stat().st_size
    if total is not None and size != total:
        raise DataError(
            f"{url}: expected {total:,} bytes, got {size:,}: the connection was cut; the same command goes on"
        )
    try:
        _check(part, sha256, url)
    except DataError:
        part.unlink()
        known.unlink()
        raise
    part.replace(place)
    known.unlink()
    return place


def _begun(part: Path, known: Path, url: str) -> tuple[int, str]:
    """Bytes of an earlier try and what the server called that file; 0 where it cannot go on."""
    try:
        facts = read_json(known)
        if facts["url"] == url and isinstance(facts["tag"], str) and facts["tag"]:
            return part.stat().st_size, facts["tag"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # nothing of an earlier try, or nothing that can be trusted: begin anew
    return 0, ""


def _total(headers: Any, have: int) -> int | None:
    """Bytes of the whole file, as far as the answer says."""
    if match := re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("content-range", "")):
        if int(match[1]) != have:
            raise DataError(
                f"expected the server to go on at byte {have:,}, got {headers['content-range']!r}"
            )
        return int(match[2])
    length = headers.get("content-length", "")
    # What is packed on the way, though asked not to be, has another length than the file.
    return int(length) if length.isdigit() and "content-encoding" not in headers else None


def _check(path: Path, sha256: str, url: str) -> None:
    if sha256 and (found := sha256_file(path)) != sha256.lower():
        raise DataError(
            f"{path}: expected the SHA-256 {sha256.lower()} of {url}, got {found}: remove it, fetch it again"
        )
