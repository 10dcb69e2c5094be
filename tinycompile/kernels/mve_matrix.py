"""Products of computed int8 matrices by Helium: 16 products per instruction, zero points taken out by sums."""

from __future__ import annotations

from dataclasses import asdict
from math import prod

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.batch_matmul import batch_matmul_stem, operands_of, reachable_sums
from tinycompile.kernels.binary import operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.vector_requant import VectorRequant
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.targets.core import Core

VECTOR = 16
"""Bytes of a vector register."""

FARTHEST = 2**16
"""Offsets are uint16: of the second row's outputs, and of gathered elements."""


@kernel_for(BatchMatMul, needs={"mve"})
def mve_matrix(site: Site, core: Core) -> Kernel | None:
    """`tc_mve_matrix_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, BatchMatMul):
        return None
    requant = VectorRequant.of_sums(op.requant(sig), *reachable_sums(site))
    found = operands_of(site, op)
    if requant is None or found is None:
        return None
    (rows, depth, columns), (batch, a, b) = op.sizes(sig), found
    if max(columns + 4, 8 * a.depth_stride, 8 * b.depth_stride) >= FARTHEST:
        return None
    groups = -(-depth // VECTOR)
    fields = {
        "batch": batch,
        "depth": depth,
        "a": asdict(a),
        "b": asdict(b),
        "pre": requant.pre,
        "start": int(requant.plan.start[0]),
    }
    name = f"mve_matrix_{groups}_{requant.suffix}"
    fours = -(-columns // 4)
    return Kernel(
        "matrix_product_mve",
        struct_call(
            f"{batch_matmul_stem(site, op)}_mve",
            "tc_mve_matrix_s8",
            "tc_mve_matrix.h",
            (*operand_parameters(site), "const int32_t *requantisation", "void *scratch"),
            (Struct("tc_mve_matrix_shape", fields),),
            "Product of matrices by Helium, 2 rows x 4 columns in registers.",
            ("a", "b", "output", "requantisation", "scratch", name),
            (f"TC_MVE_MATRIX({name}, {', '.join(map(str, (groups, *requant.arguments)))})",),
        ),
        (*operand_constants(site), Constant("requantisation", "int32_t", _constants(requant), "four of each")),
        scratch_bytes=2 * VECTOR * groups + fours * (4 * VECTOR * groups + VECTOR),
        instructions=60 + prod(sig.output.shape[:-2]) * _instructions(op, rows, columns, groups, requant),
        code_bytes=500 + 56 * min(groups, 12),
        notes={"requantisation": requant.plan.form},
    )


def _instructions(op: BatchMatMul, rows: int, columns: int, groups: int, requant: VectorRequant) -> int:
    """Of a matrix."""
    tile = 14 * groups + 29 + requant.extra_instructions
    row = 14 + groups * (20 if op.adj_x else 9)
    column = 24 + groups * (9 if op.adj_y else 20)
    return -(-rows // 2) * (34 + 2 * row + -(-columns // 4) * tile) + columns * column


def _constants(requant: VectorRequant) -> Array:
    """Each of the output's constants four times."""
    return np.repeat(np.concatenate(requant.constants), 4).astype(np.int32)
