"""Import a data set in any known format."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xmc.counted import counted
from xmc.data.dataset import Dataset
from xmc.data.importers.dexml import DEXML
from xmc.data.importers.formats import SourceFormat, file_facts, name_as_text
from xmc.data.importers.hub import HUB
from xmc.data.importers.jsonl import JSONL
from xmc.data.importers.parquet import PARQUET
from xmc.data.importers.pecos import PECOS
from xmc.data.importers.split_off import SplitOff
from xmc.data.importers.xc import XC
from xmc.data.manifest import MANIFEST_NAME, check_choice, check_place
from xmc.data.propensity import Propensity
from xmc.data.tables.folder import LOOKS_FOR as TABLES_LOOK_FOR
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError

__all__ = ["FORMATS", "detect_format", "import_folder"]

_log = logging.getLogger(__name__)

FORMATS: dict[str, SourceFormat] = {one.name: one for one in (DEXML, XC, PECOS, HUB, JSONL, PARQUET)}
"""In the order in which ``auto`` tries them."""


def import_folder(
    source: str | Path,
    out: str | Path,
    *,
    format: str = "auto",
    name: str | None = None,
    propensity: Propensity | None = None,
    split: float | None = None,
    keep_test: bool = False,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> Dataset:
    """Read a data set in another format and write it, whole or not at all, as a prepared one to ``out``.

    Args:
        source: A folder; with ``format="hub"`` also a data set name on the Hugging Face hub.
        out: Folder to make.
        format: "auto", or one of :data:`FORMATS`; auto never goes to the network.
        name: Of the data set; default the folder's name.
        propensity: Constants A and B; default by the name, see ``known_propensity``.
        split: Share of the training texts to hold out as the test split, where the source has none.
        keep_test: Where the source has a test split, make none instead of refusing ``split``.
        seed: Of the split.
        overwrite: Replace the prepared data set at ``out``.
        progress: Progress bars on stderr.

    Raises:
        DataError: When the format cannot be told, or for bad input, naming file, line and what was expected.
        ConfigError: For an unknown format, or a split that cannot be made.
        XMCError: When ``out`` is taken and ``overwrite`` is false, or holds anything but a prepared data set.
    """
    check_choice("format", format, ["auto", *FORMATS])
    # Before the source is read and hashed, which may take minutes.
    check_place(out, overwrite=overwrite)
    chosen = detect_format(source) if format == "auto" else FORMATS[format]
    if chosen is not HUB:
        _require_folder(source)
    text = str(source)
    if keep_test and chosen.has_test(text):
        split = None
    writer = DatasetWriter(
        out,
        name=name or _name(source),
        propensity=propensity,
        sources=_sources(chosen, text, {} if split is None else {"split": split, "seed": seed}),
        overwrite=overwrite,
    )
    parted = None if split is None else SplitOff(writer, split, seed)
    with writer:
        chosen.read(text, parted.as_writer() if parted else writer, progress)
        if parted:
            parted.check()
        # Test rows alone, or labels alone, are what our own export may hold.
        if not writer.num_labels or (chosen is not JSONL and not writer.num_rows("train")):
            rows = counted(writer.num_rows("train"), "training row")
            found = f"{counted(writer.num_labels, 'label')} and {rows}"
            raise DataError(f"{source}: expected at least one label and one training row, got {found}")
        if not writer.num_rows("train"):
            _log.warning("%s: no training rows: this is to evaluate on or to index, not to train on", text)
    return Dataset.load(out)


def detect_format(source: str | Path) -> SourceFormat:
    """The first of :data:`FORMATS` that the folder ``source`` looks like.

    Raises:
        DataError: Saying what was looked for, when it looks like none.
    """
    _require_folder(source)
    folder = Path(source)
    if (folder / MANIFEST_NAME).is_file():
        raise DataError(
            f"{source}: expected a data set to import, but this is a prepared one already: use it"
        )
    fitting = [one for one in FORMATS.values() if one.matches(folder)]
    if not fitting:
        tables = f"\n  tables: {TABLES_LOOK_FOR}"
        looked_for = tables + "".join(f"\n  {one.name}: {one.looks_for}" for one in FORMATS.values())
        raise DataError(f"{source}: expected the files of one of these formats, found none:{looked_for}")
    others = ", ".join(one.name for one in fitting[1:])
    # A name that is no UTF-8 stands in a line of a log, which may be a file of UTF-8, as repr writes it.
    shown = str(source).encode("utf-8", "backslashreplace").decode("utf-8")
    _log.info("%s: format %s%s", shown, fitting[0].name, f" (also looks like {others})" if others else "")
    return fitting[0]


def _require_folder(source: str | Path) -> None:
    if not Path(source).is_dir():
        raise DataError(
            f"expected a folder, found none at {source}: for a name on the Hugging Face hub, use format hub"
        )


def _name(source: str | Path) -> str:
    path = Path(source)
    return name_as_text(path.resolve().name if path.is_dir() else path.name)


def _sources(chosen: SourceFormat, source: str, made: dict[str, Any]) -> Sequence[dict[str, Any]]:
    origin = name_as_text(Path(source).name if Path(source).is_dir() else source)
    return [{"format": chosen.name, "source": origin, **made}, *file_facts(chosen.files(source))]
