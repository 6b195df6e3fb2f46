from __future__ import annotations

import importlib

import pytest

from xmc.errors import DependencyError
from xmc.retrieval.faiss_module import check_faiss_distributions, faiss_distributions, import_faiss


@pytest.fixture(autouse=True)
def looked_up_anew():
    faiss_distributions.cache_clear()
    yield
    faiss_distributions.cache_clear()


def test_the_installed_faiss_is_found():
    assert len(faiss_distributions()) == 1
    assert hasattr(import_faiss(), "index_factory")


def test_several_distributions_are_an_error_with_the_way_out(monkeypatch, tmp_path):
    (tmp_path / "faiss_gpu_cuvs-1.14.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    both = {"faiss": ["faiss-gpu-cuvs", "faiss-cpu", "faiss-cpu"]}
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: both)
    with pytest.raises(DependencyError, match="pip uninstall -y faiss-cpu faiss-gpu-cuvs"):
        import_faiss()


def test_a_missing_faiss_names_the_extra(monkeypatch):
    def fail(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(DependencyError, match=r"xmc-dual-encoder\[cpu\]"):
        import_faiss()


def test_none_and_one_are_fine():
    check_faiss_distributions([])
    check_faiss_distributions(["faiss-cpu"])
