"""Element-wise operators, quantisation among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT8, INT16, UINT8, UINT16, DType
from tinycompile.frontend.onnx_discrete import arithmetic, combined, is_discrete
from tinycompile.frontend.onnx_few_bits import integer_operand, is_of_few_bits, quantized_to_few_bits
from tinycompile.frontend.onnx_linear import real_bias, scaled_channels
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_parameters import check_sizes, of_elements, positive_axis
from tinycompile.frontend.onnx_quantize import PAIRS, as_quantized, quantized, settled
from tinycompile.frontend.onnx_regions import (
    SEVERAL,
    UNARY,
    applied,
    arrangeable,
    batch_normalised,
    clamped,
    clamping,
    joins_region,
)
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scales import (
    checked_scales,
    dequantized_by_channel,
    one_zero_point,
    quantized_by_channel,
)
from tinycompile.frontend.onnx_scope import NOT_ROUNDED, Scope, per_tensor_quantization, with_quantization
from tinycompile.frontend.onnx_slopes import sloped
from tinycompile.frontend.onnx_values import (
    Arranged,
    Dequantized,
    Known,
    KnownBlocks,
    KnownQuantized,
    Linear,
    Pair,
    Placed,
    Quantized,
    Real,
    SoftmaxOf,
    Value,
    shift_of,
)
from tinycompile.frontend.onnx_wide import has_wide_sums, quantized_wide
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization
from tinycompile.ops._elementwise import INT8_VALUES, between_values
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.lookup import Lookup

_INTEGERS = "integers of 2, 4, 8 and 16 bits"
_FLOAT = 1
"""TensorProto.FLOAT"""


@importer("QuantizeLinear")
def quantize_linear(scope: Scope) -> None:
    scale, zero_point = quantize_parameters(scope)
    scope.ignore("axis", "block_size")  # of a single scale
    if scale.size > 1:
        scope.set(_quantized_by_channel(scope, scale, zero_point))
        return
    dtype = DType.find(zero_point.dtype)
    if dtype in (INT16, UINT16):
        quant = per_tensor_quantization(scale, zero_point, shift_of(dtype))
        scope.set(Quantized(quantized_wide(scope, scope.value(), quant), dtype))
        return
    at, dtype = quantized_with(scope, scope.value(), scale, zero_point)
    quant = per_tensor_quantization(scale, zero_point, shift_of(dtype))
    # What bounds integers of few bits isn't in the value.
    scope.set(as_quantized(at, dtype, None if is_of_few_bits(dtype) else (scope.value(), quant)))


def _quantized_by_channel(scope: Scope, scale: Array, zero_point: Array) -> Quantized:
    dtype = DType.find(zero_point.dtype)
    if dtype not in (INT8, UINT8) or scope.attribute("block_size", 0):
        raise Rejected("it has several scales, supported are those of channels for int8 and uint8")
    value = scope.value()
    axis = checked_scales(scale, value.shape, int(scope.attribute("axis", 1)))
    return Quantized(
        quantized_by_channel(scope, value, scale, one_zero_point(zero_point, shift_of(dtype)), axis), dtype
    )


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
    known = DType.find(dtype)
    if known not in (INT8, UINT8, INT16, UINT16) and not is_of_few_bits(known) and not scope.has(2):
        raise Rejected(f"the attribute output_dtype: it quantises to {dtype.name}, supported are {_INTEGERS}")
    if code and zero_point.dtype != dtype:
        raise Rejected(f"the attribute output_dtype = {dtype.name}, and a zero point of {zero_point.dtype.name}")
    check_sizes(scale, zero_point)
    return scale, zero_point


def quantized_with(scope: Scope, value: Value, scale: Array, zero_point: Array) -> tuple[Placed, DType]:
    """What QuantizeLinear makes of a value, and its type; uint8 and integers of fewer bits are kept as int8."""
    dtype = DType.find(zero_point.dtype)
    if dtype is not None and is_of_few_bits(dtype):
        return quantized_to_few_bits(scope, value, per_tensor_quantization(scale, zero_point, 0), dtype), dtype
    if dtype in (INT16, UINT16):
        raise Rejected("it quantises to 16 bits, which operators of 8 bits don't read")
    if dtype not in (INT8, UINT8):
        raise Rejected(f"it quantises to {zero_point.dtype.name}, supported are {_INTEGERS}")
    quant = per_tensor_quantization(scale, zero_point, 128 if dtype == UINT8 else 0)
    if has_wide_sums(scope, value):
        return quantized_wide(scope, value, quant, INT8), dtype
    return quantized(scope, value, quant), dtype


@importer("DequantizeLinear")
def dequantize_linear(scope: Scope) -> None:
    scale = scope.constant(1, "the scale")
    value = integer_operand(scope)
    zero_point = scope.constant(2, "the zero point") if scope.has(2) else np.zeros((), np.int64)
    dequantized_type(scope, scale)
    check_sizes(scale, zero_point)
    scope.ignore("axis")  # of a single scale
    block = int(scope.attribute("block_size", 0))
    match value:
        case Known() if block and (scale.size > 1 or scale.ndim == value.array.ndim):
            scope.set(_blocks_dequantized(value.array, scale, zero_point, int(scope.attribute("axis", 1)), block))
        case Known():
            scope.set(known_dequantized(value.array, scale, zero_point, int(scope.attribute("axis", 1))))
        case Quantized() if value.dtype in (INT16, UINT16):
            if scale.size > 1:
                raise Rejected("its operand has 16 bits and several scales")
            quant = per_tensor_quantization(scale, zero_point, value.shift)
            scope.set(Dequantized(with_quantization(scope, value.at, quant), quant, dtype=INT16))
        case Quantized() if scale.size > 1 and not block:
            axis = checked_scales(scale, value.shape, int(scope.attribute("axis", 1)))
            scope.set(dequantized_by_channel(scope, value, scale, one_zero_point(zero_point, value.shift), axis))
        case Quantized():
            quant = per_tensor_quantization(scale, zero_point, value.shift)
            scope.set(Dequantized(with_quantization(scope, value.at, quant), quant))
        case _:
            raise Rejected("its operand is no integer tensor")


def dequantized_type(scope: Scope, scale: Array) -> None:
    """The result is float32, and the zero point an integer. Raises Rejected."""
    zero_point = scope.value(2) if scope.has(2) else None
    if isinstance(zero_point, Real) or (isinstance(zero_point, Known) and zero_point.array.dtype.kind == "f"):
        raise Rejected("the zero point is a float; ONNX wants one of its tensor's type")
    if scale.dtype != np.float32:
        raise Rejected(f"the scale is {scale.dtype.name}, supported is float32")
    code = scope.attribute("output_dtype", 0)
    if code not in (0, _FLOAT):
        raise Rejected(f"the attribute output_dtype = {code}: its result is no float32")


def known_dequantized(values: Array, scale: Array, zero_point: Array, axis: int) -> Known:
    """DequantizeLinear of a constant, as the specification computes it, with its integers kept."""
    channel: int | None = None
    values, zero_point = _as_bytes(values), _as_bytes(zero_point)
    if scale.size > 1:
        if scale.ndim != 1:
            raise Rejected(f"its scale has the shape {list(scale.shape)}, and it has no block_size")
        channel = axis + values.ndim if axis < 0 else axis
        if not 0 <= channel < values.ndim or values.shape[channel] != scale.size:
            raise Rejected(f"{scale.size} scales for axis {axis} of {list(values.shape)}")
    broadcast = [scale.size if i == channel else 1 for i in range(values.ndim)]
    scales = scale.reshape(broadcast)
    zeros = (zero_point if zero_point.size == scale.size else np.broadcast_to(zero_point.ravel(), scale.size)).reshape(
        broadcast
    )
    floats = (values.astype(np.float32) - zeros.astype(np.float32)) * scales
    return Known(np.asarray(floats, np.float32), KnownQuantized(values, scales, zeros, channel))


def _as_bytes(values: Array) -> Array:
    """Integers of 2 or 4 bits as int8, others as they are."""
    dtype = DType.find(values.dtype)
    return values.astype(np.int8) if dtype is not None and dtype.is_sub_byte else values


def _blocks_dequantized(values: Array, scale: Array, zero_point: Array, axis: int, block: int) -> Known:
    """DequantizeLinear of a constant with a scale for each block of elements along an axis. Raises Rejected."""
    axis, zeros = positive_axis(axis, values.shape), _as_bytes(zero_point)
    if zeros.size == 1:
        zeros = np.broadcast_to(zeros.reshape(()), scale.shape)
    scales, zeros = (of_elements(each, axis, block, values.shape) for each in (scale, zeros))
    integers = _as_bytes(values).astype(np.int64) - zeros.astype(np.int64)
    scales = scales.astype(np.float32)
    return Known(integers.astype(np.float32) * scales, blocks=KnownBlocks(integers, scales))


# Functions of single elements.


@importer(*UNARY)
def unary(scope: Scope) -> None:
    values = [scope.value()]
    if not (joins_region(scope) or arithmetic(scope, values) or _of_bytes(scope, values)):
        scope.set(sloped(scope, values[0]) or applied(scope, values[0], 0))


@importer(*SEVERAL)
def several(scope: Scope) -> None:
    values = scope.operands()
    if scope.kind == "PRelu" and (chosen := sloped(scope, values[0])) is not None:
        scope.set(chosen)
        return
    if joins_region(scope) or _per_channel_sum(scope, values):
        return
    if arithmetic(scope, values) or _of_bytes(scope, values):
        return
    computed = [index for index, value in enumerate(values) if not isinstance(value, Known)]
    single = all(value.array.size == 1 for value in values if isinstance(value, Known))
    if len(computed) == 1 and single and not isinstance(values[computed[0]], Dequantized):
        scope.set(applied(scope, values[computed[0]], computed[0]))
    elif scope.kind in ("Max", "Min") and not (len(values) == 2 and all(_is_operand(value) for value in values)):
        _extreme(scope, values)
    elif scope.kind in PAIRS and len(values) == 2 and all(isinstance(v, Dequantized | Known) for v in values):
        _pair(scope, values)
    else:
        raise Rejected(NOT_ROUNDED)


def _extreme(scope: Scope, values: Sequence[Value]) -> None:
    """The bytes are compared: all have the same scale and zero point."""
    arrangeable(values)
    op, shape = PAIRS[scope.kind](), scope.shape()

    def chosen(places: Sequence[Placed], quant: Quantization) -> Placed:
        (result, *others), order = scope.side_by_side(places, len(shape))
        for other in others:
            result = scope.state.emit(op, [result, other], scope.name, quant)
        return Placed(result, shape, order)

    scope.set(Arranged(tuple(values), chosen, shape, "increasing"))


def _of_bytes(scope: Scope, values: Sequence[Value]) -> bool:
    """Relu, Clip, Max and Min of an integer tensor: bounds of its bytes, which what rounded it may keep as well."""
    tensors = [index for index, value in enumerate(values) if isinstance(value, Quantized)]
    if not tensors:
        return False
    value, bounds = values[tensors[0]], _integer_bounds(scope, tensors[0])
    if not isinstance(value, Quantized) or len(tensors) > 1:
        raise Rejected("its operands are integer tensors, supported is one")
    low, high = (int(np.clip(bound - value.shift, -128, 127)) for bound in bounds)
    if value.rounded is not None:
        source, quant = value.rounded
        low_real, high_real = ((n - int(quant.zero_point[0])) * quant.scale[0] for n in (low, high))
        bounded = clamped(scope, source, float(low_real), float(high_real))
        if bounded is not None:
            scope.set(Quantized(quantized(scope, bounded, quant), value.dtype, (bounded, quant)))
            return True
    table = np.clip(INT8_VALUES, low, high).tobytes()
    at = value.at
    t = scope.state.type_of(at)
    ends = (np.array([low, high]) - t.zero_point) * t.scale if t.quant else None
    reals = b"" if ends is None else np.clip(between_values(t), *ends).astype(np.float32).tobytes()
    name = scope.state.emit(Lookup(table, scope.kind, reals), [at.name], scope.name, t.quant)
    scope.set(Quantized(replace(at, name=name), value.dtype))
    return True


def _integer_bounds(scope: Scope, tensor: int) -> tuple[int, int]:
    """(smallest, largest) of the results."""
    low, high = -(2**31), 2**31
    if scope.kind in ("Relu", "Clip"):
        found = clamping(scope)
        if found is not None:
            low, high = (int(np.clip(bound, low, high)) for bound in found)
        return low, high
    others = [scope.constant(i, "a bound") for i in range(len(scope.node.input)) if i != tensor]
    if scope.kind not in ("Max", "Min") or any(other.size != 1 for other in others):
        raise Rejected("its operand is an integer tensor")
    numbers = [int(other.reshape(-1)[0]) for other in others]
    return (max(numbers), high) if scope.kind == "Max" else (low, min(numbers))


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
    scope.set(value.plus_real(real_bias(other, len(value.bias))))
    return True


@importer("BatchNormalization")
def batch_normalization(scope: Scope) -> None:
    factor, offset = normalisation(scope)
    value = scope.value()
    if isinstance(value, Dequantized) and value.dtype == INT16:
        scope.set(scaled_channels(scope, settled(scope, value), factor, offset))
    else:
        scope.set(batch_normalised(scope, value, factor.astype(np.float32), offset.astype(np.float32)))


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

    def joined(places: Sequence[Placed], quant: Quantization | None) -> Placed:
        names, order = scope.side_by_side(places, len(shape))
        return Placed(scope.state.emit(Concatenation(order.index(axis)), names, scope.name, quant), shape, order)

    if all(isinstance(part, Quantized) for part in parts):
        scope.set(_joined_integers(scope, [part for part in parts if isinstance(part, Quantized)], joined))
        return
    if all(map(is_discrete, parts)):
        combined(scope, parts, joined)
        return
    arrangeable(parts)
    first = next(part for part in parts if not isinstance(part, Known))
    places = [part.at for part in parts if isinstance(part, Dequantized) and _is_plainly(part, first)]
    if isinstance(first, Dequantized) and len(places) == len(parts):
        scope.set(replace(first, at=joined(places, first.quant)))
    else:
        scope.set(Arranged(tuple(parts), joined, shape))


def _joined_integers(
    scope: Scope, parts: Sequence[Quantized], joined: Callable[[Sequence[Placed], Quantization | None], Placed]
) -> Quantized:
    """The numbers side by side; what a DequantizeLinear behind them says counts, not the scales in front."""
    if len({part.dtype for part in parts}) > 1:
        raise Rejected("its operands are of different types")
    quant = scope.state.type_of(parts[0].at).quant
    if quant is None:
        raise Rejected("its operand is not quantised")
    return Quantized(joined([with_quantization(scope, part.at, quant) for part in parts], quant), parts[0].dtype)


def _is_plainly(value: Dequantized, first: Value) -> bool:
    """Whether both are dequantised alike."""
    if not isinstance(first, Dequantized) or value.function is not None or first.function is not None:
        return False
    return value.quant.same_as(first.quant)
