"""Files that came from elsewhere: which may be opened, and how small ones are read, within ``xmc.limits``.

Nothing of them is executed, unpickled or followed out of its folder. A file that is damaged, or made to harm,
ends in one typed error.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmc.errors import DataError, XMCError
from xmc.limits import (
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    MAX_FOLDER_ENTRIES,
    MAX_YAML_BYTES,
    MAX_YAML_VALUES,
)

if TYPE_CHECKING:
    import yaml

__all__ = ["check_folder", "check_inside", "check_name", "read_json", "read_text", "read_yaml", "reading"]

_REASON = 300


@contextmanager
def reading(
    place: object, expected: str, mend: str = "", error: type[XMCError] = DataError
) -> Iterator[None]:
    """Whatever a parser makes of what is read inside becomes one ``error``, in one line.

    Libraries answer damaged bytes with any exception there is; so every kind is caught, and only calls that
    read belong inside. Errors of this package pass as they are.

    Args:
        place: The file or folder, which the text begins with; "" where that is added later.
        expected: What it should have been.
        mend: What to do about it.
        error: The class to raise.
    """
    try:
        yield
    except (XMCError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as failure:
        # A panic in a library written in Rust is no Exception.
        if not isinstance(failure, Exception) and type(failure).__name__ != "PanicException":
            raise
        before, advice = f"{place}: " if place else "", f": {mend}" if mend else ""
        raise error(f"{before}expected {expected} ({_reason(failure)}){advice}") from failure


def _reason(failure: BaseException) -> str:
    if isinstance(failure, RecursionError):
        return "it is nested too deeply"
    if isinstance(failure, MemoryError):
        return "it takes more memory than there is"
    if isinstance(failure, KeyError):
        return f"it lacks {failure}"
    if isinstance(failure, OSError) and failure.strerror:
        return failure.strerror
    text = " ".join(str(failure).split()) or type(failure).__name__
    return text if len(text) <= _REASON else text[: _REASON - 3] + "..."


def check_name(name: object) -> str:
    """A plain file name; anything that could lead elsewhere is refused.

    Raises:
        ValueError: For a path, ``..``, an absolute one or what is no text.
    """
    if (
        not isinstance(name, str)
        or name in ("", ".", "..")
        or set(name) & set("/\\")
        or not name.isprintable()
    ):
        raise ValueError(f"expected plain file names, got {name!r:.80}")
    return name


def check_inside(path: Path, folder: Path) -> None:
    """Refuse a symbolic link that leads out of ``folder``, or in a circle.

    The cache of the Hugging Face hub is made of links into its own ``blobs``, which count as inside.

    Raises:
        ValueError: Saying where it leads.
    """
    try:
        real, root = _resolved(path), _root(folder.resolve())
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path.name} is a symbolic link that leads nowhere") from error
    if root != real and root not in real.parents:
        raise ValueError(
            f"{path.name} is a symbolic link that leads out of the folder, to {real}; put the file itself "
            "there"
        )


def _resolved(path: Path) -> Path:
    try:
        return path.resolve(strict=True)  # not strict, Python 3.13 takes a circle for a path
    except FileNotFoundError:
        return path.resolve()


def _root(folder: Path) -> Path:
    for place in (folder, *folder.parents):
        if place.parent.name == "snapshots" and "--" in place.parent.parent.name:
            return place.parent.parent
    return folder


def check_folder(folder: Path, expected: str, error: type[XMCError] = DataError) -> None:
    """Refuse a folder with pipes, devices, links that lead out of it, or too many entries.

    For folders that a library opens, which reads what it finds there by its own names.

    Raises:
        XMCError: An ``error``, which says that the folder is not the ``expected`` thing.
    """
    with reading(folder, expected, error=error):
        count = 0
        for path, folders, files in os.walk(folder):
            count += len(folders) + len(files)
            if count > MAX_FOLDER_ENTRIES:
                raise ValueError(f"it holds more than {MAX_FOLDER_ENTRIES:,} files and folders")
            for name in (*folders, *files):
                entry = Path(path) / name
                if entry.is_symlink():
                    check_inside(entry, folder)
            for name in files:
                _check_regular(Path(path) / name)


def _check_regular(path: Path) -> int:
    """The size of a regular file; another kind may never end, or never begin."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        kind = "a folder" if stat.S_ISDIR(facts.st_mode) else "a pipe or a device"
        raise ValueError(f"{path.name} is {kind}, not a file")
    return facts.st_size


def read_text(path: Path, limit: int = MAX_DOCUMENT_BYTES) -> str:
    """A small file as UTF-8 text, with or without a byte order mark.

    Raises:
        OSError: When it cannot be read.
        ValueError: When it is no regular file, larger than ``limit`` bytes or not UTF-8.
    """
    size = _check_regular(path)
    if size > limit:
        raise ValueError(f"it has {size:,} bytes, more than the {limit:,} that are read")
    with open(path, "rb") as file:  # a file of /proc says 0 bytes and has more
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"it has more than the {limit:,} bytes that are read")
    return data.decode("utf-8-sig")


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: When it cannot be read.
        ValueError: As `read_text`, and when it is no JSON.
        RecursionError: When it is nested too deeply.
    """
    return json.loads(read_text(path))


def read_yaml(path: Path) -> Any:
    """The value in a YAML file; nothing but plain values is made.

    Raises:
        OSError: When it cannot be read.
        ValueError: As `read_text`, and when it is no YAML, nested too deeply, or larger than
            ``MAX_YAML_VALUES`` once its aliases are written out.
    """
    import yaml  # here and below: most commands read no YAML

    text = read_text(path, MAX_YAML_BYTES)
    _check_levels(text)
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    # What the constructors make of a date of month 13, an empty integer, a tag on the wrong kind of value.
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"a value is not what its form or tag says ({error})") from error
    finally:
        loader.dispose()


def _check_levels(text: str) -> None:
    """Stop at the first level too many: the parser's time grows with the square of the levels."""
    import yaml

    levels = 0
    try:
        for number, event in enumerate(yaml.parse(text, yaml.SafeLoader)):
            levels += isinstance(event, yaml.CollectionStartEvent)
            levels -= isinstance(event, yaml.CollectionEndEvent)
            if levels > MAX_DEPTH:
                raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
            if number > 2 * MAX_YAML_VALUES:
                raise ValueError(f"it holds more than {MAX_YAML_VALUES:,} values")
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _check_size(root: yaml.Node) -> None:
    """Count the values and levels with every alias written out; each node is looked at once."""
    known: dict[int, tuple[int, int]] = {}
    above: set[int] = set()

    def measure(node: yaml.Node) -> tuple[int, int]:
        if id(node) in above:
            raise ValueError("an alias stands within what it stands for")
        if id(node) not in known:
            above.add(id(node))
            parts = [measure(child) for child in _children(node)]
            above.discard(id(node))
            values, levels = 1 + sum(n for n, _ in parts), 1 + max((n for _, n in parts), default=0)
            if levels > MAX_DEPTH:
                raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
            known[id(node)] = values, levels
        return known[id(node)]

    if measure(root)[0] > MAX_YAML_VALUES:
        raise ValueError(f"it stands for more than {MAX_YAML_VALUES:,} values, aliases written out")


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    import yaml

    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
