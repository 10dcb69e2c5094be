"""QuantizeLinear to 16 bits, or of sums of 16 bits: layers of int16 activations and int8 weights, with the real factor
of ONNX's formula.

uint16 tensors are int16 with a zero point lower by 2^15. A layer's sums are of the numbers as they are: what the zero
point adds to them is in its rule's offset, and where it would read padding, that is written out. Transposed
convolutions take it off. Where a layer has 8 bits on one side, the numbers are cast: its operand's before, its
results', which are clamped to 8 bits, behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, DType
from tinycompile.frontend.onnx_blocks import blockwise
from tinycompile.frontend.onnx_quantize import (
    clamp_of,
    function_of_wide,
    may_be_nan,
    paired,
    quantized,
    rounded_constant,
)
from tinycompile.frontend.onnx_scope import NOT_ROUNDED, Scope, arranged
from tinycompile.frontend.onnx_values import (
    Arranged,
    Average,
    Dequantized,
    Interpolated,
    Known,
    Linear,
    Pair,
    Placed,
    Real,
    Shape,
    SoftmaxOf,
    Value,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Op, Quantization, TensorType
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops.cast import Cast
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.pad import Pad
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.transpose_conv import TransposeConv


def has_wide_sums(scope: Scope, value: Value) -> bool:
    """Whether a value that isn't rounded yet, or a part of it, is a sum of 16-bit activations."""
    match value:
        case Linear() | Average():
            return scope.state.type_of(value.x).dtype == INT16
        case Interpolated():
            return scope.state.type_of(value.image).dtype == INT16
        case Arranged():
            return any(has_wide_sums(scope, part) for part in value.parts)
        case _:
            return False


def quantized_wide(scope: Scope, value: Value, quant: Quantization, dtype: DType = INT16) -> Placed:
    """The tensor that QuantizeLinear makes of a float value.

    Args:
        quant: as that of int16, or of int8.
        dtype: INT16; or INT8, of what `has_wide_sums`.

    Raises:
        Rejected: that takes float32 arithmetic.
    """
    if dtype == INT8 and not has_wide_sums(scope, value):  # beside one that has
        return quantized(scope, value, quant)
    match value:
        case Dequantized():
            return function_of_wide(scope, value, quant, dtype)
        case Real():
            return _rounded(scope, value.at, quant)
        case Linear():
            return _linear(scope, value, quant, dtype)
        case Average():
            return _average(scope, value, quant, dtype)
        case Pair() if value.function == "PRelu":
            return _sloped(scope, value, quant)
        case Pair():
            return paired(scope, value, quant, INT16)
        case SoftmaxOf():
            at = value.x.at
            return replace(at, name=scope.state.emit(Softmax(rule="onnx"), [at.name], scope.name, quant))
        case Interpolated() if dtype == INT16 and value.quant.same_as(quant):
            name = scope.state.emit(value.op, [value.image.name], scope.name, quant)
            return Placed(name, value.shape, value.image.order)
        case Interpolated():
            return _linear(scope, value.as_layer(), quant, dtype)
        case Arranged() if not any(isinstance(part, Real) for part in value.parts):
            if value.commutes == "increasing" and any(may_be_nan(scope, part) for part in value.parts):
                raise Rejected("elements may be NaN, which isn't rounded to what the largest or the smallest is of")
            return value.how([_part(scope, part, quant, dtype) for part in value.parts], quant)
        case _:
            raise Rejected(f"it quantises to or from 16 bits: {NOT_ROUNDED}")


def _part(scope: Scope, value: Value, quant: Quantization, dtype: DType) -> Placed:
    """A value rounded, or a constant."""
    if isinstance(value, Known):
        return rounded_constant(scope, value, quant, dtype)
    return quantized_wide(scope, value, quant, dtype)


def _sloped(scope: Scope, value: Pair, quant: Quantization) -> Placed:
    """Elements and their constant slopes."""
    x, slopes = value.operands
    if not isinstance(x, Dequantized) or not isinstance(slopes, Known):
        raise Rejected(NOT_ROUNDED)
    at = scope.unfolded(x.at)
    numbers = arranged(slopes.array.astype(np.float32), len(x.shape), at.order)
    constant = scope.state.value(f"{scope.name}_slopes", TensorType(numbers.shape, FLOAT32), numbers)
    op = Prelu(clamp_of(value.clamp, quant, INT16), "onnx")
    return replace(at, name=scope.state.emit(op, [at.name, constant], scope.name, quant))


def _rounded(scope: Scope, at: Placed, quant: Quantization) -> Placed:
    return replace(at, name=scope.state.emit(Quantize(INT16, "even"), [at.name], scope.name, quant))


