"""Element-wise operators, quantisation among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT8, UINT8, DType
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_quantize import PAIRS, as_quantized, quantized, without_steps
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import NOT_ROUNDED, Scope, per_tensor_quantization, scalar
from tinycompile.frontend.onnx_values import (
    Average,
    Clamp,
    Dequantized,
    Joined,
    Known,
    KnownQuantized,
    Linear,
    Pair,
    Placed,
    Quantized,
    Real,
    SoftmaxOf,
    Step,
    Value,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization
from tinycompile.ops.reshape import Reshape

_FLOAT = 1
"""TensorProto.FLOAT"""

_INCREASING = ("Relu", "Sigmoid", "Tanh", "Erf", "Clip", "HardSigmoid", "Identity", "Softplus", "Softsign", "Exp")


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


# One operand.


def _clamping(scope: Scope) -> tuple[float, float] | None:
    """The bounds of Relu and Clip; None for other operators."""
    if scope.kind == "Relu":
        return 0.0, np.inf
    if scope.kind != "Clip":
        return None
    bounds = list[float]()
    for operand, default in ((1, -np.inf), (2, np.inf)):
        bound = scalar(scope.constant(operand, "a bound")) if scope.has(operand) else default
        if bound is None:
            raise Rejected("a bound has several elements")
        bounds.append(bound)
    return bounds[0], bounds[1]


@importer(
    *"Relu Clip Sigmoid Tanh HardSigmoid HardSwish LeakyRelu Elu Selu Celu Gelu Erf Exp Log Sqrt Abs Neg Floor Ceil "
    "Round Sign Softplus Softsign Mish Reciprocal ThresholdedRelu Sin Cos Swish".split()
)
def unary(scope: Scope) -> None:
    value, bounds = scope.value(), _clamping(scope)
    match value:
        case Linear() | Average() | Pair() if bounds is not None:
            scope.set(replace(value, clamp=value.clamp.then(*bounds)))
        case Dequantized():
            constants = {n: scope.constant(i, "a parameter") for i, n in enumerate(scope.node.input) if i and n}
            increasing = scope.kind in _INCREASING
            if scope.kind == "LeakyRelu":
                increasing = scope.attribute("alpha", 0.01) >= 0
            scope.evaluated()
            scope.set(_with_step(value, Step(scope.node, 0, constants, increasing)))
        case _:
            raise Rejected(NOT_ROUNDED)


def _with_step(value: Dequantized, step: Step) -> Dequantized:
    return replace(value, steps=(*value.steps, step))


# Two operands.


@importer("Add", "Sub", "Mul", "Div", "Min", "Max", "PRelu", "Pow")
def binary(scope: Scope) -> None:
    if len(scope.node.input) != 2:
        raise Rejected(f"it has {len(scope.node.input)} operands, supported are 2")
    a, b = scope.value(0), scope.value(1)
    for index, (value, other) in enumerate(((a, b), (b, a))):
        if isinstance(other, Known) and _per_channel_sum(scope, value, other):
            return
        if isinstance(value, Dequantized) and isinstance(other, Known) and _is_scalar_of(other, value):
            constants = {scope.node.input[1 - index]: other.array.reshape(())}
            step = Step(scope.node, index, constants, _is_increasing(scope.kind, index, other))
            scope.evaluated()
            scope.set(_with_step(value, step))
            return
    operands = (a, b)
    if scope.kind not in PAIRS:
        raise Rejected("one parameter for all elements is supported")
    if not all(isinstance(v, Dequantized | Known) for v in operands):
        raise Rejected(NOT_ROUNDED)
    first, second = (without_steps(v) if isinstance(v, Dequantized) else v for v in (a, b))
    if isinstance(first, Dequantized | Known) and isinstance(second, Dequantized | Known):
        for constant in (first, second):
            if isinstance(constant, Known) and (constant.quantized is None or constant.quantized.axis is not None):
                raise Rejected("one operand is a float constant: that would take float32 arithmetic")
        scope.set(Pair(scope.kind, (first, second), scope.shape()))


def _is_scalar_of(constant: Known, value: Dequantized) -> bool:
    """One element that doesn't add axes."""
    return constant.array.size == 1 and len(constant.shape) <= len(value.shape)


def _is_increasing(kind: str, index: int, other: Known) -> bool:
    constant = scalar(other.array) or 0.0
    return kind in ("Add", "Min", "Max") or (kind == "Sub" and index == 0) or (kind in ("Mul", "Div") and constant > 0)


def _per_channel_sum(scope: Scope, value: Value, other: Known) -> bool:
    """Adds a constant per output channel to a linear layer."""
    if scope.kind != "Add" or not isinstance(value, Linear) or (value.clamp != Clamp() and not _is_open(value.clamp)):
        return False
    channel = len(value.shape) - 1 if value.kind == "fully_connected" else 1
    wanted = [n if i == channel else 1 for i, n in enumerate(value.shape)]
    shape = (*(1,) * (len(value.shape) - other.array.ndim), *other.shape)
    if len(shape) != len(wanted) or any(n not in (1, w) for n, w in zip(shape, wanted, strict=True)):
        return False
    scope.set(value.plus(other.array))
    return True


def _is_open(clamp: Clamp) -> bool:
    return clamp.low == -np.inf and clamp.high == np.inf


@importer("Softmax")
def softmax(scope: Scope) -> None:
    value = scope.value()
    if not isinstance(value, Dequantized):
        raise Rejected(NOT_ROUNDED)
    value = without_steps(value)
    rank = len(value.shape)
    axis = int(scope.attribute("axis", -1)) % rank
    at = scope.unfolded(value.at)
    if at.order[-1] != axis:
        at = scope.ordered(at, (*(a for a in at.order if a != axis), axis))
    scope.set(SoftmaxOf(replace(value, at=at)))


@importer("Concat")
def concat(scope: Scope) -> None:
    operands, shape = scope.operands(), scope.shape()
    axis = int(scope.attribute("axis", 0)) % len(shape)
    if all(isinstance(v, Quantized) for v in operands) or all(isinstance(v, Real) for v in operands):
        raise Rejected("operands that aren't dequantised")
    parts = [v for v in operands if isinstance(v, Dequantized | Known)]
    if len(parts) != len(operands):
        raise Rejected(NOT_ROUNDED)
    joined = Joined(tuple(parts), axis, shape)
    first = parts[0]
    if isinstance(first, Dequantized) and all(_is_plainly(part, first.quant) for part in parts):
        scope.set(Dequantized(quantized(scope, joined, first.quant), first.quant))
    else:
        scope.set(joined)


def _is_plainly(value: Value, quant: Quantization) -> bool:
    return isinstance(value, Dequantized) and not value.steps and value.quant.same_as(quant)
