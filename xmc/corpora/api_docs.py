"""``api-docs``: an item-to-item data set, made on the spot from the documentation of installed packages.

A query is a documented public object (its name and the summary line of its documentation); its labels are the
objects its documentation refers to under "See Also", or in the description below the summary; a label's text
is of the same kind. The split is by a hash of the object's name, so it stays the same when other objects come
or go; see :mod:`xmc.corpora.item_to_item` for labels and self-pairs.
"""

from __future__ import annotations

import hashlib
import importlib
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from tqdm.auto import tqdm

from xmc.corpora.description import summary
from xmc.corpora.item_to_item import split_items, write_items
from xmc.corpora.links import link_objects
from xmc.corpora.public_objects import collect_objects, import_public_modules
from xmc.data.dataset import Dataset
from xmc.data.manifest import check_place
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError
from xmc.progress import each

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
    check_place(out, overwrite=overwrite)
    started = time.perf_counter()
    modules = _import_all(packages, progress)
    objects = collect_objects(modules)
    links = link_objects(objects)
    counts = {"modules": len(modules), "objects": len(objects), "links": sum(map(len, links))}
    if not any(links):
        raise DataError("expected documentation with See Also sections in the packages, but found none")
    split = split_items(links, [is_test(entry.name) for entry in objects])
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
        write_items(writer, split, lambda i: (objects[i].name, objects[i].name, summary(objects[i].doc)))
    if progress:
        seconds = time.perf_counter() - started
        tqdm.write(
            f"api-docs: {counts['objects']:,} documented objects, {counts['links']:,} links, {seconds:.0f} s"
        )
    return Dataset.load(out)


def is_test(name: str) -> bool:
    """Whether the object of this name is a test query: a fifth of all names, by their hash."""
    return hashlib.sha256(name.encode()).digest()[0] % 5 == 0


def _import_all(packages: Sequence[str], progress: bool) -> list[ModuleType]:
    bar = each(packages, "importing public modules", "package", shown=progress)
    return [module for package in bar for module in import_public_modules(package)]


def _versions(packages: Iterable[str]) -> dict[str, str]:
    return {package: importlib.import_module(package).__version__ for package in packages}
