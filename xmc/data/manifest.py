"""``dataset.json``: what a prepared data set says about itself, and the names of its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from xmc.data.propensity import Propensity
from xmc.errors import ConfigError, DataError

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
    "chosen_fields",
]

FORMAT_VERSION = 1
MANIFEST_NAME = "dataset.json"
UNSEEN_NAME = "unseen_labels.json"
"""A list of the uids of labels that were held out of training on purpose; only where there are any."""

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
    format_version: int = FORMAT_VERSION

    def write(self, folder: Path) -> None:
        """Write ``dataset.json`` into ``folder``."""
        facts = asdict(self)
        if not self.ceiling:
            del facts["ceiling"]  # so that earlier versions read the data sets that have none
        text = json.dumps(facts, indent=2, ensure_ascii=False)
        (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")

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
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            version = raw["format_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: expected a JSON object with a format_version ({error}): import again"
            ) from error
        if version != FORMAT_VERSION:
            raise DataError(
                f"{path}: expected format version {FORMAT_VERSION}, got {version}: import the data again"
            )
        try:
            return cls(**_typed(raw))
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{path}: expected the fields of a prepared data set ({error}): import again"
            ) from error


def _typed(raw: dict[str, Any]) -> dict[str, Any]:
    return raw | {
        "propensity": Propensity(**raw["propensity"]),
        "query_fields": tuple(raw["query_fields"]),
        "label_fields": tuple(raw["label_fields"]),
    }


def chosen_fields(what: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Some of title and content, one word or a list of them; a ConfigError names ``what`` otherwise."""
    fields = (given,) if isinstance(given, str) else tuple(given)
    check_choice(what, fields, FIELDS)
    return fields


def check_choice(what: str, given: str | Sequence[str], allowed: Sequence[str]) -> None:
    """Raise a ConfigError unless ``given`` (one word, or a non-empty list of them) is among ``allowed``."""
    words = [given] if isinstance(given, str) else list(given)
    if not words or any(word not in allowed for word in words):
        raise ConfigError(f"expected {what} among {', '.join(allowed)}, got {given!r}")
