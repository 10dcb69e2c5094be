"""Products of computed int8 matrices by dual products of int16 lanes, both operands packed at run time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from math import prod

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Kernel, kernel_for, safe_distance
from tinycompile.kernels.batch_matmul import Operand, batch_matmul_stem, operands_of, reachable_sums
from tinycompile.kernels.binary import operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.kernels.work import Work
from tinycompile.numerics.latitude import Form
from tinycompile.numerics.proved_requant import solve
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.numerics.requant_solver import fits
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.targets.core import Core

SHIFTS = (4, 2, 6, 3, 1, 0)
"""The sums hold 2^pre times the real ones, with which a high product may be the rule."""

MOST_RIGHT = 22
"""Shift of TFLite's second rounding, with which a zero point before it stays within 32 bits."""

LARGEST_SUM = 2**29
"""The same for a sum's high product."""

FEW = 32
"""Columns that are packed at a time where scratch is short."""

UNROLLED = 16
"""Pairs of lanes without a loop in the block function."""


@dataclass(frozen=True, eq=False)
class MatrixRequant:
    """The requantisation of a matrix: one for all outputs.

    Attributes:
        pre: the shift of the packed columns.
        start: of the sums.
        parameters: int32 of an output (`tc_requant_block.h`).
        block: what of it is in the block function.
    """

    pre: int
    start: int
    parameters: tuple[int, ...]
    block: RequantBlock

    @staticmethod
    def of(rule: Requant, low: Array, high: Array) -> MatrixRequant | None:
        """None where no high product is the rule.

        Args:
            low, high: the lowest and the highest sum, of one channel.
        """
        plain = (_solved(rule, low, high, pre, "smmla") for pre in SHIFTS)
        signed = (_solved(rule, low, high, pre, "smmla_signed") for pre in SHIFTS)
        return next(filter(None, chain(plain, [_as_written(rule, low, high)], signed)), None)

    @property
    def fields(self) -> Fields:
        """Members of a `tc_matrix_requant`."""
        return {"start": self.start, "parameters": [*self.parameters, *[0] * (3 - len(self.parameters))]}

    @property
    def block_fields(self) -> Fields:
        """Members of a `tc_requant_block`."""
        block = self.block
        kind = {"is_signed": block.signed, "is_rounded": block.rounded, "is_unsigned": block.unsigned}
        range_ = {"bits": block.bits, "shift": block.shift, "low": block.low, "high": block.high}
        return {**{name: int(value) for name, value in kind.items()}, **range_}

    def block_function(self, pairs: int, core: Core) -> tuple[str, str]:
        """Name and definition of the block function for so many pairs of lanes."""
        single = "_SINGLE" if core.issue.single_loads else ""
        kind = f"matrix_block_{pairs}"
        return self.block.name(kind), self.block.define(f"TC_MATRIX_BLOCK{single}", kind, pairs)

    def tile_work(self, pairs: int, core: Core) -> Work:
        """Of 2 rows x 4 columns."""
        pair = Work(14, 8) if core.issue.single_loads else Work(11, 11)
        rounds = 0 if pairs <= UNROLLED else pairs // 8
        outputs = 8 * (2 + self.block.high_steps + self.block.clamp_steps)
        return pair * pairs + 5 * rounds + outputs + 10 + self.block.signed


def _as_written(rule: Requant, low: Array, high: Array) -> MatrixRequant | None:
    """TFLite's two roundings, of twice the sum."""
    if not isinstance(rule, TfliteRequant) or rule.single_rounding or (rule.low, rule.high) != (-128, 127):
        return None
    right = -int(rule.shift[0])
    if not 1 <= right <= MOST_RIGHT or max(abs(low[0]), abs(high[0])) >= LARGEST_SUM:
        return None
    offset = (rule.zero_point << right) + (1 << (right - 1))
    block = RequantBlock(False, False, 8, right, -128, 127, 0, rounded=True)
    return MatrixRequant(1, 0, (int(rule.multiplier[0]), offset), block)


def _solved(rule: Requant, low: Array, high: Array, pre: int, form: Form) -> MatrixRequant | None:
    """A high product of sums to the left by `pre` bits, if there is one."""
    if not np.all(fits(rule, low, high, pre)):
        return None
    plan = solve(rule, low, high, np.zeros(1, np.int64), pre, forms=(form,))
    block = RequantBlock.of(plan)
    if block is None:
        return None
    return MatrixRequant(pre, int(plan.start[0]), tuple(int(each[0]) for each in plan.parameters), block)


