"""Beyond Triton's interpreter: the kernels compile for GPUs and fit them, and a CPU does without."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton (Linux)")

QUICK = ["fold log_partition 90 bfloat16 ieee plain", "slope sums 80 bfloat16 ieee"]
MOST_SPILLED = 64
"""Bytes of a thread: what is spilled goes through the cache at each tile."""

FORMS = ["fold log_partition", "fold negative_softplus", "fold histogram", "fold sums"]
FORMS += ["slope log_partition", "slope negative_softplus", "slope sums"]
TYPES = ["bfloat16 ieee", "float16 ieee", "float32 tf32", "float32 ieee"]
EVERY = [f"{form} {capability} {kind}" for form in FORMS for capability in (90, 80, 89) for kind in TYPES]
EVERY += [f"{form} 90 bfloat16 ieee plain" for form in FORMS]


def results(cases: list[str], cache: Path) -> list[dict[str, Any]]:
    """Of each case, in a process of their own: in this one Triton has been imported for its interpreter."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.scoring.fused.compiled", *cases],
        capture_output=True,
        text=True,
        env=environment | {"TRITON_CACHE_DIR": str(cache)},
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["case"] for one in found] == cases
    return found


def check_compiled(found: list[dict[str, Any]]) -> None:
    for one in found:
        assert one["machine_code"] > 0, one
        assert one["shared"] <= one["allowed"], one
        # Products of float32 as they are run on no matrix units.
        assert (one["matrix_products"] > 0) == ("float32 ieee" not in one["case"]), one
        assert one["asynchronous_loads"] > 0, one
        assert one["atomics"] == 0, f"not deterministic: {one}"
        # Of all generations: 255 registers a thread, 65,536 those of a processor.
        assert 0 < one["registers"] <= 255 and one["registers"] * one["threads"] <= 65_536, one
        assert one["spilled"] <= MOST_SPILLED, one


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """One process for both tests: most of its time goes into imports."""
    return results(["on the cpu", *QUICK], tmp_path_factory.mktemp("triton"))


def test_a_cpu_without_the_interpreter_is_an_error_and_auto_is_tiled(quick: list[dict[str, Any]]) -> None:
    found = quick[0]
    assert found["loss"] == pytest.approx(math.log(4))
    assert "runs on a GPU, got tensors on cpu" in found["error"]
    assert "TRITON_INTERPRET=1" in found["error"] and "use 'tiled' or 'auto'" in found["error"]


def test_kernels_compile_and_fit_without_atomics(quick: list[dict[str, Any]]) -> None:
    assert len(quick[1:]) == len(QUICK)
    check_compiled(quick[1:])


@pytest.mark.slow
def test_every_form_compiles_for_every_type_and_generation(tmp_path: Path) -> None:
    check_compiled(results(EVERY, tmp_path))
