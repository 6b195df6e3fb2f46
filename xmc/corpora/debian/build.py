"""``debian``: an item-to-item data set, made on the spot from the package lists of Debian or Ubuntu.

A query is a package (name, synopsis, long description); its labels are the packages it depends on,
recommends, suggests or enhances, alternatives (``a | b``) included; a label's text is of the same kind. All
packages of one source are on the same side of the split, which is by a hash of the source's name; see
:mod:`xmc.corpora.item_to_item` for labels and self-pairs.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from xmc.corpora.debian.lists import LISTS, find_lists
from xmc.corpora.debian.packages import RELATIONS, is_left_out, link_packages, read_packages
from xmc.corpora.item_to_item import split_items, write_items
from xmc.data.dataset import Dataset
from xmc.data.manifest import MANIFEST_NAME
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError
from xmc.files import check_replaceable, sha256_file
from xmc.progress import each

__all__ = ["build_debian", "is_test"]


def build_debian(
    out: str | Path,
    *,
    overwrite: bool = False,
    progress: bool = True,
    packages: Sequence[str | Path] | None = None,
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

    Raises:
        XMCError: When ``out`` is taken and ``overwrite`` is false, or holds anything but a prepared data set.
        DataError: When there are no lists, one cannot be read, or no package refers to another.
    """
    check_replaceable(out, MANIFEST_NAME, overwrite=overwrite)
    started = time.perf_counter()
    paths = find_lists(LISTS) if packages is None else [Path(path) for path in packages]
    every = read_packages(each(paths, "package lists", "file", shown=progress))
    kept = [package for package in every if not is_left_out(package)]
    links = link_packages(kept)
    counts = {"packages": len(every), "left_out": len(every) - len(kept), "links": sum(map(len, links))}
    if not counts["links"]:
        raise DataError(f"expected packages that refer to each other, found none among {len(kept):,}")
    split = split_items(links, [is_test(package.source) for package in kept])
    files = [{"file": path.name, "sha256": sha256_file(path)} for path in paths]
    source = {"package_lists": files, "relations": list(RELATIONS), **counts}
    with DatasetWriter(
        out, name="debian", sources=[source | {"test_links_dropped": split.num_dropped}], overwrite=overwrite
    ) as writer:
        write_items(
            writer,
            split,
            lambda i: (kept[i].name, f"{kept[i].name}: {kept[i].synopsis}", kept[i].description),
        )
    if progress:
        _report(counts, any(package.description for package in every), time.perf_counter() - started)
    return Dataset.load(out)


def is_test(source: str) -> bool:
    """Whether the packages of this source are test queries: a fifth of all sources, by the name's hash."""
    return hashlib.sha256(source.encode()).digest()[0] % 5 == 0


def _report(counts: dict[str, int], described: bool, seconds: float) -> None:
    tqdm.write(
        f"debian: {counts['packages']:,} packages ({counts['left_out']:,} left out), "
        f"{counts['links']:,} links, {seconds:.0f} s"
    )
    if not described:
        tqdm.write(
            "no long descriptions in these lists: `apt-get update -o Acquire::Languages=en` fetches them"
        )
