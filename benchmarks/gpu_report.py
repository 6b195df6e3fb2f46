"""Tables of what ``benchmarks/gpu.py`` found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["report"]

Found = dict[str, Any]
GIB = 2**30
WIDEST = 80
"""Characters of an error in a table."""


def report(results: Sequence[Found]) -> str:
    """Markdown: a table for each kind of case, and of the checks those that are worth a look."""
    results = [one | {"times_as_fast_as_dense": _beside_dense(one, results)} for one in results]
    parts = [
        table(of) for kind, table in _TABLES.items() if (of := [r for r in results if r["kind"] == kind])
    ]
    checks = [one for one in results if one["kind"] in ("check", "part", "graph")]
    return "\n\n".join([*parts, _checks(checks)] if checks else parts)


def _table(heads: str, row: Callable[[Found], str]) -> Callable[[Sequence[Found]], str]:
    """A table whose rows begin with what was asked, and end with what was found or the error."""
    columns = heads.count("|") - 1

    def made(results: Sequence[Found]) -> str:
        lines = [heads, "|" + "---|" * columns]
        for one in results:
            if one["error"]:
                cells = [_asked(one), _short(one["error"])]
                lines.append("| " + " | ".join(cells) + " |" + " |" * (columns - len(cells)))
            else:
                lines.append(f"| {_asked(one)} | {row(one)} |")
        return "\n".join(lines)

    return made


def _short(error: str) -> str:
    """As much of an error as a table has room for; the file has all of it."""
    first, more = error.partition("\n")[::2]
    return f"{first[:WIDEST]} ..." if more or len(first) > WIDEST else first


def _asked(one: Found) -> str:
    if one["kind"] == "time":
        shape = f"B {one['num_queries']:,}, L {one['num_labels']:,}, D {one['dimension']}"
        other = "" if one["objective"] == "decoupled_softmax" else f", {one['objective']}"
        return f"{one['implementation']}, {shape}{other}"
    if one["kind"] == "step":
        told = [name for name, there in (("compiled", one["compile"]), ("ragged", one["ragged"])) if there]
        told += [f"scores in {one['precision']}"] if one["precision"] != "fp32" else []
        return ", ".join([one["tower"], f"pool of {one['pool']:,}", *told])
    if one["kind"] == "search":
        size = f"{one['num_queries']:,} of {one['num_labels']:,}, D {one['dimension']}, k {one['k']}"
        return size if one["memory_mb"] is None else f"{size}, {one['memory_mb']} MB"
    if one["kind"] == "index":
        return f"1 and {one['batch']} in {one['num_labels']:,}, D {one['dimension']}, k {one['k']}"
    return str(one.get("tower", one["kind"]))


def _smoke_row(one: Found) -> str:
    tera = [one[f"{dtype}_flops_per_second"] / 1e12 for dtype in ("bfloat16", "float32")]
    return f"{tera[0]:.1f} | {tera[1]:.1f} | {one['copied_bytes_per_second'] / 1e9:,.0f}"


def _beside_dense(one: Found, results: Sequence[Found]) -> float | None:
    """The time of dense scores over that of a case of the same shape; None where not both were timed."""
    if one["kind"] != "time" or one["error"]:
        return None
    shape = ("num_queries", "num_labels", "dimension", "dtype", "objective")
    for other in results:
        if other["kind"] == "time" and other["implementation"] == "dense" and not other["error"]:
            if all(other[name] == one[name] for name in shape):
                return float(other["milliseconds"] / one["milliseconds"])
    return None


def _time_row(one: Found) -> str:
    memory, share, faster = one["extra_bytes"], one["share_of_scores"], one["times_as_fast_as_dense"]
    cells = [
        f"{one['milliseconds']:.2f}",
        f"{one['products']:.2f}",
        f"{one['flops_per_second'] / 1e12:.1f}",
        f"{one['share_of_rate']:.0%}",
        f"{one['share_of_matrix_rate']:.0%}, {one['share_of_matrix_rate_by_four']:.0%}",
        "" if faster is None else f"{faster:.2f}",
        "" if memory is None else f"{memory / 2**20:,.0f} MiB",
        "" if share is None else f"{share:.1%}",
    ]
    return " | ".join(cells)


def _step_row(one: Found) -> str:
    parts, waits = one["parts"], one["host_waits"]
    score, optimiser = parts.get("scoring", 0.0), parts.get("optimiser", 0.0)
    encode = parts.get("encode", 0.0) + parts.get("replay", 0.0)
    host = parts.get("pool", 0.0) + parts.get("tokens", 0.0)
    peak = one["peak_bytes"]
    cells = [
        f"{one['seconds'] * 1e3:,.0f}",
        f"{one['texts_per_second']:,.0f}",
        f"{encode:.0%}, {score:.0%}, {optimiser:.0%}, {host:.0%}",
        "" if waits is None else str(sum(waits.values())),
        f"{one['share_of_matrix_rate']:.0%}",
        f"{one['epoch_hours']:.2f}",
        ("" if peak is None else f"{peak / GIB:.1f}, ") + f"{one['predicted_bytes'] / GIB:.1f}",
    ]
    return " | ".join(cells)


def _search_row(one: Found) -> str:
    cells = [
        f"{one['seconds']:.3f}",
        f"{one['queries_per_second']:,.0f}",
        f"{one['flops_per_second'] / 1e12:.1f}",
        f"{one['share_of_matrix_rate']:.0%}",
        f"{one['largest_error']:.0e}",
    ]
    return " | ".join(cells)


def _index_row(one: Found) -> str:
    cells = [
        f"{one['one_milliseconds']:.2f}, {one['batch_milliseconds']:.2f}",
        f"{one['host_one_milliseconds']:.1f}, {one['host_batch_milliseconds']:.1f}",
        f"{one['copy_seconds']:.2f}",
        "yes" if one["within_tolerance"] else "NO",
    ]
    return " | ".join(cells)


def _train_row(one: Found) -> str:
    found = " | ".join(f"{one['before'][name]:.1f}, {one['after'][name]:.1f}" for name in ("P@1", "P@5"))
    best = one["ceiling"].get("P@1")
    cells = [one["dataset"], f"{one['seconds']:.1f}", f"{one['rows_per_second']:,.0f}", found]
    return " | ".join([*cells, "" if best is None else f"{best:.1f}"])


def _encode_row(one: Found) -> str:
    rates = one["texts_per_second"]
    cells = [f"{rates['xmc']:,.0f}", f"{rates['sentence_transformers']:,.0f}"]
    return " | ".join([*cells, f"{one['times_as_fast']:.2f}", f"{one['largest_difference']:.0e}"])


_TABLES: dict[str, Callable[[Sequence[Found]], str]] = {
    "smoke": _table("| smoke test | bf16 TFLOP/s | float32 TFLOP/s | GB/s copied |", _smoke_row),
    "time": _table(
        "| scoring | ms | products | TFLOP/s | of its product's rate | of the matrix rate, by 4 products | "
        "times as fast as dense | extra memory | of 4 B L |",
        _time_row,
    ),
    "step": _table(
        "| training step | ms | texts/s | encode, score, optimise, host | waits | of the matrix rate | "
        "hours an epoch | GiB, predicted |",
        _step_row,
    ),
    "search": _table(
        "| exact search | seconds | queries/s | TFLOP/s | of the float32 rate | error |", _search_row
    ),
    "index": _table(
        "| index on the device | ms for one, a batch | of the host | s to copy | equal lists |",
        _index_row,
    ),
    "train": _table(
        "| end to end | data | seconds | rows/s | P@1 before, after | P@5 before, after | best P@1 |",
        _train_row,
    ),
    "encode": _table(
        "| encoding | texts/s | SentenceTransformer.encode | times as fast | difference |", _encode_row
    ),
}


def _checks(checks: Sequence[Found]) -> str:
    right = [one for one in checks if not one["error"] and one["within_tolerance"]]
    once = [one for one in right if one["repeatable"]]
    head = f"{len(right)} of {len(checks)} checks within tolerance, {len(once)} of these repeatable."
    return "\n".join([head, *(f"- {_name(one)}: {_fault(one)}" for one in checks if one not in once)])


def _name(one: Found) -> str:
    if one["kind"] != "check":
        return str(one.get("part", "a graph of scoring"))
    options = ", ".join(f"{key}={value}" for key, value in one["options"].items())
    return f"{one['objective']}({options}), {one['implementation']}, {one['dtype']}, D {one['dimension']}"


def _fault(one: Found) -> str:
    if one["error"]:
        return _short(one["error"])
    errors = ", ".join(f"{part} {error:.1e}" for part, error in one["errors"].items())
    return errors if not one["within_tolerance"] else f"two runs differ; {errors}"
