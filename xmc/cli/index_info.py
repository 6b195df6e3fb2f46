"""``xmc index info``: what an index is made of, and how it differs from a data set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xmc.cli.index_edit import add_label_options, given_labels
from xmc.cli.parser import make_parser, parse
from xmc.counted import agreeing, counted
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from xmc.retrieval.given_labels import LabelDifference
    from xmc.retrieval.label_index import LabelIndex

__all__ = ["run"]

_SHOWN = 5


def run(arguments: Sequence[str]) -> None:
    """Print the facts of an index."""
    parser = make_parser(
        "index info",
        "What an index is made of: its kind, labels, model, size. The checksums of its files are verified.\n"
        "With --labels also which labels it and a data set or table do not share.",
        "xmc index info runs/demo-index --labels data/api-docs",
    )
    parser.add_argument("index", help="An index folder.")
    add_label_options(parser, required=False, help="A data set or a table of labels to compare with.")
    parser.add_argument("--dataset", type=str | None, default=None, help="As --labels.")
    parser.add_argument("--json", action="store_true", help="A JSON object, for programs.")
    options = parse(parser, arguments)
    if options.dataset is not None:
        if options.labels is not None:
            raise ConfigError("expected --dataset or --labels, which are the same, got both")
        options.labels = options.dataset

    from xmc.retrieval.given_labels import tell_apart
    from xmc.retrieval.label_index import LabelIndex

    index = LabelIndex.load(options.index, mapped=True)
    facts = _facts(index, Path(options.index))
    difference: LabelDifference | None = None
    if options.labels is not None:
        given = given_labels(options, index)
        live = index.live_ids.tolist()
        difference = tell_apart(
            [index.uids[i] for i in live], [index.texts[i] for i in live], given.uids, list(given.texts)
        )
    if options.json:
        told = None if difference is None else difference._asdict()
        print(json.dumps({**facts, "difference": told}, ensure_ascii=False))
        return
    for name, value in facts.items():
        print(f"{name:<16} {_shown(value)}")
    if difference is not None:
        print(_told(difference, options.labels, options.index))


def _facts(index: LabelIndex, place: Path) -> dict[str, Any]:
    manifest = index.manifest
    folder = place / index.generation if index.generation else place
    return {
        "kind": manifest.kind if manifest.kind != "factory" else manifest.factory,
        "factory": manifest.factory or None,
        "storage": manifest.storage if manifest.index_kind.has_table else None,
        "refined": manifest.refine,
        "labels": len(index),
        "removed": len(index.uids) - len(index),
        "dropped_vectors": index.vectors_dropped,
        "dimension": manifest.dimension,
        "truncated": manifest.truncated_to is not None,
        "label_texts": manifest.label_texts,
        "label_fold": manifest.label_fold if manifest.has_several_texts else None,
        "vectors": index.num_vectors,
        "offsets": manifest.offset_dimension,
        "ranking": manifest.ranking,
        "exact_scores": manifest.exact_scores,
        "beside": None if manifest.ensemble is None else str(manifest.ensemble),
        "search": manifest.search,
        "megabytes": round(sum(path.stat().st_size for path in folder.iterdir()) / 1e6, 1),
        "model": index.model_place,
        "model_fingerprint": manifest.model_fingerprint,
        "label_fields": manifest.label_fields,
        "generation": index.generation or None,
        "format_version": manifest.format_version,
    }


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}={number}" for name, number in value.items()) or "-"
    if isinstance(value, list):
        return " + ".join(value)
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value)


def _mend_extra(labels: str, index: str) -> str:
    """Labels that the index alone has are taken out of it, or into the data set."""
    remove = f"xmc index remove {index} UID ..."
    return (
        f"{remove}, or xmc data update {labels} --add {index} --known skip"
        if Path(labels).is_dir()
        else remove
    )


def _told(difference: LabelDifference, labels: str, index: str) -> str:
    if difference.is_empty:
        return f"the labels are those of {labels}"
    said = (
        (
            difference.missing,
            ("is not in the index", "are not in the index"),
            f"xmc index add {index} --labels {labels} --known skip",
        ),
        (
            difference.changed,
            ("has another text in the index", "have another text in the index"),
            f"xmc index add {index} --labels {labels} --known update",
        ),
        (
            difference.extra,
            (f"is in the index and not in {labels}", f"are in the index and not in {labels}"),
            _mend_extra(labels, index),
        ),
    )
    lines = []
    for uids, what, mend in said:
        if uids:
            some = ", ".join(uids[:_SHOWN]) + (", ..." if len(uids) > _SHOWN else "")
            lines.append(f"{counted(len(uids), 'label')} {agreeing(len(uids), *what)}: {some} ({mend})")
    return "\n".join(lines)
