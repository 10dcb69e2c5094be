"""Products of one row and matrices whose columns lie along memory: attention of a token over a cache."""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.batch_matmul import batch_matmul_fields, batch_matmul_stem, operands_of, reachable_sums
from tinycompile.kernels.binary import operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.generic_finish import finish_of
from tinycompile.kernels.work import Work
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.targets.core import Core


@kernel_for(BatchMatMul, needs={"dsp"})
def row_product(site: Site, core: Core) -> Kernel | None:
    """`tc_row_product_s8`: no column is packed, which a single row doesn't pay for."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, BatchMatMul):
        return None
    found, (rows, depth, columns) = operands_of(site, op), op.sizes(sig)
    rule = op.requant(sig)
    finish = finish_of(site, rule, np.zeros(1, np.int64), (rule.low, rule.high), reachable_sums(site))
    shape = batch_matmul_fields(site, op, finish.range)
    if found is None or shape is None or rows != 1 or found[2].depth_stride != 1:
        return None
    groups, rest = divmod(depth, 4)
    pair = Work(14, 9) * groups + 6 * rest + 14
    matrix = pair * -(-columns // 2) + columns * (2 + finish.instructions) + 9 * groups + 40
    work = matrix * prod(sig.output.shape[:-2]) + 30
    parameters = (*operand_parameters(site), f"const {finish.ctype} *channels", "void *scratch")
    return Kernel(
        "row_product",
        struct_call(
            f"{batch_matmul_stem(site, op)}_row",
            "tc_row_product_s8",
            "tc_row_product.h",
            parameters,
            (Struct("tc_batch_matmul_shape", shape),),
            "Product of a row and a matrix, two columns at a time.",
            ("a", "b", "output", "channels", "scratch", finish.function),
        ),
        (*operand_constants(site), finish.constant),
        scratch_bytes=8 * groups + 4 * rest,
        instructions=work.instructions,
        cycles=work.cycles_on(core),
        code_bytes=400,
        notes={"requantisation": finish.form},
    )
