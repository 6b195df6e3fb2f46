"""``dataset.json``: what a prepared data set says about itself, and the names of its files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from xmc.data.propensity import Propensity
from xmc.errors import ConfigError, DataError
from xmc.files import check_replaceable
from xmc.limits import MAX_IDS
from xmc.received import check_name, read_json, reading
from xmc.typed import from_plain

__all__ = [
    "FIELDS",
    "FORMAT_VERSION",
    "MANIFEST_NAME",
    "SPLITS",
    "TABLES",
    "UNSEEN_NAME",
    "Manifest",
    "Split",
    "Table",
    "check_choice",
    "check_place",
    "chosen_fields",
]

FORMAT_VERSION = 1
MANIFEST_NAME = "dataset.json"
UNSEEN_NAME = "unseen_labels.json"
"""A list of the uids of labels that were held out of training on purpose; only where there are any."""

_PARTS = (
    *("train.parquet", "test.parquet", "labels.parquet", "train.npz", "test.npz", "filter_train.npz"),
    *("filter_test.npz", UNSEEN_NAME),
)
_CACHES = ("cache", "tokens", "layers", "label_vectors")
"""Of texts, their tokens, frozen layers and a frozen label side: all can be made again."""

Split = Literal["train", "test"]
Table = Literal["train", "test", "labels"]
SPLITS: tuple[Split, ...] = ("train", "test")
TABLES: tuple[Table, ...] = ("train", "test", "labels")
FIELDS = ("title", "content")


@dataclass
class Manifest:
    """The content of ``dataset.json``."""

    name: str
    num_labels: int
    num_train: int
    num_test: int
    propensity: Propensity
    query_fields: tuple[str, ...]
    """The fields that make a query's text where nothing else is asked for, joined by a space."""
    label_fields: tuple[str, ...]
    """As ``query_fields``, of a label's text."""
    fingerprint: str
    """Of texts, relevance and filters."""
    text_fingerprints: dict[str, str]
    """Of each table's uids and texts in order."""
    sources: list[dict[str, Any]] = field(default_factory=list)
    empty_texts: dict[str, int] = field(default_factory=dict)
    folded_duplicates: int = 0
    """Label ids named more than once in one row."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """File name to its ``bytes`` and ``sha256``."""
    ceiling: dict[str, float] = field(default_factory=dict)
    """Metric to the best value that any system can expect on the test rows, in percent; where it is known."""
    query_columns: dict[str, str] = field(default_factory=dict)
    """"title" and "content" to the name of the column that queries had them in, in a table of clicks; empty
    where there was none, or it had no names."""
    format_version: int = FORMAT_VERSION

    def write(self, folder: Path) -> None:
        """Write ``dataset.json`` into ``folder``."""
        facts = asdict(self)
        for name in ("ceiling", "query_columns"):
            if not facts[name]:
                del facts[name]  # so that earlier versions read the data sets that have none
        text = json.dumps(facts, indent=2, ensure_ascii=False)
        (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")

    def query_columns_of(self, fields: Sequence[str]) -> tuple[str, ...] | None:
        """What the columns of ``fields`` of queries were called, in order; None where one is unknown."""
        names = [self.query_columns.get(name) for name in fields]
        return tuple(name for name in names if name is not None) if None not in names else None

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read ``dataset.json`` of ``folder``.

        Raises:
            DataError: When it is missing, malformed or of another format version.
        """
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise DataError(
                f"expected a prepared data set in {folder}, found no {MANIFEST_NAME}: make one with "
                f"`xmc data build` or `xmc data import`"
            )
        with reading(path, "a JSON object with the fields of a prepared data set", "import again"):
            raw = read_json(path)
            version = raw["format_version"] if isinstance(raw, dict) else None
            # Read before the other keys: another version may have renamed them.
            if version == FORMAT_VERSION:
                return _checked(from_plain(cls, raw))
        raise DataError(
            f"{path}: expected format version {FORMAT_VERSION}, got {version!r:.40}: import the data again"
        )


def _checked(manifest: Manifest) -> Manifest:
    """Refuse, with a ValueError, counts that cannot be, and files or names that lead out of the folder."""
    for name in ("num_labels", "num_train", "num_test"):
        if not 0 <= getattr(manifest, name) <= MAX_IDS:
            raise ValueError(f"{name}: expected 0 to {MAX_IDS}, got {getattr(manifest, name)}")
    if missing := [table for table in TABLES if table not in manifest.text_fingerprints]:
        raise ValueError(f"text_fingerprints: it lacks {missing[0]!r}")
    chosen_fields("query_fields", manifest.query_fields)
    chosen_fields("label_fields", manifest.label_fields)
    if manifest.query_columns:
        chosen_fields("query_columns", list(manifest.query_columns))
    for file in (*(f"{table}.parquet" for table in TABLES), *(f"{split}.npz" for split in SPLITS)):
        if file not in manifest.files:
            raise ValueError(f"files: it lacks {file!r}")
    for file, facts in manifest.files.items():
        check_name(file)
        if type(facts.get("bytes")) is not int or not re.fullmatch("[0-9a-f]{64}", str(facts.get("sha256"))):
            raise ValueError(f"files.{file}: expected its bytes and its sha256, got {facts!r:.80}")
    return manifest


def chosen_fields(what: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Some of title and content, one word or a list of them; a ConfigError names ``what`` otherwise."""
    fields = (given,) if isinstance(given, str) else tuple(given)
    check_choice(what, fields, FIELDS)
    return fields


def check_place(path: str | Path, *, overwrite: bool) -> None:
    """Refuse, before any work is done, a folder that is in the way of a data set.

    Raises:
        XMCError: When it is taken and ``overwrite`` is false, is no data set, or holds more than one does.
    """
    check_replaceable(path, MANIFEST_NAME, overwrite=overwrite, parts=(*_PARTS, *_CACHES))


def check_choice(what: str, given: str | Sequence[str], allowed: Sequence[str]) -> None:
    """Raise a ConfigError unless ``given`` (one word, or a non-empty list of them) is among ``allowed``."""
    words = [given] if isinstance(given, str) else list(given)
    if not words or any(word not in allowed for word in words):
        raise ConfigError(f"expected {what} among {', '.join(allowed)}, got {given!r}")
