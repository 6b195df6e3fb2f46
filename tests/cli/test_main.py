from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from xmc import __version__
from xmc.cli.main import VERBS, guarded, main
from xmc.errors import DataError


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in VERBS)


@pytest.mark.parametrize(
    "words",
    [*([verb] for verb in VERBS), ["data", "build"], ["data", "import"], ["data", "info"]],
    ids=" ".join,
)
def test_every_command_has_help_with_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([*words, "--help"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    shown = capsys.readouterr().out
    assert code == 0
    assert f"example:\n  xmc {' '.join(words)}" in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"xmc {__version__}\n"


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serach"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: unknown command 'serach': did you mean 'search'?") and err.count("\n") == 1
    assert main(["data", "imports"]) == 2
    assert "did you mean 'import'?" in capsys.readouterr().err
    assert main(["index", "ad", "runs/index", "--labels", "new.csv"]) == 2
    assert "unknown command 'index ad': did you mean 'add'?" in capsys.readouterr().err


def test_errors_and_interrupts_become_a_line_and_a_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DataError("row 3: expected text")

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert guarded(fail) == 2
    assert capsys.readouterr().err == "error: row 3: expected text\n"
    assert guarded(interrupt) == 130
    assert capsys.readouterr().err == "interrupted\n"
    monkeypatch.setenv("RANK", "1")
    guarded(fail)
    assert capsys.readouterr().err == "error (rank 1): row 3: expected text\n"


def test_a_file_in_the_way_becomes_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert guarded((tmp_path / "file" / "folder").mkdir) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'file' / 'folder'}: Not a directory\n"


def test_a_bug_keeps_its_traceback() -> None:
    def bug() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        guarded(bug)


def test_help_and_import_load_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "scipy", "transformers", "datasets", "faiss", "jsonargparse"}
    code = f"import sys, xmc.cli.main as cli; cli.main(['--help']); print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"


def test_module_runs_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "xmc", "nope"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and done.stderr.startswith("error: unknown command 'nope'")


@pytest.mark.parametrize("has_torch", [False, True])
def test_python_s_last_look_for_cycles_is_spared_where_nothing_reports_what_is_left(
    has_torch: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Triton, which torch imports, writes a page about objects that are left when a process ends."""
    frozen: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    monkeypatch.setattr(sys, "argv", ["xmc", "search", "nowhere", "a text"])
    if has_torch:
        monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    else:
        monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert main() == 2
    assert "expected a label index at nowhere" in capsys.readouterr().err
    assert bool(frozen) == (not has_torch)
