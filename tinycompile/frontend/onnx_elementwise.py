"""Element-wise operators, quantisation among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT8, UINT8, DType
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_quantize import PAIRS, as_quantized, quantized, settled
from tinycompile.frontend.onnx_regions import SEVERAL, UNARY, applied, batch_normalised, joins_region
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import NOT_ROUNDED, Scope, per_tensor_quantization
from tinycompile.frontend.onnx_values import (
    Dequantized,
    Extreme,
    Joined,
    Known,
    KnownQuantized,
    Linear,
    Pair,
    Placed,
    Quantized,
    Real,
    SoftmaxOf,
    Value,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization
from tinycompile.ops.reshape import Reshape

_FLOAT = 1
"""TensorProto.FLOAT"""


@importer("QuantizeLinear")
def quantize_linear(scope: Scope) -> None:
    scale, zero_point = quantize_parameters(scope)
    scope.ignore("axis", "block_size")  # of a single scale
    scope.set(as_quantized(*quantized_with(scope, scope.value(), scale, zero_point)))


def quantize_parameters(scope: Scope) -> tuple[Array, Array]:
    """Scale and zero point of QuantizeLinear; the zero point has the type of the result."""
    scale = scope.constant(1, "the scale")
    if scale.dtype != np.float32:
        raise Rejected(f"the scale is {scale.dtype.name}, supported is float32")
    scope.ignore("saturate")  # of 8-bit floats
    if scope.attribute("precision", 0) not in (0, _FLOAT):
        raise Rejected("the attribute precision: it divides in another type than float32")
    code = int(scope.attribute("output_dtype", 0))
    dtype = onnx_module().helper.tensor_dtype_to_np_dtype(code) if code else np.dtype(np.uint8)
    zero_point = scope.constant(2, "the zero point") if scope.has(2) else np.zeros((), dtype)
    if DType.find(dtype) not in (INT8, UINT8) and not scope.has(2):
        raise Rejected(f"the attribute output_dtype: it quantises to {dtype.name}, supported are int8 and uint8")
    if code and zero_point.dtype != dtype:
        raise Rejected(f"the attribute output_dtype = {dtype.name}, and a zero point of {zero_point.dtype.name}")
    return scale, zero_point


def quantized_with(scope: Scope, value: Value, scale: Array, zero_point: Array) -> tuple[Placed, DType]:
    """What QuantizeLinear makes of a value, and its type; uint8 is kept as int8."""
    dtype = DType.find(zero_point.dtype)
    if dtype not in (INT8, UINT8):
        raise Rejected(f"it quantises to {zero_point.dtype.name}, supported are int8 and uint8")
    quant = per_tensor_quantization(scale, zero_point, 128 if dtype == UINT8 else 0)
    return quantized(scope, value, quant), dtype


@importer("DequantizeLinear")
def dequantize_linear(scope: Scope) -> None:
    scale = scope.constant(1, "the scale")
    value = scope.value()
    zero_point = scope.constant(2, "the zero point") if scope.has(2) else np.zeros((), np.int64)
    dequantized_type(scope, scale)
    if scope.attribute("block_size", 0) and scale.size > 1:
        raise Rejected("blocked quantisation")
    scope.ignore("axis")  # of a single scale
    match value:
        case Known():
            scope.set(known_dequantized(value.array, scale, zero_point, int(scope.attribute("axis", 1))))
        case Quantized():
            quant = per_tensor_quantization(scale, zero_point, value.shift)
            scope.set(Dequantized(with_quantization(scope, value.at, quant), quant))
        case _:
            raise Rejected("its operand is no integer tensor")


def dequantized_type(scope: Scope, scale: Array) -> None:
    """The result is float32. Raises Rejected."""
    if scale.dtype != np.float32:
        raise Rejected(f"the scale is {scale.dtype.name}, supported is float32")
    code = scope.attribute("output_dtype", 0)
    if code not in (0, _FLOAT):
        raise Rejected(f"the attribute output_dtype = {code}: its result is no float32")


def known_dequantized(values: Array, scale: Array, zero_point: Array, axis: int) -> Known:
    """DequantizeLinear of a constant, as the specification computes it, with its integers kept."""
    channel: int | None = None
    if scale.size > 1:
        if scale.ndim != 1:
            raise Rejected("blocked quantisation")
        channel = axis + values.ndim if axis < 0 else axis
        if not 0 <= channel < values.ndim or values.shape[channel] != scale.size:
            raise Rejected(f"{scale.size} scales for axis {axis} of {list(values.shape)}")
    broadcast = [scale.size if i == channel else 1 for i in range(values.ndim)]
    scales = scale.reshape(broadcast)
    zeros = (zero_point if zero_point.size == scale.size else np.broadcast_to(zero_point.ravel(), scale.size)).reshape(
        broadcast
    )
    floats = (values.astype(np.float32) - zeros.astype(np.float32)) * scales
    return Known(floats.astype(np.float32), KnownQuantized(values, scales, zeros, channel))


def with_quantization(scope: Scope, at: Placed, quant: Quantization) -> Placed:
    """The same integers with the scale and zero point that a DequantizeLinear gives them."""
    t = scope.state.type_of(at)
    if quant.same_as(t.quant):
        return at
    result = scope.state.emit(Reshape(t.shape), [at.name], f"{scope.name}_quantized", quant)
    return replace(at, name=result)


# Functions of single elements.


@importer(*UNARY)
def unary(scope: Scope) -> None:
    if not joins_region(scope):
        scope.set(applied(scope, scope.value(), 0))


@importer(*SEVERAL)
def several(scope: Scope) -> None:
    values = scope.operands()
    if joins_region(scope) or _per_channel_sum(scope, values):
        return
    computed = [index for index, value in enumerate(values) if not isinstance(value, Known)]
    single = all(value.array.size == 1 for value in values if isinstance(value, Known))
    if len(computed) == 1 and single and not isinstance(values[computed[0]], Dequantized):
        scope.set(applied(scope, values[computed[0]], computed[0]))
    elif scope.kind in ("Max", "Min") and not (len(values) == 2 and all(_is_operand(value) for value in values)):
        if any(isinstance(value, Quantized | Real) for value in values):
            raise Rejected(NOT_ROUNDED)
        scope.set(Extreme(scope.kind, tuple(values), scope.shape()))
    elif scope.kind in PAIRS and len(values) == 2 and all(isinstance(v, Dequantized | Known) for v in values):
        _pair(scope, values)
    else:
        raise Rejected(NOT_ROUNDED)


def _is_operand(value: Value) -> bool:
    """Whether it is an operand of an operator with two."""
    if isinstance(value, Known):
        return value.quantized is not None and value.quantized.axis is None
    return isinstance(value, Dequantized) and value.function is None


def _pair(scope: Scope, values: Sequence[Value]) -> None:
    first, second = (settled(scope, v) if isinstance(v, Dequantized) else v for v in values)
    if isinstance(first, Dequantized | Known) and isinstance(second, Dequantized | Known):
        for constant in (first, second):
            if isinstance(constant, Known) and (constant.quantized is None or constant.quantized.axis is not None):
                raise Rejected("one operand is a float constant: that would take float32 arithmetic")
        scope.set(Pair(scope.kind, (first, second), scope.shape()))


def _per_channel_sum(scope: Scope, values: Sequence[Value]) -> bool:
    """Adds a constant per output channel to a linear layer."""
    if scope.kind != "Add" or len(values) != 2:
        return False
    value, other = values if isinstance(values[1], Known) else values[::-1]
    if not isinstance(value, Linear) or not isinstance(other, Known) or not value.clamp.is_open:
        return False
    wanted = [n if i == value.channel_axis else 1 for i, n in enumerate(value.shape)]
    shape = (*(1,) * (len(value.shape) - other.array.ndim), *other.shape)
    if len(shape) != len(wanted) or any(n not in (1, w) for n, w in zip(shape, wanted, strict=True)):
        return False
    scope.set(value.plus(other.array))
    return True


@importer("BatchNormalization")
def batch_normalization(scope: Scope) -> None:
    factor, offset = normalisation(scope)
    scope.set(batch_normalised(scope, scope.value(), factor.astype(np.float32), offset.astype(np.float32)))


def normalisation(scope: Scope) -> tuple[Array, Array]:
    """(factor, offset) of each channel, float64, in inference."""
    if scope.attribute("training_mode", 0):
        raise Rejected("training mode")
    scope.ignore("momentum")  # of training
    gamma, beta, mean, variance = (scope.constant(i, "a statistic").astype(np.float64) for i in range(1, 5))
    factor = gamma / np.sqrt(variance + float(scope.attribute("epsilon", 1e-5)))
    return factor, beta - mean * factor


@importer("Softmax")
def softmax(scope: Scope) -> None:
    value = scope.value()
    if not isinstance(value, Dequantized):
        raise Rejected(NOT_ROUNDED)
    value = settled(scope, value)
    rank = len(value.shape)
    axis = int(scope.attribute("axis", -1)) % rank
    at = scope.unfolded(value.at)
    if at.order[-1] != axis:
        at = scope.ordered(at, (*(a for a in at.order if a != axis), axis))
    scope.set(SoftmaxOf(replace(value, at=at)))


@importer("Concat")
def concat(scope: Scope) -> None:
    parts, shape = scope.operands(), scope.shape()
    axis = int(scope.attribute("axis", 0)) % len(shape)
    if any(isinstance(v, Quantized | Real) for v in parts):
        raise Rejected(NOT_ROUNDED)
    joined = Joined(tuple(parts), axis, shape)
    first = next(part for part in parts if not isinstance(part, Known))
    if isinstance(first, Dequantized) and all(_is_plainly(part, first.quant) for part in parts):
        scope.set(Dequantized(quantized(scope, joined, first.quant), first.quant))
    else:
        scope.set(joined)


def _is_plainly(value: Value, quant: Quantization) -> bool:
    """Whether rounding with `quant` changes nothing."""
    return isinstance(value, Dequantized) and value.function is None and value.quant.same_as(quant)
