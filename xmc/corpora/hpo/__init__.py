"""``hpo``: diseases and their phenotypes, from the files of the Human Phenotype Ontology."""

from __future__ import annotations

from xmc.corpora.hpo.build import build_hpo

__all__ = ["build_hpo"]
