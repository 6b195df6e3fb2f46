"""Objects of the user's own, from modules and files."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xmc.errors import ConfigError
from xmc.plugins import is_reference, load_object


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder; what tests import and add to the search path is forgotten after each."""
    modules, paths = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = paths
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(path: Path, text: str = "def mine():\n    return 1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["a.b:c", "./mine.py:c", "C:\\mine.py:c"])
def test_a_reference_has_a_colon(name: str) -> None:
    assert is_reference(name) and not is_reference("decoupled_softmax")


@pytest.mark.parametrize(
    "target", ["./mine.py", "mine.py", "sub/../mine.py", "{folder}/mine.py", "~/mine.py"]
)
def test_a_file_by_its_path(target: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    write(folder / "mine.py")
    (folder / "sub").mkdir()
    assert load_object(target.format(folder=folder) + ":mine")() == 1


def test_the_last_colon_parts_the_module_from_the_name(folder: Path) -> None:
    if os.name == "nt":
        pytest.skip("a colon is no part of a file's name there")
    write(folder / "C:" / "mine.py")
    assert load_object("C:/mine.py:mine")() == 1


def test_a_module_of_the_current_folder_and_an_installed_one(folder: Path) -> None:
    write(folder / "my_package" / "__init__.py", "")
    write(folder / "my_package" / "my_module.py")
    assert load_object("my_package.my_module:mine")() == 1
    assert load_object("json.decoder:JSONDecoder.decode") is __import__("json").JSONDecoder.decode


def test_a_file_is_imported_once_and_two_of_a_name_are_apart(folder: Path) -> None:
    counting = "from pathlib import Path\nPath('count').open('a').write('x')\n\nclass Mine: ...\n"
    write(folder / "mine.py", counting)
    write(folder / "other" / "mine.py", counting)
    first, again = load_object("./mine.py:Mine"), load_object(f"{folder}/other/../mine.py:Mine")
    assert first is again
    assert load_object("./other/mine.py:Mine") is not first
    assert (folder / "count").read_text() == "xx"


def test_siblings_can_be_imported_at_loading_and_later(folder: Path) -> None:
    write(folder / "code" / "first_sibling.py", "one = 1\n")
    write(folder / "code" / "second_sibling.py", "two = 2\n")
    write(
        folder / "code" / "mine.py",
        "import first_sibling\n\ndef mine():\n    import second_sibling\n"
        "    return first_sibling.one + second_sibling.two\n",
    )
    before = list(sys.path)
    assert load_object("./code/mine.py:mine")() == 3
    assert sys.path == [*before, str(folder / "code")]  # last: it hides no library


def test_a_file_that_fails_leaves_the_search_path_alone(folder: Path) -> None:
    write(folder / "code" / "mine.py", "1 / 0\n")
    before = list(sys.path)
    with pytest.raises(ConfigError):
        load_object("./code/mine.py:mine")
    assert sys.path == before


def test_objects_of_a_file_pass_to_a_spawned_process(folder: Path) -> None:
    write(folder / "code" / "mine.py", "class Mine:\n    value = 7\n\ndef of(mine):\n    return mine.value\n")
    mine, of = load_object("./code/mine.py:Mine"), load_object("./code/mine.py:of")
    assert pickle.loads(pickle.dumps(mine)) is mine
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(of, (mine(),)) == 7


def test_the_running_script_may_name_itself(folder: Path) -> None:
    script = write(
        folder / "mine.py",
        "from xmc.plugins import load_object\n\ndef mine(): ...\n\n"
        "assert load_object('./mine.py:mine') is mine\nprint('once')\n",
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "once\n"), done.stderr


def test_loading_needs_no_torch() -> None:
    code = "import sys, xmc.plugins; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("reference", [":mine", "my_module:", "./mine.py:", "C:\\mine.py", "a.b:c d"])
def test_what_is_no_reference(reference: str) -> None:
    with pytest.raises(ConfigError, match="expected `package.module:name`"):
        load_object(reference)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("./mein.py:mine", r"there is no file .*mein\.py; did you mean 'mine.py'\?"),
        ("./nowhere/mine.py:mine", r"there is no file .*nowhere.mine\.py"),
        ("./my_package:mine", "expected a .py file, got the folder"),
        ("./mine.txt:mine", r"expected a .py file, got .*mine\.txt"),
        ("./mine.py:mein", r"there is no 'mein' in xmc.plugins.mine_.*mine\.py.*did you mean 'mine'\?"),
        ("./mine.py:zzz", "there is no 'zzz' in .*; it has mine"),
        ("./mine.py:mine.deep", "there is no 'deep' in <function mine"),
        ("my_packag:mine", "neither installed nor in .*; did you mean 'my_package'"),
        ("zzz:mine", "neither installed nor in .*; name a file by its path"),
        ("my_package.my_modul:mine", "no module 'my_modul' in 'my_package' .*did you mean 'my_module'"),
        ("my_package.my_module.deep:mine", r"'my_package.my_module' \(.*\) is a module"),
        ("my-package:mine", "expected a dotted module name or a path"),
        ("my_package.needs:mine", r"needs\.py:2: it imports 'not_there', which is not installed"),
        ("./my_package/needs.py:mine", r"needs\.py:2: it imports 'not_there', which is not installed"),
        ("./relative.py:mine", r"relative\.py:1: a file that is named by its path .*`import mine`"),
        ("./fails.py:mine", r"failed at .*broken\.py:2: ZeroDivisionError: division by zero"),
        ("./library.py:mine", r"failed at .*library\.py:2: JSONDecodeError"),
        ("./syntax.py:mine", r"failed at .*syntax\.py:2: SyntaxError"),
        ("./leaves.py:mine", r"failed at .*leaves\.py:1: SystemExit: 3"),
    ],
)
def test_errors_say_what_is_wrong_and_where(reference: str, said: str, folder: Path) -> None:
    write(folder / "mine.py")
    write(folder / "mine.txt")
    write(folder / "my_package" / "__init__.py", "")
    write(folder / "my_package" / "my_module.py")
    write(folder / "my_package" / "needs.py", "# a comment\nimport not_there\n")
    write(folder / "relative.py", "from .mine import mine\n")
    write(folder / "broken.py", "# a comment\n1 / 0\n")
    write(folder / "fails.py", "import broken\n")
    write(folder / "library.py", "import json\njson.loads('{')\n")
    write(folder / "syntax.py", "# a comment\ndef mine(:\n")
    write(folder / "leaves.py", "raise SystemExit(3)\n")
    with pytest.raises(ConfigError, match=said) as caught:
        load_object(reference)
    assert str(caught.value).startswith(reference)


def test_the_first_error_is_chained(folder: Path) -> None:
    write(folder / "mine.py", "1 / 0\n")
    with pytest.raises(ConfigError) as caught:
        load_object("./mine.py:mine")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_file_that_was_mended_loads(folder: Path) -> None:
    write(folder / "mine.py", "1 / 0\n")
    with pytest.raises(ConfigError):
        load_object("./mine.py:mine")
    write(folder / "mine.py", "def mine():\n    return 'mended'\n")
    assert load_object("./mine.py:mine")() == "mended"
