"""Products of matrices that may both be computed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import prod

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.binary import broadcast_loops, operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Fields, Struct, range_fields, struct_call
from tinycompile.kernels.generic_finish import Finish, finish_of
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.targets.core import Core

LOOPS = 3
"""Of the batch, in the C."""


def _batch(site: Site) -> tuple[tuple[int, int, int], ...] | None:
    """(sizes, strides of a, strides of b) of the loops over matrices, counted in matrices; None for too many."""
    shapes = [t.shape[:-2] for t in site.sig.inputs]
    loops = broadcast_loops(shapes[0], shapes[1])
    if len(loops) > LOOPS:
        return None
    sizes, x, y = zip(*([(1, 0, 0)] * (LOOPS - len(loops)) + loops), strict=True)
    return sizes, x, y


@dataclass(frozen=True)
class Operand:
    """How the vectors of an operand lie in memory: rows of the first, columns of the second one; in elements.

    Attributes:
        batch_stride: of the loops over matrices.
        vectors: of a matrix.
        vector_stride: from a vector to the next.
        depth_stride: along a vector.
    """

    batch_stride: tuple[int, ...]
    vectors: int
    vector_stride: int
    depth_stride: int
    zero_point: int


def operands_of(site: Site, op: BatchMatMul) -> tuple[tuple[int, ...], Operand, Operand] | None:
    """The batch's sizes and both operands; None for a batch of more loops than the C has."""
    batch = _batch(site)
    if batch is None:
        return None
    a, b = (_operand(site, index, turned, batch[1 + index]) for index, turned in enumerate((op.adj_x, not op.adj_y)))
    return batch[0], a, b


def _operand(site: Site, index: int, turned: bool, matrices: tuple[int, ...]) -> Operand:
    """In memory either vectors or, `turned`, their elements lie apart."""
    first, second = site.sig.inputs[index].shape[-2:]
    zero_point = 0 if site.sig.input.dtype == FLOAT32 else site.sig.inputs[index].zero_point
    batch_stride = tuple(stride * first * second for stride in matrices)
    return Operand(batch_stride, second if turned else first, *((1, second) if turned else (second, 1)), zero_point)


def batch_matmul_fields(site: Site, op: BatchMatMul, range_: Fields) -> Fields | None:
    """Members of a `tc_batch_matmul_shape`."""
    found = operands_of(site, op)
    if found is None:
        return None
    batch, a, b = found
    return {"batch": batch, "depth": op.sizes(site.sig)[1], "a": asdict(a), "b": asdict(b), "range": range_}


def batch_matmul_stem(site: Site, op: BatchMatMul) -> str:
    return f"batch_matmul_{'x'.join(map(str, op.sizes(site.sig)))}_{prod(site.sig.output.shape[:-2])}"


@kernel_for(BatchMatMul)
def batch_matmul(site: Site, core: Core) -> Kernel | None:
    """`tc_batch_matmul_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, BatchMatMul):
        return None
    rule = op.requant(sig)
    finish = finish_of(site, rule, np.zeros(1, np.int64), (rule.low, rule.high), reachable_sums(site))
    shape = batch_matmul_fields(site, op, finish.range)
    if shape is None:
        return None
    parameters = (*operand_parameters(site), f"const {finish.ctype} *channels")
    return Kernel(
        "batch_matmul_generic",
        struct_call(
            batch_matmul_stem(site, op),
            "tc_batch_matmul_s8",
            "tc_batch_matmul.h",
            parameters,
            (Struct("tc_batch_matmul_shape", shape),),
            "Product of matrices, one output at a time.",
            ("a", "b", "output", "channels", finish.function),
        ),
        (*operand_constants(site), finish.constant),
        instructions=batch_matmul_instructions(site, finish, core),
        code_bytes=400,
        notes={"requantisation": finish.form, "reason": "portable C that handles every shape"},
    )


def batch_matmul_instructions(site: Site, finish: Finish, core: Core) -> int:
    """Of `tc_batch_matmul_s8`."""
    outputs, macs = site.sig.output.elements, site.node.op.macs(site.sig)
    return _on(core, 30 + outputs * finish.instructions + macs * 7)


def reachable_sums(site: Site) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest sum, as arrays of one channel."""
    op = site.node.op
    depth = op.sizes(site.sig)[1] if isinstance(op, BatchMatMul) else 1
    a, b = (_ends(t.zero_point) for t in site.sig.inputs)
    products = [p * q for p in a for q in b]
    return np.array([min(products) * depth]), np.array([max(products) * depth])


def _ends(zero_point: int) -> tuple[int, int]:
    return -128 - zero_point, 127 - zero_point


def _on(core: Core, instructions: int) -> int:
    return instructions if core.has("multiply_accumulate") else 3 * instructions


@kernel_for(BatchMatMul, dtype=FLOAT32)
def float_batch_matmul(site: Site, core: Core) -> Kernel | None:
    """`tc_float_batch_matmul`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, BatchMatMul):
        return None
    if not all(value is None or np.isfinite(value).all() for value in site.constants):
        return None  # C has no literal for them
    shape = batch_matmul_fields(site, op, range_fields(0, (0, 0)))
    if shape is None:
        return None
    return Kernel(
        "float_batch_matmul",
        struct_call(
            f"float_{batch_matmul_stem(site, op)}",
            "tc_float_batch_matmul",
            "tc_float_batch_matmul.h",
            operand_parameters(site),
            (Struct("tc_batch_matmul_shape", shape),),
            "Product of matrices of floats.",
            ("a", "b", "output"),
        ),
        operand_constants(site),
        instructions=30 + sig.output.elements * 12 + op.macs(sig) * (8 if core.has("fpu") else 130),
        code_bytes=400,
        notes={"reason": "float32 in plain C"},
    )
