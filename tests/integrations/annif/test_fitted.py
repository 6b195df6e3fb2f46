from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest

from xmc.errors import ConfigError, DataError, DependencyError
from xmc.integrations.annif import NAME, register
from xmc.integrations.annif.fitted import CURRENT, Fitted, fit_documents, prepare_documents

FRUIT = ["apples", "pears", "plums", "cherries"]
SUBJECTS = [(f"http://x.org/{i}", name) for i, name in enumerate(FRUIT)]


def documents(count: int) -> list[tuple[str, list[str]]]:
    return [(f"About {name}, {n}", [SUBJECTS[i][0]]) for n in range(count) for i, name in enumerate(FRUIT)]


def test_documents_become_a_data_set(tmp_path: Path) -> None:
    given = [
        *documents(1),
        ("  ", [SUBJECTS[0][0]]),
        ("About nothing", ["http://x.org/9"]),
        ("No subject", []),
    ]
    built = prepare_documents(tmp_path, SUBJECTS, given)
    assert (built.num_train, built.num_labels) == (4, 4) and built.texts("train")[0] == "About apples, 0"
    again = prepare_documents(tmp_path, SUBJECTS, documents(2))
    assert again.num_train == 8, "in the place of the one before"
    with pytest.raises(DataError, match="expected documents with text and subjects"):
        prepare_documents(tmp_path, SUBJECTS, [])


def test_without_a_model_it_says_so(tmp_path: Path) -> None:
    assert not Fitted.exists(tmp_path)
    with pytest.raises(DataError, match="train the project"):
        Fitted(tmp_path)
    with pytest.raises(ConfigError, match="found none: train with documents"):
        fit_documents(tmp_path, quality="fast")
    (tmp_path / CURRENT).write_text(json.dumps({"model": "../elsewhere"}))
    with pytest.raises(DataError, match="expected the name of a model's folder"):
        Fitted.exists(tmp_path)


def test_a_model_is_fitted_kept_and_replaced(tmp_path: Path) -> None:
    prepare_documents(tmp_path, SUBJECTS, documents(12))
    fit_documents(tmp_path, quality="fast", fixed={"training.epochs": 8})
    (found, nothing) = Fitted(tmp_path).suggest(["Something about plums", " "], limit=3)
    assert [uri for uri, _ in found][0] == "http://x.org/2" and len(found) == 3 and nothing == []
    assert all(0 <= share <= 1 for _, share in found)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert Fitted(moved).suggest(["Something about plums"], limit=1)[0][0][0] == "http://x.org/2"


def test_register_puts_the_backend_into_annifs_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "annif", None)
    with pytest.raises(DependencyError, match="pip install annif"):
        register()
    annif, backends = types.ModuleType("annif"), types.ModuleType("annif.backend")
    annif.backend = backends  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "annif", annif)
    monkeypatch.setitem(sys.modules, "annif.backend", backends)
    with pytest.raises(DependencyError, match="keeps its backends by name"):
        register()
    backends._backend_fns = {}  # type: ignore[attr-defined]
    register()
    assert list(backends._backend_fns) == [NAME]  # type: ignore[attr-defined]
