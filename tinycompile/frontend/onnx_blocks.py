"""Layers whose constant weights have a scale for each block of a row, in integers (docs/low_bit.md)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from tinycompile.dtypes import INT8, INT32
from tinycompile.frontend.onnx_scope import FLOAT_ARITHMETIC, Scope
from tinycompile.frontend.onnx_values import Dequantized, KnownBlocks, Linear, Placed, WeightBlocks
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization, TensorType
from tinycompile.numerics.block_scales import BlockScales, reach
from tinycompile.numerics.step_requant import StepRequant, exact_requant
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops.blockwise_fully_connected import BlockwiseFullyConnected

_SMALLEST_BLOCK = 2
"""Inputs. With one, factors would be as many as weights."""
_LARGEST_CENTRED = 255
"""An int8 minus a zero point."""


def blocks_of(rows: KnownBlocks) -> tuple[int, Array]:
    """(elements of a block, scales (rows, blocks)) of a matrix; blocks as large as its scales allow.

    Raises:
        Rejected: scales change too often, or aren't usable.
    """
    scale, inputs = rows.scale, rows.scale.shape[1]
    if not np.all(np.isfinite(scale)) or scale.min(initial=0) < 0:
        raise Rejected("a scale of the weights is negative or no number")
    changes = 1 + np.flatnonzero(np.any(scale[:, 1:] != scale[:, :-1], axis=0))
    size = int(np.gcd.reduce(changes)) if changes.size else inputs
    if size < min(_SMALLEST_BLOCK, inputs):
        raise Rejected(f"the weights have a scale for each input: {FLOAT_ARITHMETIC}")
    return size, scale[:, ::size]


def block_product(
    scope: Scope, x: Dequantized, at: Placed, rows: KnownBlocks, bias: Sequence[Fraction], order: tuple[int, ...]
) -> Linear:
    """A tensor (..., C_in), which is `at`, times weights (C_out, C_in), not rounded yet.

    Args:
        order: of the result's axes.

    Raises:
        Rejected: the operand has 16 bits, the weights leave int8, or their scales have no common step.
    """
    size, scale = blocks_of(rows)
    if x.dtype != INT8:
        raise Rejected("its operand has 16 bits, and the weights have a scale for each block")
    if rows.values.min(initial=0) < -128 or rows.values.max(initial=0) > 127:
        raise Rejected("its weights minus their zero points take more than 8 bits")
    try:
        found = BlockScales.of(scale.tolist())
    except ValueError as error:
        raise Rejected(f"{error}: {FLOAT_ARITHMETIC}") from error
    if not found.factor.any(axis=1).all():
        raise Rejected("all scales of a row of the weights are 0")
    if max(reach(rows.values, found.factor, size, _LARGEST_CENTRED)) >= 2**31:
        found = found.widened()
    step = Fraction(float(x.quant.scale[0]))
    return Linear(
        x=at,
        quant=x.quant,
        kind="fully_connected",
        window={},
        weights=np.ascontiguousarray(rows.values),
        weight_scale=scale[:, 0],
        product=tuple(step * each for each in found.step),
        bias=tuple(bias),
        shape=scope.shape(),
        order=order,
        blocks=None if scale.shape[1] == 1 else WeightBlocks(size, scale, found.factor),
    )


def blockwise(scope: Scope, value: Linear, blocks: WeightBlocks, clamp: tuple[int, int], quant: Quantization) -> Placed:
    """The IR operator of such a layer, rounded by QuantizeLinear with `quant` within `clamp`. Raises Rejected."""
    rule = _rule(scope, value, blocks, clamp, quant)
    state, scale = scope.state, blocks.scale
    scales = Quantization(scale, np.zeros(scale.shape, np.int64), 0, blocks.size)
    weights = TensorType(value.weights.shape, INT8, scales)
    factors = TensorType(blocks.factor.shape, INT32)
    operands = [
        value.x.name,
        state.value(f"{scope.name}_weights", weights, value.weights.astype(np.int8)),
        state.value(f"{scope.name}_factors", factors, blocks.factor.astype(np.int32)),
    ]
    name = state.emit(BlockwiseFullyConnected(blocks.size, rule), operands, scope.name, quant)
    result = Placed(name, value.shape, value.order)
    return scope.reshaped(result, result.physical_shape, value.shape, value.order)


def _rule(
    scope: Scope, value: Linear, blocks: WeightBlocks, clamp: tuple[int, int], quant: Quantization
) -> StepRequant | RealRequant:
    """From sums to outputs: exact where 32 bits hold the sums."""
    divisor, zero_point = Fraction(float(quant.scale[0])), int(quant.zero_point[0])
    if max(reach(value.weights, blocks.factor, blocks.size, _LARGEST_CENTRED)) < 2**31:
        return exact_requant(value.product, value.bias, divisor, zero_point, *INT8.range).clamped(*clamp)
    x_zero = int(value.quant.zero_point[0])
    largest = max(x_zero - INT8.range[0], INT8.range[1] - x_zero)
    sums = reach(value.weights, blocks.factor, blocks.size, largest)
    slopes, offsets = ([n / divisor for n in numbers] for numbers in (value.product, value.bias))
    try:
        return RealRequant.of(slopes, offsets, sums, zero_point, clamp)
    except ValueError as error:
        raise Rejected(str(error)) from error
