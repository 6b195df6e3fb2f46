"""What may be wrong with a file or a folder: each takes a generator and a path, and says what it did."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

__all__ = ["mutations_for"]

Mutation = Callable[[np.random.Generator, Path], str]

NASTY_NUMBERS = [
    "-1",
    "0",
    "2147483648",
    "1099511627776",
    "9223372036854775808",
    "1e400",
    "-1e400",
    "nan",
    "inf",
]
NASTY_NUMBERS += ["1" * 400, "1" * 5000, "1.5", "0x10", "1_000", "٣", "--1", "1e39", "true"]
NASTY_VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**40,
    2**63,
    10**400,
    1.5,
    1e308,
    math.nan,
    math.inf,
    "",
    " ",
]
NASTY_VALUES += [
    "x" * 5000,
    "../../../etc/passwd",
    "/etc/passwd",
    "\x00",
    "\ud800",
    "a\nb\x1b[31m",
    [],
    {},
    [[]],
]
NASTY_VALUES += [{"a": {"b": [1]}}, [None], ["l1", 1], [1, "l1"], "NaN", [1e400], [2**40], [-1]]
YAML_SNIPPETS = [
    "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)),
    "a: &a {x: 1}\n"
    + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{', '.join([f'*{chr(97 + i)}'] * 9)}]}}\n" for i in range(9)
    ),
    "data: &d {path: *d}\n",
    "seed: 2024-99-99\n",
    'seed: !!int ""\n',
    "seed: !!float x\n",
    "seed: !!bool x\n",
    "seed: !!timestamp x\n",
    "seed: !!python/object/apply:os.system ['touch /tmp/xmc-fuzz-was-here']\n",
    "!!binary x\n",
    "? [a, b]\n: c\n",
    "seed: 0o99\nseed: 1:99:99\n",
    "--- a\n--- b\n",
    "%YAML 9.9\n---\na: b\n",
    "@\n",
    "<<: 3\n",
    "data: [" * 3000,
    "{" * 5000,
    "- " * 3000,
    "".join(f"a{i}: &n{i} [{f'*n{i - 1}' if i else 'x'}]\n" for i in range(2000)),
]
OBJECTS = np.array([{"a": 1}, None], dtype=object)


def mutations_for(path: Path) -> list[Mutation]:
    """Those that make sense for a file, by its name; each list twice as likely the closer it fits."""
    name, found = path.name, list(BYTES)
    packed = name.endswith(".gz")
    plain = name.removesuffix(".gz")
    if (
        plain.endswith((".json", ".jsonl", ".txt", ".csv", ".tsv", ".yaml", ".run", ".md"))
        or name == "latest"
    ):
        found += TEXT if not packed else [_through_gzip(one) for one in TEXT]
    if plain.endswith((".json", ".jsonl")):
        found += (JSON if not packed else [_through_gzip(one) for one in JSON]) * 3
    if plain.endswith(".yaml"):
        found += YAML * 3
    if plain.endswith(".npz"):
        found += ARRAYS * 3
    if plain.endswith(".parquet"):
        found += TABLES * 3
    if plain.endswith(".safetensors"):
        found += TENSORS * 2
    return found


# Bytes, and what a path may be instead of a file.


def flip_bits(rng: np.random.Generator, path: Path) -> str:
    data = bytearray(path.read_bytes())
    for place in rng.integers(0, max(1, len(data)), int(rng.integers(1, 9))):
        if data:
            data[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    return "flip_bits"


def cut(rng: np.random.Generator, path: Path) -> str:
    data = path.read_bytes()
    path.write_bytes(data[: int(rng.integers(0, max(1, len(data))))])
    return "cut"


def empty(rng: np.random.Generator, path: Path) -> str:
    path.write_bytes(b"")
    return "empty"


def append_garbage(rng: np.random.Generator, path: Path) -> str:
    path.write_bytes(path.read_bytes() + rng.bytes(int(rng.integers(1, 200))))
    return "append_garbage"


def insert_bytes(rng: np.random.Generator, path: Path) -> str:
    data = path.read_bytes()
    place = int(rng.integers(0, len(data) + 1))
    inserted = [b"\x00" * 9, b"\xff\xfe", b"\xc3(", b"\xed\xa0\x80", b"\r", b"\x1b[2J"][int(rng.integers(6))]
    path.write_bytes(data[:place] + inserted + data[place:])
    return f"insert {inserted!r}"


def byte_order_mark(rng: np.random.Generator, path: Path) -> str:
    mark = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"][int(rng.integers(3))]
    path.write_bytes(mark + path.read_bytes())
    return "byte_order_mark"


def packed_again(rng: np.random.Generator, path: Path) -> str:
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return "packed_again"


def become_folder(rng: np.random.Generator, path: Path) -> str:
    path.unlink()
    path.mkdir()
    return "become_folder"


def become_pipe(rng: np.random.Generator, path: Path) -> str:
    path.unlink()
    os.mkfifo(path)
    return "become_pipe"


def become_link(rng: np.random.Generator, path: Path) -> str:
    kept = path.with_name(f"kept-{path.name}")
    outside = path.parent.parent / f"outside-{path.name}"
    target = ["/etc/passwd", "/dev/zero", path.name, "nowhere", str(kept), "..", str(outside)][
        int(rng.integers(7))
    ]
    if target == str(outside):
        outside.write_bytes(path.read_bytes())
    path.rename(kept)
    path.symlink_to(target)
    return f"become_link to {target}"


def forbid(rng: np.random.Generator, path: Path) -> str:
    path.chmod(0)
    return "forbid"


def vanish(rng: np.random.Generator, path: Path) -> str:
    path.unlink()
    return "vanish"


@cache
def _bomb(kind: int) -> bytes:
    block = [
        b" " * (1 << 20),
        b"\n" * (1 << 20),
        b'{"text": "a", "labels": [0]}\n' * 30_000,
        b"[" * (1 << 20),
    ][kind]
    return gzip.compress(block * 48, 9, mtime=0)


def gzip_bomb(rng: np.random.Generator, path: Path) -> str:
    kind = int(rng.integers(4))
    path.write_bytes(_bomb(kind))
    return f"gzip_bomb {kind}"


BYTES: list[Mutation] = [flip_bits, flip_bits, cut, empty, append_garbage, insert_bytes, byte_order_mark]
BYTES += [packed_again, become_folder, become_pipe, become_link, forbid, vanish, gzip_bomb]


# Lines of text.


def _lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")


def duplicate_line(rng: np.random.Generator, path: Path) -> str:
    lines = _lines_of(path)
    place = int(rng.integers(len(lines)))
    path.write_bytes(b"\n".join([*lines[:place], lines[place], *lines[place:]]))
    return f"duplicate_line {place}"


def remove_line(rng: np.random.Generator, path: Path) -> str:
    lines = _lines_of(path)
    place = int(rng.integers(len(lines)))
    path.write_bytes(b"\n".join([*lines[:place], *lines[place + 1 :]]))
    return f"remove_line {place}"


def reorder_lines(rng: np.random.Generator, path: Path) -> str:
    lines = _lines_of(path)
    path.write_bytes(b"\n".join(lines[i] for i in rng.permutation(len(lines))))
    return "reorder_lines"


def carriage_returns(rng: np.random.Generator, path: Path) -> str:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return "carriage_returns"


def another_encoding(rng: np.random.Generator, path: Path) -> str:
    text = path.read_bytes().decode("utf-8", "replace") + "é"
    name = ["latin-1", "utf-16", "utf-32"][int(rng.integers(3))]
    path.write_bytes(text.encode(name, "replace"))
    return f"in {name}"


def another_number(rng: np.random.Generator, path: Path) -> str:
    data = path.read_bytes()
    places = list(re.finditer(rb"-?\d+(\.\d+)?", data[: 1 << 16]))
    if not places:
        return "another_number: none there"
    at, number = places[int(rng.integers(len(places)))], NASTY_NUMBERS[int(rng.integers(len(NASTY_NUMBERS)))]
    path.write_bytes(data[: at.start()] + number.encode() + data[at.end() :])
    return f"number {number:.20} for {at.group().decode()}"


def long_line(rng: np.random.Generator, path: Path) -> str:
    lines = _lines_of(path)
    place, size = int(rng.integers(len(lines))), [200_000, 200_000, 200_000, 17 << 20][int(rng.integers(4))]
    lines[place] = lines[place][:5] + [b"x", b" ", b"1:1 ", b"9"][int(rng.integers(4))] * size
    path.write_bytes(b"\n".join(lines)[: 20 << 20])
    return f"long_line {place} of {size}"


def nested(rng: np.random.Generator, path: Path) -> str:
    lines = _lines_of(path)
    opening = [b"[", b'{"a":', b'{"uid": "q0", "labels": [', b'",\t'][int(rng.integers(4))]
    lines[int(rng.integers(len(lines)))] = opening * int(rng.choice([90, 2000, 100_000]))
    path.write_bytes(b"\n".join(lines))
    return f"nested {opening!r}"


TEXT: list[Mutation] = [duplicate_line, remove_line, reorder_lines, carriage_returns, another_encoding]
TEXT += [another_number, another_number, another_number, long_line, nested]


def _through_gzip(mutation: Mutation) -> Mutation:
    def mutated(rng: np.random.Generator, path: Path) -> str:
        try:
            path.write_bytes(gzip.decompress(path.read_bytes()))
        except (OSError, EOFError, zlib.error):
            return "no gzip any more"
        said = mutation(rng, path)
        if path.is_file():
            path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        return f"gzipped {said}"

    return mutated


# Values of JSON and YAML.


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        found += [place for key, inner in value.items() for place in _places(inner, (*path, key))]
    elif isinstance(value, list):
        found += [place for key, inner in enumerate(value) for place in _places(inner, (*path, key))]
    return found


def _changed(rng: np.random.Generator, value: Any) -> tuple[Any, str]:
    places = _places(value)
    place = places[int(rng.integers(len(places)))]
    nasty, kind = NASTY_VALUES[int(rng.integers(len(NASTY_VALUES)))], int(rng.integers(4))
    if not place:
        return (nasty, f"all is {nasty!r:.30}") if kind == 0 else (value, "as it was")
    holder = value
    for key in place[:-1]:
        holder = holder[key]
    key = place[-1]
    if kind == 0:
        del holder[key]
        return value, f"without {place}"
    if kind == 1 and isinstance(holder, dict):
        names = ["extra", "__class__", "", "a.b", "uid", "path"]
        holder[names[int(rng.integers(len(names)))]] = nasty
        return value, f"with more beside {place}"
    holder[key] = nasty
    return value, f"{place} is {nasty!r:.30}"


def json_value(rng: np.random.Generator, path: Path) -> str:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    lines = text.splitlines() if ".jsonl" in path.name or text.count("\n{") else [text]
    place = int(rng.integers(max(1, len(lines))))
    try:
        value = json.loads(lines[place])
    except (ValueError, IndexError, RecursionError):
        return "no JSON any more"
    value, said = _changed(rng, value)
    lines[place] = json.dumps(value)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    return f"line {place}: {said}"


def yaml_value(rng: np.random.Generator, path: Path) -> str:
    try:
        value = yaml.safe_load(path.read_bytes())
    except Exception:
        return "no YAML any more"
    value, said = _changed(rng, value)
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8", errors="replace")
    return said


def yaml_snippet(rng: np.random.Generator, path: Path) -> str:
    number = int(rng.integers(len(YAML_SNIPPETS)))
    before = path.read_bytes() if rng.random() < 0.5 else b""
    path.write_bytes(before + YAML_SNIPPETS[number].encode())
    return f"yaml_snippet {number}"


JSON: list[Mutation] = [json_value]
YAML: list[Mutation] = [yaml_value, yaml_value, yaml_snippet]


# Arrays.


def _npy(array: np.ndarray, header: dict[str, Any] | None = None) -> bytes:
    buffer = io.BytesIO()
    if header is None:
        np.lib.format.write_array(buffer, array, allow_pickle=True)
        return buffer.getvalue()
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + array.tobytes()


@cache
def _zeros() -> bytes:
    """An archive of a matrix and of predictions that takes 320 MB once it is unpacked."""
    shapes = {"ids": (3, 20 << 20), "scores": (3, 20 << 20), "data": (20 << 20,), "indices": (20 << 20,)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, shape in shapes.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                for _ in range(4 * math.prod(shape) >> 20):
                    member.write(bytes(1 << 20))
        for name, value in (("indptr", [0, 0, 0, 20 << 20]), ("format", b"csr"), ("shape", [3, 6])):
            archive.writestr(f"{name}.npy", _npy(np.array(value)))
    return buffer.getvalue()


def zip_bomb(rng: np.random.Generator, path: Path) -> str:
    path.write_bytes(_zeros())
    return "zip_bomb"


def array(rng: np.random.Generator, path: Path) -> str:
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except Exception:
        return "no npz any more"
    if sum(value.nbytes for value in arrays.values()) > 1 << 20:
        return "a bomb already"
    name = sorted(arrays)[int(rng.integers(len(arrays)))]
    value, kind = arrays[name], int(rng.integers(10))
    said, header = f"{name}: {kind}", None
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        types = ["f8", "c16", "S3", "U3", "i8", "u8", "?", "f2", "M8[s]", "V4"]
        try:
            arrays[name] = np.asarray(value).astype(types[int(rng.integers(len(types)))])
        except (ValueError, TypeError):
            arrays[name] = np.zeros(value.shape, "V4")
    elif kind in (2, 3, 4) and value.size and value.dtype.kind in "iuf":
        nasty = [-1, -2, 2**31 - 1, 2**31, 2**40, 2**62, math.nan, math.inf, -math.inf, 1e300, 5]
        number = nasty[int(rng.integers(len(nasty)))]
        wide = value.astype(np.float64 if value.dtype.kind == "f" or isinstance(number, float) else np.int64)
        wide.flat[int(rng.integers(value.size))] = number
        arrays[name] = wide
        said += f" {number}"
    elif kind == 5:
        arrays[name] = np.repeat(value[None], 2, axis=0) if rng.random() < 0.5 else value.reshape(-1)[:-1]
    elif kind == 6:
        arrays[name] = OBJECTS
    elif kind == 7:
        shape = [(2**40,), (2**31, 2**31), (-1,), (3, 2**40), (0, 2**62), (2**63,)][int(rng.integers(6))]
        header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    elif kind == 8:
        arrays["extra"] = np.arange(3)
    else:
        arrays[name] = np.asfortranarray(value)[::-1]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, data in arrays.items():
            archive.writestr(f"{one}.npy", _npy(data, header if one == name else None))
        if rng.random() < 0.1:
            more = ["more.npy", "../x.npy", "x.txt", f"{name}.npy"][int(rng.integers(4))]
            with warnings.catch_warnings():  # that a name is there twice
                warnings.simplefilter("ignore")
                archive.writestr(more, _npy(np.arange(3)))
    return said


ARRAYS: list[Mutation] = [array, array, array, array, array, array, zip_bomb]


# Tables and tensors.


def table(rng: np.random.Generator, path: Path) -> str:
    try:
        content = pq.read_table(path)
    except Exception:
        return "no table any more"
    place, kind = int(rng.integers(content.num_columns)), int(rng.integers(7))
    name, count = content.schema.names[place], content.num_rows
    nasty: list[Any] = [
        pa.nulls(count),
        pa.array([2**40] * count),
        pa.array([math.nan] * count),
        pa.array([b"\xff\xfe"] * count),
        pa.array([{"a": 1}] * count),
        pa.array([[[1]]] * count),
        pa.array([[None]] * count),
        pa.array([[-1]] * count),
        pa.array(["same"] * count),
        pa.array([True] * count),
        pa.array([10**14] * count, pa.timestamp("s")),
    ]
    if kind == 0:
        content = content.drop_columns([name])
    elif kind == 1:
        content = content.rename_columns([n if n != name else "other" for n in content.schema.names])
    elif kind == 2:
        content = content.append_column(name, content.column(place))
    elif kind == 3:
        content = content.slice(0, int(rng.integers(0, count + 1)))
    elif kind == 4:
        content = pa.concat_tables([content, content])
    else:
        column = nasty[int(rng.integers(len(nasty)))]
        content = content.set_column(place, name, column)
    pq.write_table(content, path)
    return f"table {name}: {kind}"


@cache
def _one_text_in_many_rows() -> bytes:
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 30_000, pa.int32()), pa.array(["x" * (3 << 20)]))
    sink = io.BytesIO()
    columns = {name: text for name in ("uid", "title", "content", "text")}
    pq.write_table(
        pa.table(columns), sink, compression="zstd", dictionary_pagesize_limit=64 << 20, store_schema=False
    )
    return sink.getvalue()


def table_bomb(rng: np.random.Generator, path: Path) -> str:
    path.write_bytes(_one_text_in_many_rows())
    return "table_bomb"


TABLES: list[Mutation] = [table, table, table, table, table, table, table, table, table_bomb]


def tensor_header(rng: np.random.Generator, path: Path) -> str:
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    if size > len(data):
        return "no safetensors any more"
    kind = int(rng.integers(4))
    if kind == 0:
        path.write_bytes([2**40, 2**63, 0, size + 1][int(rng.integers(4))].to_bytes(8, "little") + data[8:])
        return "header size"
    if kind == 1:  # NaN in the last number, whatever its type
        path.write_bytes(data[:-4] + b"\xff\xff\xff\xff")
        return "NaN"
    header = data[8 : 8 + size].replace(b"F32", [b"F16", b"I64", b"BF16", b"X99"][int(rng.integers(4))], 1)
    if kind == 3:
        header = re.sub(rb'"shape":\[(\d+)', rb'"shape":[10\1', header, count=1)
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
    return f"header {kind}"


TENSORS: list[Mutation] = [tensor_header]
