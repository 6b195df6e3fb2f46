"""Walks installed packages and lists their documented public objects, each once, with all its paths."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import pkgutil
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import GenericAlias, ModuleType
from typing import Any

from xmc.errors import DependencyError

__all__ = ["PublicObject", "collect_objects", "import_public_modules"]

# Parts of a package that are for its own developers, or other people's code carried along.
_SKIPPED = frozenset({"tests", "test", "conftest", "setup", "externals", "distutils", "f2py", "mypy_plugin"})


@dataclass
class PublicObject:
    """A documented public object: a module, class, function, method, property or documented instance.

    An instance speaks through its class where that is not public itself, as ``numpy.mgrid`` does.
    """

    doc: str
    """Its documentation string, as found."""
    paths: list[str] = field(default_factory=list)
    """Every dotted public path that leads to it."""
    qualname: str = ""
    """Its name within its module where it was defined, with the class, if it knows that."""

    @property
    def name(self) -> str:
        """The canonical path: fewest parts, then as defined, then shortest, then first in the alphabet."""
        return min(
            self.paths,
            key=lambda path: (path.count("."), not path.endswith(f".{self.qualname}"), len(path), path),
        )


def import_public_modules(package: str) -> list[ModuleType]:
    """Import a package and its public submodules, in order of name; those that fail to import are left out.

    Raises:
        DependencyError: When the package itself is not installed.
    """
    with _silence():
        try:
            root = importlib.import_module(package)
        except ImportError as error:
            raise DependencyError(
                f"expected the package {package} to be installed, but importing it failed ({error}): pip "
                f"install {package}"
            ) from error
        modules = []
        waiting = [root]
        while waiting:
            module = waiting.pop()
            modules.append(module)
            waiting += [
                child for name in _public_children(module) if (child := _try_import(name)) is not None
            ]
    return sorted(modules, key=lambda module: module.__name__)


def collect_objects(modules: Sequence[ModuleType]) -> list[PublicObject]:
    """Every documented public object of the modules, in order of canonical name.

    One object found under several paths is one entry, and so are objects of one package that share their last
    name and their whole documentation string (a method that is generated anew for each class, for example).
    """
    by_identity: dict[int, PublicObject] = {}
    kept_alive: list[Any] = []  # an id names an object only while the object lives
    instances = []
    with _silence():
        for path, value, doc in _walk(modules):
            kept_alive.append(value)
            if doc is None:
                instances.append((path, value))
                continue
            found = by_identity.setdefault(id(value), PublicObject(doc, qualname=_qualname(value)))
            found.paths.append(path)
    classes = set(by_identity)
    for path, value in instances:
        if id(type(value)) not in classes:
            by_identity.setdefault(id(value), PublicObject(type(value).__doc__ or "")).paths.append(path)
    folded: dict[tuple[str, str, str], PublicObject] = {}
    for found in sorted(by_identity.values(), key=lambda entry: entry.name):
        key = (found.name.partition(".")[0], found.name.rpartition(".")[2], found.doc)
        folded.setdefault(key, PublicObject(found.doc, qualname=found.qualname)).paths.extend(found.paths)
    return sorted(folded.values(), key=lambda entry: entry.name)


def _public_children(module: ModuleType) -> list[str]:
    infos = pkgutil.iter_modules(getattr(module, "__path__", []))
    return [
        f"{module.__name__}.{info.name}"
        for info in infos
        if info.name not in _SKIPPED and info.name[0] != "_"
    ]


def _try_import(name: str) -> ModuleType | None:
    # Optional submodules fail in any way they like: a missing package, a wrong platform, even sys.exit.
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit):
        return None


def _walk(modules: Sequence[ModuleType]) -> Iterator[tuple[str, Any, str | None]]:
    """Yield (path, object, documentation) for modules, their members and the members of their classes.

    The documentation is None for an instance that has its class's.
    """
    for path, module in _with_aliases(modules):
        package = path.partition(".")[0]
        if doc := _documentation(module):
            yield path, module, doc
        listed = set(getattr(module, "__all__", ()))
        # A package's __init__ may offer more than its __all__ says (pandas.api.types); a plain module not.
        names = listed | set(dir(module)) if not listed or hasattr(module, "__path__") else listed
        for name, value in _members(module, names):
            if isinstance(value, ModuleType) or not (name in listed or _belongs(value, package)):
                continue
            doc = _documentation(value)
            if doc or _is_instance_of(value, package):
                yield f"{path}.{name}", value, doc
            if inspect.isclass(value) and _belongs(value, package):
                yield from _class_members(f"{path}.{name}", value, package)


def _with_aliases(modules: Sequence[ModuleType]) -> Iterator[tuple[str, ModuleType]]:
    """Every module under its own name, and under the name its package lists it by, such as numpy.emath."""
    for module in modules:
        yield module.__name__, module
        for name, value in _members(module, getattr(module, "__all__", ())):
            path = f"{module.__name__}.{name}"
            if (
                isinstance(value, ModuleType)
                and value.__name__ != path
                and _belongs(value, path.partition(".")[0])
            ):
                yield path, value


def _class_members(
    path: str, owner: type, package: str, nested: bool = True
) -> Iterator[tuple[str, Any, str]]:
    for name, value in _members(owner, dir(owner)):
        # A bound classmethod is made anew at each access; what it binds is the same object every time.
        value = getattr(value, "__func__", value)
        if not (callable(value) or inspect.isdatadescriptor(value)):
            continue
        if inspect.isclass(value) and not (nested and _belongs(value, package)):
            continue
        if doc := _documentation(value):
            yield f"{path}.{name}", value, doc
        if inspect.isclass(value):  # an accessor, such as pandas.Series.str
            yield from _class_members(f"{path}.{name}", value, package, nested=False)


def _members(owner: Any, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for name in sorted(set(names)):
        if name.startswith("_") or name in _SKIPPED:
            continue
        try:
            yield name, getattr(owner, name)
        except Exception:  # a property of a metaclass or a lazy module may raise anything
            continue


def _belongs(value: Any, package: str) -> bool:
    """Whether an object found in a module is the package's own, not something it imported from elsewhere."""
    home = getattr(value, "__name__" if isinstance(value, ModuleType) else "__module__", None)
    if not isinstance(home, str):
        home = type(value).__module__
    return home.partition(".")[0] in (package, "builtins")


def _qualname(value: Any) -> str:
    try:
        name = getattr(getattr(value, "fget", value), "__qualname__", "")
    except Exception:
        return ""
    return name if isinstance(name, str) else ""


def _documentation(value: Any) -> str | None:
    """An object's own documentation string; not one that an instance merely inherits from its type."""
    if isinstance(value, GenericAlias):
        return None
    try:
        doc = value.__doc__
        inherited = () if inspect.isclass(value) else (type(value).__doc__, _written(type(value)))
    except Exception:
        return None
    return doc if isinstance(doc, str) and doc.strip() and doc not in inherited else None


def _written(owner: type) -> Any:
    """A class's documentation as its instances see it: with the signature that the class itself hides."""
    return next((vars(base)["__doc__"] for base in owner.__mro__ if "__doc__" in vars(base)), None)


def _is_instance_of(value: Any, package: str) -> bool:
    """Whether an object without documentation of its own has that of its class, one of ``package``."""
    owner = type(value)
    try:
        inherited = (
            value.__doc__ == owner.__doc__ and isinstance(owner.__doc__, str) and owner.__doc__.strip()
        )
    except Exception:
        return False
    return bool(inherited) and owner.__module__.partition(".")[0] == package


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
