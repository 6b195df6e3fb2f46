"""``debian``: data sets made on the spot from the package lists of Debian or Ubuntu.

A query is a package (name, synopsis, long description). By its *relations* its labels are the packages it
depends on, recommends, suggests or enhances, alternatives (``a | b``) included, and a label's text is of the
same kind; by a *facet* they are its tags, its section or its maintainer. All packages of one source are on
the same side of the split, which is by a hash of the source's name; see :mod:`xmc.corpora.item_to_item` for
labels and self-pairs.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from xmc.corpora.debian.facets import FACETS, facet_labels, values_of
from xmc.corpora.debian.lists import LISTS, find_lists
from xmc.corpora.debian.packages import RELATIONS, Package, is_left_out, link_packages, read_packages
from xmc.corpora.item_to_item import ItemSplit, split_items, write_items
from xmc.corpora.two_sided import write_sides
from xmc.data.dataset import Dataset
from xmc.data.manifest import check_choice, check_place
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError
from xmc.files import sha256_file
from xmc.progress import each

__all__ = ["VARIANTS", "build_debian", "is_test"]

VARIANTS = ("relations", *FACETS)


def build_debian(
    out: str | Path,
    *,
    overwrite: bool = False,
    progress: bool = True,
    packages: Sequence[str | Path] | None = None,
    variant: str = "relations",
) -> Dataset:
    """Build the data set in the folder ``out`` and open it.

    Shared libraries, transitional, meta, debug, kernel and localisation packages are neither points nor
    labels. The same lists give the same data set; ``dataset.json`` names them with their SHA-256.

    Args:
        out: The folder to make.
        overwrite: Replace a prepared data set that is there.
        progress: Show a bar.
        packages: ``Packages`` files, and ``Translation-en`` files with the long descriptions, plain or
            compressed; by default those that apt keeps.
        variant: What a package's labels are, one of :data:`VARIANTS`.

    Raises:
        XMCError: When ``out`` is taken and ``overwrite`` is false, or holds anything but a prepared data set.
        DataError: When there are no lists, one cannot be read, or no package has such labels.
    """
    check_choice("variant", variant, VARIANTS)
    check_place(out, overwrite=overwrite)
    started = time.perf_counter()
    paths = find_lists(LISTS) if packages is None else [Path(path) for path in packages]
    every = read_packages(each(paths, "package lists", "file", shown=progress))
    kept = [package for package in every if not is_left_out(package)]
    links, write, told = _relations(kept) if variant == "relations" else _facet(kept, variant)
    counts = {"packages": len(every), "left_out": len(every) - len(kept), "links": sum(map(len, links))}
    split = split_items(links, [is_test(package.source) for package in kept])
    files = [{"file": path.name, "sha256": sha256_file(path)} for path in paths]
    source = {"package_lists": files, **told, **counts, "test_links_dropped": split.num_dropped}
    name = "debian" if variant == "relations" else f"debian-{variant}"
    with DatasetWriter(out, name=name, sources=[source], overwrite=overwrite) as writer:
        write(writer, split)
    if progress:
        _report(name, counts, any(package.description for package in every), time.perf_counter() - started)
    return Dataset.load(out)


def is_test(source: str) -> bool:
    """Whether the packages of this source are test queries: a fifth of all sources, by the name's hash."""
    return hashlib.sha256(source.encode()).digest()[0] % 5 == 0


_Write = Callable[[DatasetWriter, ItemSplit], None]


def _relations(packages: Sequence[Package]) -> tuple[list[list[int]], _Write, dict[str, Any]]:
    links = link_packages(packages)
    if not any(links):
        raise DataError(f"expected packages that refer to each other, found none among {len(packages):,}")

    def write(writer: DatasetWriter, split: ItemSplit) -> None:
        write_items(writer, split, lambda i: _text(packages[i]))

    return links, write, {"relations": list(RELATIONS)}


def _facet(packages: Sequence[Package], facet: str) -> tuple[list[list[int]], _Write, dict[str, Any]]:
    values, links = values_of(packages, facet)
    if not values:
        raise DataError(f"expected a {facet} of packages, found none among {len(packages):,}")
    labels = facet_labels(values)

    def write(writer: DatasetWriter, split: ItemSplit) -> None:
        write_sides(writer, split, query=lambda i: _text(packages[i]), label=labels.__getitem__)

    return links, write, {"variant": facet}


def _text(package: Package) -> tuple[str, str, str]:
    return package.name, f"{package.name}: {package.synopsis}", package.description


def _report(name: str, counts: dict[str, int], described: bool, seconds: float) -> None:
    tqdm.write(
        f"{name}: {counts['packages']:,} packages ({counts['left_out']:,} left out), "
        f"{counts['links']:,} links, {seconds:.0f} s"
    )
    if not described:
        tqdm.write(
            "no long descriptions in these lists: `apt-get update -o Acquire::Languages=en` fetches them"
        )
