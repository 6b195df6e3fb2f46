"""What the tests of several rooms share."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.no_network.sitecustomize  # noqa: F401  (no network from here on)
from tests.distributed.ranks import Ranks
from tests.thorough import THOROUGH, is_thorough

FIXTURES = ["tests.fixtures.encoders", "tests.fixtures.tiny_models", "tests.fixtures.words"]

# Files that take ten seconds and more, whatever the number of their tests.
LONGEST = (
    "tuning/test_resuming.py",
    "benchmarks/test_gpu_bare.py",
    "test_pages.py",
    "test_wheel.py",
    "benchmarks/test_methods.py",
    "training/batches/pools/test_unbiased.py",
    "objectives/test_catalogue.py",
    "objectives/test_triton.py",
    "heads/test_step.py",
    "test_extending.py",
    "tuning/test_fitting.py",
    "scoring/fused/test_compile.py",
    "distributed/test_launch.py",
    "objectives/margins/test_margin_of_positives.py",
    "test_readme.py",
    "test_your_data.py",
    "reports/test_page.py",
    "heads/test_head.py",
    "training/batches/test_batches.py",
    "cli/test_compare_report.py",
    "fuzz/test_hostile.py",
    "benchmarks/test_gpu.py",
    "benchmarks/test_gpu_side_by_side.py",
)
# What starts ranks of its own stays with what plays them: their forkserver imports torch once.
FORKING = ("distributed/test_ranks.py", "scoring/fused/test_launch.py")
# What uses the libraries of tests/fixtures/libraries.py stays with one worker, which alone imports them.
IMPORTING = (
    "benchmarks/test_cross_encoder.py",
    "cli/test_distill.py",
    "distillation/test_cross_encoder.py",
    "encoders/",
    "examples/",
    "integrations/",
    "test_extending.py",
    "training/test_cost_on_paper.py",
    "training/test_tower_runs.py",
    "training/test_trainer.py",
)
pytest.register_assert_rewrite(*FIXTURES)

# What is imported and collected stays: no garbage is looked for before pytest_collection_finish.
gc.disable()
# Triton decides when it is first imported whether its kernels run on a GPU or in its interpreter.
os.environ.setdefault("TRITON_INTERPRET", "1")
# Before torch is imported, and for the processes that tests start: workers side by side do not fight for
# cores, and sums come out the same on any machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nor for the processes that tests start, wherever they work; the libraries of the hub do not even try.
os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
_FOLDER = Path(__file__).parent
_FIRST = [str(_FOLDER / "no_network"), str(_FOLDER.parent)]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*_FIRST, os.environ.get("PYTHONPATH")]))


def pytest_configure(config: pytest.Config) -> None:
    """Fixtures are for where tests run: a process that only hands tests to workers does not import torch."""
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        for name in FIXTURES:
            config.pluginmanager.import_plugin(name)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where thorough tests alone run, files that have none are not read: most are not, in every process."""
    if config.getoption("markexpr").partition(" and ")[0] != "thorough" or collection_path.suffix != ".py":
        return None
    name = collection_path.relative_to(_FOLDER).as_posix() if collection_path.is_relative_to(_FOLDER) else ""
    return True if collection_path.name.startswith("test_") and name not in THOROUGH else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Under pytest-xdist a file stays with one worker, and all that plays ranks is one file's worth.

    Else every worker would start four processes of its own, each of which imports torch and the rest. What
    takes longest comes first, so that no worker is left with it at the end while the others have nothing.
    """
    for item in items:
        function = getattr(item, "originalname", item.name)
        if is_thorough(item.path.relative_to(_FOLDER).as_posix(), function, item.name):
            item.add_marker(pytest.mark.thorough)
    if not config.pluginmanager.hasplugin("xdist"):
        return
    places = {}
    for item in items:
        name = item.path.relative_to(_FOLDER).as_posix()
        group = name
        if "ranks" in getattr(item, "fixturenames", ()) or name in FORKING:
            group, places[item] = "ranks", -1
        elif name.startswith(IMPORTING):
            group, places[item] = "libraries", 0
        else:
            places[item] = LONGEST.index(name) if name in LONGEST else len(LONGEST)
        item.add_marker(pytest.mark.xdist_group(group))
    if hasattr(config, "workerinput"):
        items.sort(key=places.__getitem__)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Modules and collected tests stay to the end, so garbage is not looked for among their many objects.

    Groups are in the names that pytest-xdist goes by; of a pytest that it does not know they are lost.
    """
    if session.config.getoption("loadgroup", False) and any("@" not in item.nodeid for item in session.items):
        raise pytest.UsageError(
            "expected a pytest whose tests pytest-xdist can group: pip install 'pytest<9.2'"
        )
    _forget_loggers_of_others()
    gc.freeze()
    gc.enable()


def _forget_loggers_of_others() -> None:
    """Pytest looks at all loggers six times a test, and hands its handlers to those that propagate nothing.

    Of the libraries' there are hundreds to look at, which come again when they are asked for, and dozens of
    the latter.
    """
    known = logging.root.manager.loggerDict
    for name, logger in list(known.items()):
        if name.split(".")[0] == "xmc" or not isinstance(logger, logging.Logger):
            continue
        logger.propagate = True
        if not logger.handlers and logger.level == logging.NOTSET:
            del known[name]


def pytest_sessionfinish() -> None:
    """Else libraries that look at the interpreter's end for what leaked find what was frozen."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is kept of models stays out of the user's cache, also of processes that tests start."""
    os.environ["XMC_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    """Four processes, started once, that play worlds of up to four ranks."""
    with Ranks(4) as started:
        yield started
