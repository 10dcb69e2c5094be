"""Products of computed int8 matrices row by row, columns read where they are: one token with what is kept of others."""

from __future__ import annotations

from math import prod

from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.batch_matmul import batch_matmul_stem, operands_of, reachable_sums
from tinycompile.kernels.binary import operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.matrix_product import MatrixRequant, operand_fields
from tinycompile.kernels.work import Work
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.targets.core import Core


@kernel_for(BatchMatMul, needs={"dsp"})
def matrix_row(site: Site, core: Core) -> Kernel | None:
    """`tc_matrix_row_s8`; None for fewer than four columns that lie across."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, BatchMatMul):
        return None
    rows, depth, columns = op.sizes(sig)
    requant = MatrixRequant.of(op.requant(sig), *reachable_sums(site))
    found = operands_of(site, op)
    if requant is None or found is None or (columns < 4 and found[2].depth_stride > 1):
        return None
    batch, a, b = found
    fields = {"batch": batch, "a": operand_fields(a, depth, requant.pre), "b": operand_fields(b, depth, 0)}
    common = {"matrix": requant.fields, "block": requant.block_fields}
    pairs = -(-depth // 2)
    eighths = Work(30, 22) if b.depth_stride > 1 else Work(27, 17)
    column = Work(16 + eighths.instructions * pairs // 8, 12 + eighths.cycles * pairs // 8)
    work = ((column * columns + (50 + 7 * pairs)) * rows) * prod(sig.output.shape[:-2]) + 60
    return Kernel(
        "matrix_row",
        struct_call(
            f"{batch_matmul_stem(site, op)}_row",
            "tc_matrix_row_s8",
            "tc_matrix_row.h",
            (*operand_parameters(site), "void *scratch"),
            (Struct("tc_matrix_row_shape", fields), Struct("tc_matrix_row_requant", common, "requant")),
            "Product of matrices, a row at a time.",
            ("a", "b", "output", "scratch"),
        ),
        operand_constants(site),
        scratch_bytes=-(-4 * pairs // 8) * 8,
        instructions=work.instructions,
        cycles=work.cycles_on(core),
        code_bytes=400,
        notes={"requantisation": requant.block.form},
    )
