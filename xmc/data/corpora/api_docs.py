"""``api-docs``: an item-to-item data set, made on the spot from the documentation of installed packages.

A query is a documented public object (its name and the summary line of its documentation); its labels are the
objects its documentation refers to under "See Also"; a label's text is of the same kind. As in the
item-to-item sets of the extreme classification repository, the pairs (row, its own label) are left out of
every ranking, and a label is an object that at least one *training* point refers to: test pairs with other
labels are dropped, and so are test points left without a label. The split is by a hash of the object's name,
so it stays the same when other objects come or go.
"""

from __future__ import annotations

import hashlib
import importlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tqdm.auto import tqdm

from xmc.data.corpora.links import link_objects
from xmc.data.corpora.public_objects import PublicObject, collect_objects, import_public_modules
from xmc.data.corpora.see_also import summary
from xmc.data.dataset import Dataset
from xmc.data.manifest import MANIFEST_NAME, Split
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError
from xmc.files import check_replaceable

__all__ = ["PACKAGES", "build_api_docs", "is_test"]

PACKAGES = ("numpy", "scipy", "pandas", "sklearn", "torch")


def build_api_docs(
    out: str | Path, *, overwrite: bool = False, progress: bool = True, packages: Sequence[str] = PACKAGES
) -> Dataset:
    """Build the data set in the folder ``out`` and open it.

    The public modules of ``packages`` are imported for it; those that cannot be imported are left out. The
    same versions of the packages give the same data set; ``dataset.json`` records them.

    Raises:
        XMCError: When ``out`` is taken and ``overwrite`` is false, or holds anything but a prepared data set.
        DependencyError: When one of the packages is not installed.
        DataError: When the documentation holds no references.
    """
    check_replaceable(out, MANIFEST_NAME, overwrite=overwrite)
    started = time.perf_counter()
    modules = _import_all(packages, progress)
    objects = collect_objects(modules)
    links = link_objects(objects)
    counts = {"modules": len(modules), "objects": len(objects), "links": sum(map(len, links))}
    split = _split(objects, links)
    with DatasetWriter(
        out,
        name="api-docs",
        sources=[
            {"documentation_of": _versions(packages), **counts, "test_links_dropped": split.num_dropped}
        ],
        query_fields=("title", "content"),
        label_fields=("title", "content"),
        overwrite=overwrite,
    ) as writer:
        _write(writer, objects, split)
    if progress:
        seconds = time.perf_counter() - started
        tqdm.write(
            f"api-docs: {counts['objects']:,} documented objects, {counts['links']:,} links, {seconds:.0f} s"
        )
    return Dataset.load(out)


def is_test(name: str) -> bool:
    """Whether the object of this name is a test point: a fifth of all names, by their hash."""
    return hashlib.sha256(name.encode()).digest()[0] % 5 == 0


def _import_all(packages: Sequence[str], progress: bool) -> list[ModuleType]:
    bar = tqdm(packages, desc="importing public modules", unit="package", disable=not progress)
    return [module for package in bar for module in import_public_modules(package)]


@dataclass(frozen=True)
class _Split:
    rows: dict[Split, dict[int, list[int]]]
    """Per split: the position of each point's object, with the positions of the objects it refers to."""
    labels: list[int]
    """Positions of the objects that are labels, ascending."""
    num_dropped: int
    """Links of test points to objects that no training point refers to."""


def _split(objects: Sequence[PublicObject], links: Sequence[Sequence[int]]) -> _Split:
    train = {i: list(links[i]) for i, entry in enumerate(objects) if links[i] and not is_test(entry.name)}
    if not train:
        raise DataError("expected documentation with See Also sections in the packages, but found none")
    seen = {target for targets in train.values() for target in targets}
    whole = {i: links[i] for i, entry in enumerate(objects) if links[i] and is_test(entry.name)}
    kept = {i: [target for target in targets if target in seen] for i, targets in whole.items()}
    dropped = sum(map(len, whole.values())) - sum(map(len, kept.values()))
    test = {i: targets for i, targets in kept.items() if targets}
    return _Split({"train": train, "test": test}, sorted(seen), dropped)


def _write(writer: DatasetWriter, objects: Sequence[PublicObject], split: _Split) -> None:
    """Write labels, rows and self-pairs, in order of name."""

    def text(i: int) -> tuple[str, str, str]:
        return objects[i].name, objects[i].name, summary(objects[i].doc)

    label_of = {i: writer.add_label(*text(i)) for i in split.labels}
    for name, rows in split.rows.items():
        for i, targets in rows.items():
            row = writer.add_row(name, *text(i), [label_of[target] for target in targets])
            if i in label_of:
                writer.add_filter(name, row, label_of[i])


def _versions(packages: Iterable[str]) -> dict[str, str]:
    return {package: importlib.import_module(package).__version__ for package in packages}