def _linear(scope: Scope, value: Linear, quant: Quantization, dtype: DType) -> Placed:
    weights = value.weights
    if value.blocks is not None:
        return blockwise(scope, value, value.blocks, clamp_of(value.clamp, quant, dtype), quant, dtype)
    if weights.min() < -128 or weights.max() > 127:
        raise Rejected("its weights minus their zero point take more than 8 bits, supported beside 16 bits are 8")
    axis = 3 if value.kind == "depthwise_conv2d" else 0
    channels = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
    x, window = _padded(scope, value, value.window)
    centred = value.kind == "transpose_conv"  # how many products a sum has there depends on the place
    clamp = clamp_of(value.clamp, quant, dtype)
    rule = _rule(scope, x, value.product, value.bias, channels, clamp, quant, centred=centred)
    op: Op
    match value.kind:
        case "conv2d":
            op = Conv2D(**window, wide_rule=rule)
        case "depthwise_conv2d":
            op = DepthwiseConv2D(**window, wide_rule=rule)
        case "transpose_conv":
            op = TransposeConv(**window, wide_rule=rule)
        case _:
            op = FullyConnected(wide_rule=rule)
    scales = Quantization(value.weight_scale, np.zeros(value.weight_scale.shape, np.int64), axis)
    name = _layer(scope, op, x, weights.astype(np.int8), scales, quant, dtype)
    result = Placed(name, value.shape, value.order)
    return scope.reshaped(result, result.physical_shape, value.shape, value.order)


def _padded(scope: Scope, value: Linear, window: dict[str, Any]) -> tuple[Placed, dict[str, Any]]:
    """The operand and the window of a layer that reads no padding which its zero point would have to fill."""
    zero_point, padding = int(value.quant.zero_point[0]), window.get("padding", (0, 0, 0, 0))
    if not any(padding) or not zero_point:
        return value.x, window
    top, bottom, left, right = padding
    pad = Pad(((0, 0), (top, bottom), (left, right), (0, 0)), zero_point)
    name = scope.state.emit(pad, [value.x.name], f"{scope.name}_padded", scope.state.type_of(value.x).quant)
    shape: Shape = scope.state.builder.types[name].shape
    return Placed(name, shape, (0, 1, 2, 3)), {**window, "padding": (0, 0, 0, 0)}


def _average(scope: Scope, value: Average, quant: Quantization, dtype: DType) -> Placed:
    """A depthwise convolution with weights of 1."""
    x = value.x
    if value.kernel is None and (len(x.shape) != 4 or {x.order[axis] for axis in value.axes} != {2, 3}):
        raise Rejected("it is a mean of 16 bits over other axes than rows and columns")
    x = scope.image(x) if value.kernel is None else x
    shape = scope.state.type_of(x).shape
    kernel = value.kernel or shape[1:3]
    weights, count = np.ones((1, *kernel, shape[3]), np.int8), shape[3]
    channels = weights.reshape(-1, count).T
    clamp = clamp_of(value.clamp, quant, dtype)
    rule = _rule(scope, x, (value.product,) * count, (value.bias,) * count, channels, clamp, quant)
    op = DepthwiseConv2D(stride=value.stride or (1, 1), wide_rule=rule)
    name = _layer(scope, op, x, weights, Quantization.per_tensor(1.0, 0), quant, dtype)
    result = Placed(name, value.shape, value.order)
    physical = result.physical_shape
    if scope.state.builder.types[name].shape == physical:
        return result
    return replace(result, name=scope.state.emit(Reshape(physical), [name], f"{scope.name}_mean", quant))


def _layer(
    scope: Scope, op: Op, x: Placed, weights: Array, scales: Quantization, quant: Quantization, dtype: DType
) -> str:
    """The layer's results, as `dtype`."""
    state, t = scope.state, scope.state.type_of(x)
    source = x.name if t.dtype == INT16 else state.emit(Cast(INT16), [x.name], f"{scope.name}_wide", t.quant)
    constant = state.value(f"{scope.name}_weights", TensorType(weights.shape, INT8, scales), weights)
    if dtype == INT16:
        return state.emit(op, [source, constant], scope.name, quant)
    wide = state.emit(op, [source, constant], f"{scope.name}_wide_result", quant)
    return state.emit(Cast(INT8), [wide], scope.name, quant)


def _rule(
    scope: Scope,
    x: Placed,
    product: Sequence[Fraction],
    bias: Sequence[Fraction],
    weights: Array,
    clamp: tuple[int, int],
    quant: Quantization,
    *,
    centred: bool = False,
) -> RealRequant:
    """`weights` (C, taps); `centred`: the operator takes the zero point off."""
    t, divisor = scope.state.type_of(x), Fraction(float(quant.scale[0]))
    totals = (weights.astype(np.int64).sum(axis=1) * (not centred)).tolist()
    reach = np.abs(weights.astype(np.int64)).sum(axis=1).tolist()
    try:
        return RealRequant.of(
            [p / divisor for p in product],
            [(b - t.zero_point * n * p) / divisor for b, n, p in zip(bias, totals, product, strict=True)],
            [-t.dtype.range[0] * (2 if centred else 1) * n for n in reach],
            int(quant.zero_point[0]),
            clamp,
        )
    except ValueError as error:
        raise Rejected(str(error)) from error
