"""That the kernels are valid Triton beyond its interpreter: they compile for GPUs, and fit them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton (Linux)")

QUICK = ["fold log_partition 90 bfloat16 ieee plain", "slope sums 80 bfloat16 ieee"]
FORMS = ["fold log_partition", "fold negative_softplus", "fold histogram", "fold sums"]
FORMS += ["slope log_partition", "slope negative_softplus", "slope sums"]
TYPES = ["bfloat16 ieee", "float16 ieee", "float32 tf32", "float32 ieee"]
EVERY = [f"{form} {capability} {kind}" for form in FORMS for capability in (90, 80, 89) for kind in TYPES]
EVERY += [f"{form} 90 bfloat16 ieee plain" for form in FORMS]


def check_compiled(cases: list[str], cache: Path) -> None:
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
    for one in found:
        assert one["machine_code"] > 0, one
        assert one["shared"] <= one["allowed"], one
        assert one["matrix_products"] > 0 and one["asynchronous_loads"] > 0, one
        assert one["atomics"] == 0, f"not deterministic: {one}"


def test_kernels_compile_and_fit_without_atomics(tmp_path: Path) -> None:
    check_compiled(QUICK, tmp_path)


@pytest.mark.slow
def test_every_form_compiles_for_every_type_and_generation(tmp_path: Path) -> None:
    check_compiled(EVERY, tmp_path)
