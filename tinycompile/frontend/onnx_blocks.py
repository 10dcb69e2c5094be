"""Layers whose constant weights have a scale for each block of a row, in integers (docs/low_bit.md)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, DType
from tinycompile.frontend.onnx_scope import FLOAT_ARITHMETIC, Scope
from tinycompile.frontend.onnx_values import Dequantized, KnownBlocks, Linear, Placed, WeightBlocks
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization, TensorType
from tinycompile.numerics.block_scales import BlockScales, reach, weighted_totals
from tinycompile.numerics.step_requant import StepRequant, exact_requant
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops.blockwise_fully_connected import BlockwiseFullyConnected
from tinycompile.ops.cast import Cast

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
        Rejected: the weights leave int8, or their scales have no common step.
    """
    size, scale = blocks_of(rows)
    if rows.values.min(initial=0) < -128 or rows.values.max(initial=0) > 127:
        raise Rejected("its weights minus their zero points take more than 8 bits")
    try:
        found = BlockScales.of(scale.tolist())
    except ValueError as error:
        raise Rejected(f"{error}: {FLOAT_ARITHMETIC}") from error
    if not found.factor.any(axis=1).all():
        raise Rejected("all scales of a row of the weights are 0")
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


def blockwise(
    scope: Scope, value: Linear, blocks: WeightBlocks, clamp: tuple[int, int], quant: Quantization, dtype: DType
) -> Placed:
    """The IR operator of such a layer, rounded by QuantizeLinear with `quant` within `clamp` to int8 or int16.

    With 16 bits on one side, the other side is cast. Raises Rejected.
    """
    state, t = scope.state, scope.state.type_of(value.x)
    wide = INT16 in (t.dtype, dtype)
    factor, rule = _rule(value, blocks, t, clamp, quant, wide=wide)
    scales = Quantization(blocks.scale, np.zeros(blocks.scale.shape, np.int64), 0, blocks.size)
    x = (
        state.emit(Cast(INT16), [value.x.name], f"{scope.name}_wide", t.quant)
        if wide and t.dtype == INT8
        else value.x.name
    )
    operands = [
        x,
        state.value(
            f"{scope.name}_weights", TensorType(value.weights.shape, INT8, scales), value.weights.astype(np.int8)
        ),
        state.value(f"{scope.name}_factors", TensorType(factor.shape, INT32), factor.astype(np.int32)),
    ]
    narrowed = wide and dtype == INT8
    name = state.emit(
        BlockwiseFullyConnected(blocks.size, rule),
        operands,
        f"{scope.name}_wide_result" if narrowed else scope.name,
        quant,
    )
    if narrowed:
        name = state.emit(Cast(INT8), [name], scope.name, quant)
    result = Placed(name, value.shape, value.order)
    return scope.reshaped(result, result.physical_shape, value.shape, value.order)


def _rule(
    value: Linear, blocks: WeightBlocks, x: TensorType, clamp: tuple[int, int], quant: Quantization, *, wide: bool
) -> tuple[Array, StepRequant | RealRequant]:
    """(factors, from sums to outputs): exact where 32 bits hold the sums of int8 inputs. Raises Rejected."""
    divisor, zero_point = Fraction(float(quant.scale[0])), int(quant.zero_point[0])
    if not wide and max(reach(value.weights, blocks.factor, blocks.size, _LARGEST_CENTRED)) < 2**31:
        rule = exact_requant(value.product, value.bias, divisor, zero_point, *INT8.range).clamped(*clamp)
        return blocks.factor, rule
    found = BlockScales(value.product, blocks.factor).widened()
    centred = np.array([x.zero_point - x.dtype.range[0], x.dtype.range[1] - x.zero_point])
    sums = reach(value.weights, found.factor, blocks.size, 1 << 15 if wide else int(centred.max()))
    bias = value.bias
    if wide:  # sums are of inputs as they are
        totals = weighted_totals(value.weights, found.factor, blocks.size)
        bias = tuple(b - x.zero_point * n * p for b, n, p in zip(bias, totals, found.step, strict=True))
    slopes, offsets = ([n / divisor for n in numbers] for numbers in (found.step, bias))
    try:
        return found.factor, RealRequant.of(slopes, offsets, sums, zero_point, clamp)
    except ValueError as error:
        raise Rejected(str(error)) from error


def constant_of_blocks(scope: Scope, weights: Array, rows: KnownBlocks) -> str:
    """float32 weights (C_out, C_in) as a constant of the IR which says of what they are multiples, if they are."""
    quant: Quantization | None = None
    try:
        size, scale = blocks_of(rows)
        quant = Quantization(np.ascontiguousarray(scale), np.zeros(scale.shape, np.int64), 0, size)
    except Rejected:  # they remain floats
        pass
    values = np.ascontiguousarray(weights, np.float32)
    return scope.state.value(f"{scope.name}_constant", TensorType(values.shape, FLOAT32, quant), values)
