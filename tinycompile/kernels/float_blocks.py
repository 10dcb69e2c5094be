"""Fully connected layers of floats whose weights are integers times a scale for each block of inputs.

The weights are floats for everybody else; here they are kept as the integers that they came from, in 8 or 4 bits.
"""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, UINT4
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.float_layers import bounds_fields
from tinycompile.kernels.float_ops import IN_OUT, floats, has_float_constants, per_operation
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.generic_overlap import rowwise_distance
from tinycompile.numerics.block_scales import block_starts, whole_numbers
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

_MIDDLE = -8
"""What 4 bits that are 0 stand for where nothing else is said."""
_PER_PRODUCT = {8: 4, 4: 5}
"""Instructions beside the sum and the product, counted in QEMU."""


@kernel_for(FullyConnected, dtype=FLOAT32)
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """`tc_float_blocks_4`, or `tc_float_blocks_8` where a block's integers take more than 4 bits."""
    op, quant = site.node.op, site.sig.inputs[1].quant
    if not isinstance(op, FullyConnected) or not has_float_constants(site) or quant is None or quant.block is None:
        return None
    numbers = whole_numbers(site.constant(1), quant.scale, quant.block)
    if numbers is None or numbers.min(initial=0) < -128 or numbers.max(initial=0) > 127:
        return None
    outputs, inputs = numbers.shape
    rows, blocks = site.sig.input.elements // inputs, quant.scale.shape[1]
    starts = block_starts(inputs, quant.block)
    low, high = (edge.reduceat(numbers, starts, axis=1) for edge in (np.minimum, np.maximum))
    bits = 4 if (high - low).max(initial=0) < 1 << UINT4.bits else INT8.bits
    constants, arguments = _packed(numbers, low, high, quant.block) if bits == UINT4.bits else _bytes(numbers)
    constants = (constants[0], floats("scales", quant.scale), *constants[1:])
    arguments = (arguments[0], "scales", *arguments[1:])
    if len(site.sig.inputs) > 2:
        constants = (*constants, floats("bias", site.constant(2)))
    fields = {"rows": rows, "inputs": inputs, "outputs": outputs, "block": quant.block}
    function = struct_call(
        f"float_blocks_{bits}_{rows}x{inputs}_{outputs}_by_{quant.block}",
        f"tc_float_blocks_{bits}",
        "tc_float_blocks.h",
        (*IN_OUT, *(f"const {constant.ctype} *{constant.suffix}" for constant in constants)),
        (Struct("tc_float_blocks_shape", {**fields, "bounds": bounds_fields(op.bounds)}),),
        f"Fully connected layer of floats and weights of {bits} bits, with a scale for each block of inputs.",
        ("input", "output", *arguments, "bias" if len(site.sig.inputs) > 2 else "NULL"),
    )
    per_product = _PER_PRODUCT[bits] + per_operation(core)
    return Kernel(
        f"fully_connected_float_blocks_{bits}",
        function,
        constants,
        instructions=30 + rows * outputs * (inputs * per_product + blocks * (12 + per_operation(core)) + 10),
        code_bytes=300,
        overlap={0: FLOAT32.item_bytes * rowwise_distance(rows, inputs, outputs)},
        notes={"reason": "float32 in plain C", "weights": f"{bits} bits each, converted to floats"},
    )


def _bytes(numbers: Array) -> tuple[tuple[Constant, ...], tuple[str, ...]]:
    """The constants and the arguments that they are."""
    return (Constant("weights", "int8_t", numbers.astype(np.int8).ravel(), "integers of 8 bits"),), ("weights",)


def _packed(numbers: Array, low: Array, high: Array, block: int) -> tuple[tuple[Constant, ...], tuple[str, ...]]:
    """The same of 4 bits: each block's from a whole byte on, and what their zeros stand for if that isn't -8."""
    middle = bool(low.min() >= _MIDDLE and high.max() < -_MIDDLE)
    lows = np.full(low.shape, _MIDDLE) if middle else low
    parts = [
        _nibbles(numbers[:, begin : begin + block] - lows[:, [index]])
        for index, begin in enumerate(block_starts(numbers.shape[1], block))
    ]
    weights = Constant("weights", "uint8_t", np.concatenate(parts, axis=1).ravel(), "two integers of 4 bits in a byte")
    if middle:
        return (weights,), ("weights", "NULL")
    return (weights, Constant("lows", "int8_t", lows.astype(np.int8).ravel(), "of each block")), ("weights", "lows")


def _nibbles(codes: Array) -> Array:
    """uint8 (rows, bytes) of numbers from 0 to 15 (rows, elements)."""
    even = np.pad(codes, [(0, 0), (0, codes.shape[1] % 2)]).astype(np.uint8)
    return even[:, 0::2] | even[:, 1::2] << UINT4.bits
