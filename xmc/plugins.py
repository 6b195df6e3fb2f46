"""Objects of the user's own by a recipe's name for them: ``package.module:name`` or ``./file.py:name``."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from xmc.errors import ConfigError

__all__ = ["is_reference", "load_object"]

# Files are imported as submodules of this one: whoever unpickles an object of theirs, such as a spawned
# worker, imports this module first, and with it the finder below.
__path__: list[str] = []


def is_reference(name: str) -> bool:
    """Whether ``name`` points at an object of the user's own, rather than at one of the package's by name."""
    return ":" in name


def load_object(reference: str) -> Any:
    """The object that ``reference`` names, its module imported once per process.

    Args:
        reference: ``package.module:name``, looked up in the current folder too, or ``file.py:name`` with a
            path that is absolute, relative to the current folder, or begins with ``~``. ``name`` may be
            dotted: ``Class.method``. What stands before the last colon is the module, so that a Windows drive
            does no harm.

    Raises:
        ConfigError: When there is no such file, module or name, or the module cannot be imported.
    """
    target, _, name = reference.rpartition(":")
    if not target or not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(
            f"expected `package.module:name` or `./file.py:name`, got '{reference}'; the name is what the "
            "module calls the object"
        )
    is_file = target.endswith(".py") or target.startswith("~") or bool({"/", os.sep} & set(target))
    found: Any = _import_file(target, reference) if is_file else _import_module(target, reference)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{reference}: {_no_attribute(found, part)}")
        found = getattr(found, part)
    return found


def _import_file(target: str, reference: str) -> ModuleType:
    path = Path(target).expanduser().resolve()
    if not path.is_file() or path.suffix != ".py":
        raise ConfigError(f"{reference}: {_no_file(path)}")
    main = sys.modules["__main__"]
    if getattr(main, "__file__", None) and Path(str(main.__file__)).resolve() == path:
        return main  # the running script names itself: imported again it would run again
    with_folder = _importable(path.parent)
    try:
        return _imported(_module_name(path), reference, path.parent)
    except ConfigError:
        if with_folder:
            sys.path.remove(str(path.parent))
        raise


def _import_module(target: str, reference: str) -> ModuleType:
    if not all(part.isidentifier() for part in target.split(".")):
        raise ConfigError(
            f"{reference}: expected a dotted module name or a path to a .py file before the colon, got "
            f"'{target}'"
        )
    _importable(Path.cwd())
    return _imported(target, reference, Path.cwd())


def _importable(folder: Path) -> bool:
    """Put ``folder`` on the module search path; False when it is there.

    It stays there: imports inside functions and the workers that a process spawns, which are handed the path,
    need it after loading too. It goes last, so that a ``datasets.py`` of the user's hides no library that is
    still to be imported.
    """
    if str(folder) in sys.path or (folder == Path.cwd() and "" in sys.path):
        return False
    sys.path.append(str(folder))
    return True


class _FileFinder:
    """Finds the files that :func:`load_object` imports, by a name that is the same in every process."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of the file that is called ``name`` here, if it lies in a folder of the search path."""
        if not name.startswith(f"{__name__}."):
            return None
        for folder in sys.path:
            for file in sorted(Path(folder).glob("*.py")):
                if _module_name(file.resolve()) == name:
                    return importlib.util.spec_from_file_location(name, file.resolve())
        return None


sys.meta_path.append(_FileFinder)


def _module_name(path: Path) -> str:
    """A name of its own for a file, from its path: two files called ``mine.py`` are two modules."""
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return f"{__name__}.{path.stem.replace('.', '_')}_{digest}"


def _imported(module: str, reference: str, folder: Path) -> ModuleType:
    importlib.invalidate_caches()  # the file may have been written a moment ago
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if f"{module}.".startswith(f"{missing}.") and missing:
            raise ConfigError(f"{reference}: {_no_module(module, missing, folder)}") from error
        raise ConfigError(f"{reference}: {_no_dependency(missing, error)}") from error
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise ConfigError(f"{reference}: importing it failed at {_place(error)}: {said}") from error


def _no_file(path: Path) -> str:
    if path.is_dir():
        return f"expected a .py file, got the folder {path}"
    if path.is_file():
        return f"expected a .py file, got {path}"
    there = [file.name for file in path.parent.glob("*.py")] if path.parent.is_dir() else []
    return f"there is no file {path}{_nearest(path.name, there)}"


def _no_module(module: str, missing: str, folder: Path) -> str:
    parent, _, name = missing.rpartition(".")
    if not parent:
        there = [file.stem for file in folder.glob("*.py")]
        there += [file.parent.name for file in folder.glob("*/__init__.py")]
        hint = _nearest(name, there) or "; name a file by its path, ./file.py:name"
        return f"there is no module '{module}', neither installed nor in {folder}{hint}"
    # Another package of that name may come first on the search path, so say which one was searched.
    package = sys.modules[parent]
    folders = list(getattr(package, "__path__", []))
    if not folders:
        return f"'{parent}' ({package.__file__}) is a module, so it has no module '{name}'"
    there = [file.stem for folder in folders for file in Path(folder).glob("*.py")]
    return f"there is no module '{name}' in '{parent}' ({', '.join(folders)}){_nearest(name, there)}"


def _no_dependency(missing: str, error: ModuleNotFoundError) -> str:
    if missing.startswith(f"{__name__}."):
        name = missing.removeprefix(f"{__name__}.")
        return (
            f"{_place(error)}: a file that is named by its path belongs to no package; write `import {name}` "
            f"for `from . import {name}` and `from .{name} import ...` alike"
        )
    return f"{_place(error)}: it imports '{missing}', which is not installed"


def _no_attribute(holder: Any, name: str) -> str:
    public = [known for known in vars(holder) if not known.startswith("_")]
    where = f"{holder.__name__} ({holder.__file__})" if isinstance(holder, ModuleType) else repr(holder)
    hint = _nearest(name, public) or (f"; it has {', '.join(sorted(public)[:10])}" if public else "")
    return f"there is no '{name}' in {where}{hint}"


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _place(error: BaseException) -> str:
    """File and line of the user's code where an import went wrong."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename not in (__file__, importlib.__file__) and not frame.filename.startswith("<frozen ")
    ]
    if not frames:
        return "its first line"
    # The innermost line of what lies in the module's own folder: libraries called from there say little.
    own = os.path.dirname(frames[0].filename)
    place = [frame for frame in frames if frame.filename.startswith(own)][-1]
    return f"{place.filename}:{place.lineno}"
