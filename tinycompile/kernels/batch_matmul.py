"""Products of matrices that may both be computed."""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.binary import broadcast_loops, operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Fields, Struct, range_fields, struct_call
from tinycompile.kernels.generic_finish import Finish, finish_of
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.numerics.requant_solver import fits, solve
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


def batch_matmul_fields(site: Site, op: BatchMatMul, range_: Fields) -> Fields | None:
    """Members of a `tc_batch_matmul_shape`."""
    batch = _batch(site)
    if batch is None:
        return None
    fields: dict[str, object] = {"batch": batch[0], "depth": op.sizes(site.sig)[1]}
    for index, (name, turned) in enumerate((("a", op.adj_x), ("b", not op.adj_y))):
        first, second = site.sig.inputs[index].shape[-2:]
        # Vectors are rows of a and columns of b. In memory either they or their elements lie side by side.
        fields[name] = {
            "batch_stride": tuple(stride * first * second for stride in batch[1 + index]),
            "vectors": second if turned else first,
            "vector_stride": 1 if turned else second,
            "depth_stride": second if turned else 1,
            "zero_point": 0 if site.sig.input.dtype == FLOAT32 else site.sig.inputs[index].zero_point,
        }
    return {**fields, "range": range_}


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
    return _on(core, 30 + outputs * (12 + finish.instructions) + macs * 7)


@kernel_for(BatchMatMul, needs={"dsp"})
def batch_matmul_lanes(site: Site, core: Core) -> Kernel | None:
    """`tc_batch_matmul_lanes_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, BatchMatMul):
        return None
    rule = op.requant(sig)
    plan = _plan(rule, *reachable_sums(site))
    if plan is None and not isinstance(rule, TfliteRequant):
        return None
    shape = batch_matmul_fields(site, op, range_fields(rule.zero_point, (rule.low, rule.high)))
    if shape is None:
        return None
    rows, depth, columns = op.sizes(sig)
    words = -(-depth // 4) * 2
    structs = Struct("tc_batch_matmul_shape", shape), Struct("tc_high_product", _high_product(rule, plan), "requant")
    matrices = prod(sig.output.shape[:-2])
    packing = (columns * (12 if op.adj_y else 20) + rows * (20 if op.adj_x else 12)) * words // 2
    row = columns // 4 * (20 + 11 * words) + columns % 4 * (14 + 5 * words) + columns * (9 if plan else 20)
    return Kernel(
        "batch_matmul_lanes",
        struct_call(
            f"{batch_matmul_stem(site, op)}_lanes",
            "tc_batch_matmul_lanes_s8",
            "tc_batch_matmul_lanes.h",
            (*operand_parameters(site), "void *scratch"),
            structs,
            "Product of matrices in int16 lanes, four columns at a time.",
            ("a", "b", "output", "scratch"),
        ),
        operand_constants(site),
        scratch_bytes=4 * words * (1 + columns),
        instructions=60 + matrices * (packing + rows * (20 + row)),
        code_bytes=700,
        notes={"requantisation": plan.form if plan else "exact"},
    )


def reachable_sums(site: Site) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest sum, as arrays of one channel."""
    op = site.node.op
    depth = op.sizes(site.sig)[1] if isinstance(op, BatchMatMul) else 1
    a, b = (_ends(t.zero_point) for t in site.sig.inputs)
    products = [p * q for p in a for q in b]
    return np.array([min(products) * depth]), np.array([max(products) * depth])


def _ends(zero_point: int) -> tuple[int, int]:
    return -128 - zero_point, 127 - zero_point


def _plan(rule: Requant, low: np.ndarray, high: np.ndarray) -> RequantPlan | None:
    """The high product that is the rule, if there is one."""
    if not np.all(fits(rule, low, high, 0)):
        return None
    plan = solve(rule, low, high, np.zeros(1, np.int64), 0, forms=("smmla", "smmla_signed"))
    return None if plan.form == "exact" or not plan.multiplier[0] else plan


def _high_product(rule: Requant, plan: RequantPlan | None) -> Fields:
    """Members of a `tc_high_product`."""
    long = (int(rule.multiplier[0]), int(rule.shift[0])) if isinstance(rule, TfliteRequant) else (0, 0)
    short = (0, 0, 0, 0, 0)
    if plan is not None:
        fields = (plan.start, plan.multiplier, plan.offset, plan.sign_step, plan.shift)
        short = tuple(int(field[0]) for field in fields)
    names = ("start", "multiplier", "offset", "sign_step", "shift", "long_multiplier", "long_shift")
    return dict(zip(names, (*short, *long), strict=True))


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