def operand_fields(operand: Operand, depth: int, shift: int) -> Fields:
    """Members of a `tc_matrix_operand`."""
    vectors = {
        "vector_stride": operand.vector_stride,
        "depth_stride": operand.depth_stride,
        "depth": depth,
        "zero_point": operand.zero_point,
        "shift": shift,
    }
    return {"batch_stride": operand.batch_stride, "count": operand.vectors, "vectors": vectors}


@kernel_for(BatchMatMul, needs={"dsp"})
def matrix_product(site: Site, core: Core) -> Kernel | None:
    """`tc_matrix_product_s8` with all columns packed."""
    return _product(site, core, site.sig.output.shape[-1])


@kernel_for(BatchMatMul, needs={"dsp"})
def matrix_product_by_columns(site: Site, core: Core) -> Kernel | None:
    """`tc_matrix_product_s8` with some columns packed at a time."""
    return _product(site, core, FEW) if site.sig.output.shape[-1] > FEW else None


def _product(site: Site, core: Core, together: int) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, BatchMatMul):
        return None
    requant = MatrixRequant.of(op.requant(sig), *reachable_sums(site))
    found = operands_of(site, op)
    if requant is None or found is None:
        return None
    (rows, depth, columns), (batch, a, b) = op.sizes(sig), found
    pairs = -(-depth // 2)
    together = min(-(-together // 4) * 4, -(-columns // 4) * 4)
    fields = {
        "batch": batch,
        "a": operand_fields(a, depth, 0),
        "b": operand_fields(b, depth, requant.pre),
        "together": together,
    }
    name, definition = requant.block_function(pairs, core)
    matrices = prod(sig.output.shape[:-2])
    work = _work(op, (rows, pairs, columns), together, requant, core) * matrices + 60
    return Kernel(
        "matrix_product" if together >= columns else "matrix_product_by_columns",
        struct_call(
            f"{batch_matmul_stem(site, op)}_product",
            "tc_matrix_product_s8",
            "tc_matrix_product.h",
            (*operand_parameters(site), "void *scratch"),
            (Struct("tc_matrix_product_shape", fields), Struct("tc_matrix_requant", requant.fields, "requant")),
            "Product of matrices, 2 rows x 4 columns in registers.",
            ("a", "b", "output", "scratch", name),
            (definition,),
        ),
        operand_constants(site),
        scratch_bytes=8 * pairs + 4 * pairs * together,
        instructions=work.instructions,
        cycles=work.cycles_on(core),
        code_bytes=500 + 44 * min(pairs, UNROLLED),
        overlap=_overlap(site, op, together >= columns),
        notes={"requantisation": requant.block.form},
    )


def _overlap(site: Site, op: BatchMatMul, at_once: bool) -> dict[int, int]:
    """Where results may be, if all columns are packed at once: two rows are read before they are written, and a single
    matrix of columns before everything. An odd number of rows has one that is read twice.
    """
    (x, y), output = site.sig.inputs, site.sig.output
    rows, depth, columns = op.sizes(site.sig)
    found = dict[int, int]()
    if at_once and site.constants[0] is None and not op.adj_x and rows % 2 == 0 and x.shape[:-2] == output.shape[:-2]:
        ends = range(2, output.elements // columns + 1, 2)
        found[0] = safe_distance((end * depth, end * columns) for end in ends)
    if at_once and site.constants[1] is None and y.elements == depth * columns and output.elements == rows * columns:
        found[1] = -output.bytes
    return found


def _work(op: BatchMatMul, sizes: tuple[int, int, int], together: int, requant: MatrixRequant, core: Core) -> Work:
    """Of a matrix."""
    rows, pairs, columns = sizes
    shifted = 2 if requant.pre else 0
    packing = columns * (10 + pairs * (3 + shifted)) + -(-columns // together) * 20
    row_pairs = -(-rows // 2)
    packed_rows = row_pairs * -(-columns // together) * (40 + 2 * pairs * (4 if op.adj_x else 3))
    tiles = row_pairs * -(-columns // 4)
    calls = row_pairs * sum(1 + (min(columns - at, together) % 4 > 0) for at in range(0, columns, together))
    return tiles * requant.tile_work(pairs, core) + calls * 30 + packing + packed_rows
