"""Products of computed int8 matrices on cores without SIMD: an element that is loaded serves two products."""

from __future__ import annotations

from math import prod

from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.batch_matmul import batch_matmul_fields, batch_matmul_stem, reachable_sums
from tinycompile.kernels.binary import operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Struct, range_fields, struct_call
from tinycompile.kernels.matrix_product import MatrixRequant
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.targets.core import Core


@kernel_for(BatchMatMul, unless={"dsp"})
def matrix_tiles(site: Site, core: Core) -> Kernel | None:
    """`tc_matrix_tiles_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, BatchMatMul):
        return None
    requant = MatrixRequant.of(op.requant(sig), *reachable_sums(site))
    shape = batch_matmul_fields(site, op, range_fields(0, (0, 0)))
    if requant is None or shape is None:
        return None
    rows, depth, columns = op.sizes(sig)
    tiles = -(-rows // 2) * -(-columns // 2)
    product, packed, output = (9, 8, 22) if core.has("multiply_accumulate") else (17, 11, 56)
    matrix = tiles * (45 + product * depth + 4 * output) + packed * depth * (rows + columns) // 2
    fields = {"pre": requant.pre, **requant.fields, "block": requant.block_fields}
    return Kernel(
        "matrix_tiles",
        struct_call(
            f"{batch_matmul_stem(site, op)}_tiles",
            "tc_matrix_tiles_s8",
            "tc_matrix_tiles.h",
            (*operand_parameters(site), "void *scratch"),
            (Struct("tc_batch_matmul_shape", shape), Struct("tc_matrix_tiles_requant", fields, "requant")),
            "Product of matrices, 2 rows x 2 columns at a time.",
            ("a", "b", "output", "scratch"),
        ),
        operand_constants(site),
        scratch_bytes=4 * depth * (1 + -(-columns // 2)),
        instructions=60 + prod(sig.output.shape[:-2]) * matrix,
        code_bytes=500,
        notes={"requantisation": requant.block.form},
        bytewise=True,
    )
