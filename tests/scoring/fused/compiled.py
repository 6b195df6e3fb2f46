"""Compile the kernels for GPUs that need not be here: ``python -m tests.scoring.fused.compiled CASE ...``.

Prints a JSON line for each case: what its machine code takes and uses. The case ``on the cpu`` compiles
nothing: it computes a loss there, then asks for the kernels. Run without TRITON_INTERPRET.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from xmc.errors import ConfigError
from xmc.objectives import softmax
from xmc.objectives.statistics.fused import log_partition, negative_softplus, soft_threshold
from xmc.scoring.fused.blocks import block_sizes
from xmc.scoring.fused.kernels import fold_kernel, slope_kernel
from xmc.scoring.fused.launch import TRITON_TYPES
from xmc.scoring.statistic import Fold

SHARED_BYTES = {90: 227 << 10, 80: 163 << 10, 89: 99 << 10}
FOLDS = {
    "log_partition": log_partition.FOLD,
    "negative_softplus": negative_softplus.FOLD,
    "histogram": soft_threshold.HISTOGRAM,
    "sums": soft_threshold.SUMS,
}
SLOPES = {
    "log_partition": log_partition.slope,
    "negative_softplus": negative_softplus.slope,
    "sums": soft_threshold.slope,
}
NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
ALIGNED = ("query_stride", "label_stride", "out_stride")


@dataclass(frozen=True)
class Compilation:
    """``kernel form capability dtype precision``, such as ``fold log_partition 90 bfloat16 ieee``.

    With ``plain`` behind, for labels without offsets and weights.
    """

    kernel: str
    form: str
    capability: int
    dtype: torch.dtype
    precision: str
    plain: bool = False

    @classmethod
    def parse(cls, text: str) -> Compilation:
        kernel, form, capability, dtype, precision, *rest = text.split()
        return cls(kernel, form, int(capability), getattr(torch, dtype), precision, rest == ["plain"])

    @property
    def described(self) -> bool:
        """Whether tiles are copied by descriptors, as :class:`xmc.scoring.fused.launch.Launcher` decides."""
        units = self.dtype != torch.float32 or self.precision == "tf32"
        return units and self.capability >= 90

    def constants(self) -> dict[str, Any]:
        fold: Fold = FOLDS[self.form]
        if self.kernel == "slope":
            return {"SLOPE": SLOPES[self.form]}
        return {"START": fold.start, "ADD": fold.add, "STORE": fold.store, "COLUMNS": fold.columns}

    def compile(self) -> dict[str, Any]:
        kernel = fold_kernel if self.kernel == "fold" else slope_kernel
        shared = SHARED_BYTES[self.capability]
        units = self.dtype != torch.float32 or self.precision == "tf32"
        fold = self.kernel == "fold"
        blocks = block_sizes(
            self.dtype,
            384,
            matrix_units=units,
            shared_bytes=shared,
            narrow=fold and FOLDS[self.form].narrow,
            described_fold=fold and self.described,
        )
        constants = self.constants() | {
            "DIMENSION": 384,
            "M": blocks.rows,
            "N": blocks.labels,
            "K": blocks.depth,
            "DTYPE": TRITON_TYPES[self.dtype],
            "PRECISION": self.precision,
            "DESCRIBED": self.described,
        }
        # Of statistics that mask positives there are none to be marked, nor where labels have no weights.
        if self.plain or self.form in ("log_partition", "negative_softplus"):
            constants |= dict.fromkeys(("own_columns", "own_firsts", "own_stops"))
        if self.plain:
            absent = {"offsets", "log_weights"} & set(kernel.arg_names)
            constants |= dict.fromkeys(absent)
        if self.kernel == "slope":
            assert not constants.keys() - set(kernel.arg_names), "each is one of the kernel's"
        signature = {name: self._type(name, constants) for name in kernel.arg_names}
        if self.described:
            tiles = {"queries": (blocks.rows, blocks.depth), "labels": (blocks.labels, blocks.depth)}
            tiles |= {"out": (blocks.rows, blocks.labels)} if self.kernel == "slope" else {}
            for name, (rows, columns) in tiles.items():
                signature[name] = f"tensordesc<{signature[name][1:]}[{rows}, {columns}]>"
        aligned = [
            number
            for number, (name, kind) in enumerate(signature.items())
            if kind.startswith("*") or name in ALIGNED
        ]
        source = ASTSource(
            kernel,
            signature=signature,
            constexprs=constants,
            attrs={(number,): [["tt.divisibility", 16]] for number in aligned},
        )
        options = {"num_warps": blocks.warps, "num_stages": blocks.stages, "enable_fp_fusion": True}
        made = triton.compile(source, target=GPUTarget("cuda", self.capability, 32), options=options)
        ptx = made.asm["ptx"]
        return {
            "shared": made.metadata.shared,
            "allowed": shared,
            "matrix_products": ptx.count("wgmma.mma_async") + ptx.count("mma.sync"),
            "atomics": made.asm["ttgir"].count("atomic"),
            "asynchronous_loads": ptx.count("cp.async"),
            "tiles_copied": ptx.count("cp.async.bulk.tensor"),
            "machine_code": len(made.asm.get("cubin", b"")),
            "threads": 32 * blocks.warps,
            **machine_use(made.asm["cubin"]),
        }

    def _type(self, name: str, constants: dict[str, Any]) -> str:
        if name in constants:
            return "constexpr"
        if name in ("queries", "labels"):
            return "*" + NAMES[self.dtype]
        if name == "out" and self.kernel == "slope":
            return "*fp32" if self.dtype == torch.float32 else "*bf16"
        if name.removeprefix("own_").removeprefix("left_") in ("columns", "firsts", "stops"):
            return "*i32"
        if name in ("scale", "offsets", "log_weights", "row_first", "row_second", "out"):
            return "*fp32"
        return "fp32" if name == "constant" else "i32"


def machine_use(code: bytes) -> dict[str, int]:
    """Registers of a thread, and bytes of its stack, to which registers are spilled: of machine code."""
    reader = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        done = subprocess.run([reader, "-res-usage", file.name], capture_output=True, text=True)
    said = done.stdout + done.stderr
    found = re.search(r"REG:(\d+) STACK:(\d+)", said)
    assert found is not None, said
    return {"registers": int(found[1]), "spilled": int(found[2])}


def on_the_cpu() -> dict[str, Any]:
    inputs = torch.ones(2, 3), torch.ones(4, 3), [[0], [1]]
    loss = softmax(*inputs)
    try:
        softmax(*inputs, implementation="triton")
    except ConfigError as error:
        return {"loss": float(loss), "error": str(error)}
    return {"loss": float(loss), "error": None}


if __name__ == "__main__":
    for text in sys.argv[1:]:
        found = on_the_cpu() if text == "on the cpu" else Compilation.parse(text).compile()
        print(json.dumps({"case": text, **found}), flush=True)
