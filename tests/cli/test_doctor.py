from __future__ import annotations

from importlib import metadata

import pytest
from packaging.requirements import Requirement

from xmc.cli import doctor
from xmc.cli.main import main


def test_reports_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert all(title in shown for title in ("versions", "devices", "faiss", "optional"))


def test_a_missing_or_old_package_comes_with_the_line_that_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = [Requirement("numpy>=1.0"), Requirement("numpy>=999"), Requirement("no-such-package>=2")]
    monkeypatch.setattr(doctor, "_requirements", lambda: needed)
    fine, old, missing = doctor.versions()[2:]
    assert fine.problem is None
    assert old.problem == "expected >=999: pip install 'numpy>=999'"
    assert (missing.found, missing.problem) == ("missing", "pip install 'no-such-package>=2'")


def test_two_faiss_distributions_are_a_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"faiss": ["faiss-gpu", "faiss-cpu"]})
    real = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "1.15.1" if name.startswith("faiss") else real(name)
    )
    (finding,) = doctor.faiss_flavour()
    assert finding.problem is not None
    assert finding.problem.startswith(
        "pip uninstall -y faiss-cpu faiss-gpu && pip install 'xmc-dual-encoder[cpu]'"
    )
    assert main(["doctor"]) == 2
    assert "1 problem found" in capsys.readouterr().err


def test_no_faiss_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "packages_distributions", dict)
    (finding,) = doctor.faiss_flavour()
    assert finding.found.startswith("missing") and finding.problem is not None


def test_a_missing_extra_is_told_but_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = [Requirement("no-such-package; extra == 'demo'"), Requirement("numpy; extra == 'distill'")]
    monkeypatch.setattr(doctor, "_requirements", lambda: needed)
    demo, distill, *_ = doctor.extras()
    assert (
        "missing no-such-package: pip install 'xmc-dual-encoder[demo]'" in demo.found and demo.problem is None
    )
    assert distill.found.startswith("there")
