"""QuantizeLinear: the moment at which a described float value becomes an int8 tensor of the IR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, UINT8, UINT16, DType
from tinycompile.frontend.onnx_blocks import blockwise
from tinycompile.frontend.onnx_channels import by_channel
from tinycompile.frontend.onnx_evaluate import nodes_of, rounded_values, values_and_between, values_of
from tinycompile.frontend.onnx_scope import FLOAT_ARITHMETIC, NOT_ROUNDED, Scope, arranged, common_order
from tinycompile.frontend.onnx_values import (
    Arranged,
    Average,
    Clamp,
    Dequantized,
    Interpolated,
    Known,
    Linear,
    NormalisedRows,
    Pair,
    Placed,
    Product,
    Quantized,
    Real,
    SoftmaxOf,
    Step,
    Value,
    identity,
    shift_of,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization, Signature, TensorType
from tinycompile.numerics.step_requant import StepRequant, exact_requant
from tinycompile.ops._elementwise import DequantizedBinary
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.div import Div
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.lookup import Lookup
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.mean import Mean
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub
from tinycompile.ops.transpose_conv import TransposeConv
from tinycompile.ops.wide_lookup import WideLookup

_LARGEST_BIAS = 2**30

PAIRS: Mapping[str, type[DequantizedBinary]] = {
    "Add": Add,
    "Div": Div,
    "Max": Maximum,
    "Min": Minimum,
    "Mul": Mul,
    "Sub": Sub,
    "Sum": Add,
}
"""Operators with two operands that have an 8-bit form, by their names in ONNX."""


def quantized(scope: Scope, value: Value, quant: Quantization) -> Placed:
    """The int8 tensor that QuantizeLinear with `quant` (as int8) makes of a float value."""
    if isinstance(value, Linear | Average | Product) and scope.state.type_of(value.x).dtype == INT16:
        raise Rejected("it has 8 bits, and the sum that it rounds is of 16 bits")
    match value:
        case Dequantized() if value.dtype == INT16:
            return function_of_wide(scope, value, quant, INT8)
        case Dequantized():
            return _of_dequantized(scope, value, quant)
        case Linear() if value.blocks is not None:
            return blockwise(scope, value, value.blocks, clamp_of(value.clamp, quant), quant, INT8)
        case Linear():
            return linear(scope, value, linear_rule(value, quant), quant)
        case Average():
            return _average(scope, value, quant)
        case Product():
            return product(scope, value, _rule([value.product], value, quant), quant)
        case Pair():
            return paired(scope, value, quant)
        case SoftmaxOf():
            x = value.x
            result = scope.state.emit(Softmax(rule="onnx"), [x.at.name], scope.name, quant)
            return Placed(result, x.shape, x.at.order, x.at.folded)
        case NormalisedRows():
            return _normalised(scope, value, quant)
        case Interpolated():
            if not value.quant.same_as(quant):
                return quantized(scope, value.as_layer(), quant)
            name = scope.state.emit(value.op, [value.image.name], scope.name, quant)
            return Placed(name, value.shape, value.image.order)
        case Arranged():
            if value.commutes == "increasing" and any(may_be_nan(scope, part) for part in value.parts):
                raise Rejected("elements may be NaN, which isn't rounded to what the largest or the smallest is of")
            return value.how([_part(scope, part, quant) for part in value.parts], quant)
        case Real():
            result = scope.state.emit(Quantize(INT8, "even"), [value.at.name], scope.name, quant)
            return Placed(result, value.shape, value.at.order, value.at.folded)
        case _:
            raise Rejected(NOT_ROUNDED)


def _normalised(scope: Scope, value: NormalisedRows, quant: Quantization) -> Placed:
    x, columns = value.x, TensorType(value.scale.shape, FLOAT32)
    t = scope.state.type_of(x.at)
    sig = Signature((t, columns, columns), (TensorType(t.shape, INT8, quant),))
    try:
        value.op.form(sig, value.scale, value.bias)
    except ValueError as error:
        raise Rejected(str(error)) from error
    names = [scope.state.value(f"{scope.name}_constant", columns, array) for array in (value.scale, value.bias)]
    result = scope.state.emit(value.op, [x.at.name, *names], scope.name, quant)
    return Placed(result, x.shape, x.at.order, x.at.folded)


def may_be_nan(scope: Scope, value: Value) -> bool:
    """Whether an element of a value that isn't rounded yet may be no number."""
    match value:
        case Known():
            return value.array.dtype.kind == "f" and bool(np.isnan(value.array).any())
        case Dequantized():
            return bool(np.isnan(values_of(value.quant, value.function, scope.opset, value.numbers)).any())
        case Pair():
            return value.function == "Div"
        case Arranged():
            return any(may_be_nan(scope, part) for part in value.parts)
        case _:
            return False


def clamp_of(clamp: Clamp, quant: Quantization, dtype: DType = INT8) -> tuple[int, int]:
    """The range of a float value that is clamped and then quantised, as QuantizeLinear computes the bounds."""
    scale, zero_point = quant.scale[0], int(quant.zero_point[0])
    ends = np.array([clamp.low, clamp.high], np.float32) / scale
    low, high = np.clip(np.rint(ends.astype(np.float64)) + zero_point, *dtype.range)
    return int(low), int(high)


def settled(scope: Scope, value: Dequantized) -> Dequantized:
    """The same floats as a dequantised tensor without a function, where that can be: ReLU keeps the scale, a factor has
    another one.

    Raises:
        Rejected: the floats are no 256 steps of one size.
    """
    if value.function is None:
        return value
    key = value.at.name, value.function
    found = scope.state.settled.get(key)
    if found is None:
        found = scope.state.settled[key] = _settled(scope, value, value.function)
    name, quant = found
    return replace(value, at=replace(value.at, name=name), quant=quant, function=None)


def _settled(scope: Scope, value: Dequantized, function: Step) -> tuple[str, Quantization]:
    """(IR value, its quantisation)."""
    if value.channel is not None or function.boolean:
        raise Rejected(NOT_ROUNDED)
    numbers = value.numbers
    floats, between = (
        values_and_between(value.quant, function, scope.opset)
        if value.dtype == INT8
        else (values_of(value.quant, function, scope.opset, numbers), None)
    )
    state, name = scope.state, function.node.output[0]
    zero_point = int(value.quant.zero_point[0])
    centred = numbers.astype(np.float32) - np.float32(zero_point)
    step = next(iter(floats[centred == 1]), np.float32(0))
    if step >= np.finfo(np.float32).tiny and np.array_equal(floats, centred * step):
        quant = Quantization.per_tensor(float(step), zero_point)
        result = state.emit(Reshape(state.type_of(value.at).shape), [value.at.name], f"{name}_scaled", quant)
        return result, quant
    nearest = _rounded_array(floats, value.quant, value.dtype)
    if not np.array_equal((nearest.astype(np.float32) - np.float32(zero_point)) * value.quant.scale[0], floats):
        raise Rejected(NOT_ROUNDED)
    names = called(function)
    op = WideLookup(floats.tobytes(), INT16, names)
    if between is not None:
        op = Lookup(nearest.tobytes(), names, between.tobytes())
    return state.emit(op, [value.at.name], f"{name}_values", value.quant), value.quant


def function_of_wide(scope: Scope, value: Dequantized, quant: Quantization, dtype: DType) -> Placed:
    """A function of single elements, where they or the result have 16 bits."""
    if value.function is None and value.dtype == dtype and value.quant.same_as(quant):
        return value.at
    if value.function is not None and value.function.boolean:
        raise Rejected("its operand is bool")
    if value.channel is not None:
        raise Rejected(f"it is of 16 bits and differs from channel to channel: {FLOAT_ARITHMETIC}")
    floats = values_of(value.quant, value.function, scope.opset, value.numbers)
    ascending = floats[value.numbers.argsort(kind="stable")].astype(np.float32)
    op = WideLookup(ascending.tobytes(), dtype, called(value.function))
    return replace(value.at, name=scope.state.emit(op, [value.at.name], scope.name, quant))


def called(function: Step | None) -> str:
    return ", ".join(step.node.op_type for step in nodes_of(function)) or "requantisation"


def _of_dequantized(scope: Scope, value: Dequantized, quant: Quantization) -> Placed:
    if value.function is None and value.quant.same_as(quant):
        return value.at
    if value.function is not None and value.function.boolean:
        raise Rejected("its operand is bool")
    if value.channel is not None:
        return by_channel(scope, value, value.channel, quant)
    values, between = values_and_between(value.quant, value.function, scope.opset)
    op = Lookup(rounded_values(values, quant).tobytes(), called(value.function), between.tobytes())
    result = scope.state.emit(op, [value.at.name], scope.name, quant)
    return Placed(result, value.shape, value.at.order, value.at.folded)


def linear_rule(value: Linear, quant: Quantization) -> StepRequant:
    """From the accumulators of an int8 layer to what QuantizeLinear makes of them."""
    units = integer_bias(value)
    rest = [b - n * p for b, n, p in zip(value.bias, units, value.product, strict=True)]
    rule = exact_requant(value.product, rest, Fraction(float(quant.scale[0])), int(quant.zero_point[0]), -128, 127)
    return rule.clamped(*clamp_of(value.clamp, quant))


def integer_bias(value: Linear) -> list[int]:
    """The bias in units of the accumulator, to the nearest."""
    units = (round(b / p) for b, p in zip(value.bias, value.product, strict=True))
    return [max(-_LARGEST_BIAS, min(_LARGEST_BIAS, n)) for n in units]


def linear(scope: Scope, value: Linear, rule: StepRequant, quant: Quantization) -> Placed:
    """The IR operator of a linear layer with this requantisation."""
    parts = _int8_parts(value.weights)
    bias = np.array(integer_bias(value), np.int64)
    kind, x = value.kind, value.x
    rows = np.moveaxis(value.weights, 3, 0) if kind == "depthwise_conv2d" else value.weights
    reach = 256 * np.abs(rows.reshape(rows.shape[0], -1)).sum(axis=1) + np.abs(bias)
    if reach.max() >= 2**31:
        raise Rejected("its accumulator doesn't fit in 32 bits")
    weights = parts[0]
    if len(parts) > 1:
        x, weights, kind = _widened(scope, value, parts)
    clamp = (rule.low, rule.high)
    op: Conv2D | DepthwiseConv2D | FullyConnected | TransposeConv
    match kind:
        case "conv2d":
            op = Conv2D(**value.window, clamp=clamp, rule=rule)
        case "depthwise_conv2d":
            op = DepthwiseConv2D(**value.window, clamp=clamp, rule=rule)
        case "transpose_conv":
            op = TransposeConv(**value.window, clamp=clamp, rule=rule)
        case _:
            op = FullyConnected(clamp, rule)
    axis = op.weight_axis if isinstance(op, Conv2D | DepthwiseConv2D) else 0
    scales = Quantization(value.weight_scale, np.zeros(value.weight_scale.shape, np.int64), axis)
    state = scope.state
    operands = [x.name, state.value(f"{scope.name}_weights", TensorType(weights.shape, INT8, scales), weights)]
    if bias.any():
        operands.append(state.value(f"{scope.name}_bias", TensorType(bias.shape, INT32), bias.astype(np.int32)))
    result = Placed(state.emit(op, operands, scope.name, quant), value.shape, value.order)
    return scope.reshaped(result, result.physical_shape, value.shape, value.order)


def _int8_parts(weights: Array) -> list[Array]:
    """int8 arrays whose sum the weights are: more than one where a zero point makes them wider than 8 bits."""
    parts, rest = list[Array](), weights.astype(np.int64)
    while not parts or rest.any():
        fits = rest.min() >= -128 and rest.max() <= 127
        part = rest if fits else np.clip(rest, -127, 127)
        parts.append(part.astype(np.int8))
        rest = rest - part
    return parts


def _widened(scope: Scope, value: Linear, parts: Sequence[Array]) -> tuple[Placed, Array, str]:
    """Weights that take more than 8 bits: every input channel several times, each time with a part of its weights."""
    x, count = value.x, len(parts)
    physical = scope.state.type_of(x).shape
    single = scope.move(x, Reshape((*physical, 1)), (*physical, 1))
    quant = scope.state.type_of(x).quant
    joined = scope.state.emit(Concatenation(len(physical)), [single.name] * count, f"{scope.name}_repeated", quant)
    wide = (*physical[:-1], physical[-1] * count)
    repeated = scope.move(Placed(joined, (*physical, count), identity(len(physical) + 1)), Reshape(wide), wide)
    if value.kind == "depthwise_conv2d":
        parts = [np.moveaxis(part, 3, 0).transpose(0, 2, 3, 1) for part in parts]
    stacked = np.stack(parts, axis=-1)
    weights = np.ascontiguousarray(stacked.reshape(*stacked.shape[:-2], -1))
    return repeated, weights, "conv2d" if value.kind == "depthwise_conv2d" else value.kind


def _rule(product: Sequence[Fraction], value: Average | Product, quant: Quantization) -> StepRequant:
    """With a channel for each product."""
    divisor, zero_point = Fraction(float(quant.scale[0])), int(quant.zero_point[0])
    rule = exact_requant(product, [value.bias] * len(product), divisor, zero_point, -128, 127)
    return rule.clamped(*clamp_of(value.clamp, quant))


def product(scope: Scope, value: Product, rule: StepRequant, quant: Quantization) -> Placed:
    """The IR operator of a product of matrices with this requantisation."""
    op = BatchMatMul(value.turned_x, value.turned_y, rule)
    at = Placed(
        scope.state.emit(op, [value.x.name, value.y.name], scope.name, quant), value.shape, identity(len(value.shape))
    )
    return scope.reshaped(at, value.shape, value.shape, at.order)


def _average(scope: Scope, value: Average, quant: Quantization) -> Placed:
    op: AveragePool2D | Mean | ReduceSum
    if value.kernel is not None and value.stride is not None:
        numbers = [(i + 1) * (j + 1) for i in range(value.kernel[0]) for j in range(value.kernel[1])]
        counts = numbers if any(value.padding) else [prod(value.kernel)]
        rule = _rule([value.product * Fraction(prod(value.kernel), count) for count in counts], value, quant)
        op = AveragePool2D(value.kernel, value.stride, value.padding, (rule.low, rule.high), rule)
    else:
        rule = _rule([value.product], value, quant)
        op = (Mean if value.is_mean else ReduceSum)(value.axes, value.keep_dims, rule)
    at = Placed(scope.state.emit(op, [value.x.name], scope.name, quant), value.shape, value.order)
    return scope.reshaped(at, at.physical_shape, value.shape, value.order)


def paired(scope: Scope, value: Pair, quant: Quantization, dtype: DType = INT8) -> Placed:
    """Two tensors of a type."""
    rank = len(value.shape)
    order = common_order([operand.at for operand in value.operands if isinstance(operand, Dequantized)], rank)
    names = [_pair_operand(scope, operand, rank, order) for operand in value.operands]
    op = PAIRS[value.function](clamp_of(value.clamp, quant, dtype), "onnx")
    return Placed(scope.state.emit(op, names, scope.name, quant), value.shape, order)


def _pair_operand(scope: Scope, operand: Dequantized | Known, rank: int, order: tuple[int, ...]) -> str:
    """The IR value of an operand, with `rank` axes in `order`."""
    if isinstance(operand, Known):
        return quantized_constant(scope, operand, rank, order)
    return scope.aligned(operand.at, rank, order).name


def quantized_constant(scope: Scope, value: Known, rank: int, order: tuple[int, ...]) -> str:
    """A dequantised constant as an int8 constant of the IR."""
    source = value.quantized
    dtype = None if source is None else DType.find(source.values.dtype)
    if source is None or source.axis is not None or dtype not in (INT8, UINT8, INT16, UINT16):
        raise Rejected("one operand is a float constant, supported is one that is quantised with a single scale")
    shift = shift_of(dtype)
    values = (source.values.astype(np.int64) - shift).astype(np.int8 if dtype in (INT8, UINT8) else np.int16)
    quant = Quantization(
        source.scale.reshape(1).astype(np.float32), source.zero_point.reshape(1).astype(np.int64) - shift
    )
    return _constant(scope, arranged(values, rank, order), quant)


def rounded(value: np.float32, quant: Quantization, dtype: DType = INT8) -> int:
    """What QuantizeLinear makes of a float, as int8 or int16."""
    return int(_rounded_array(np.array([value], np.float32), quant, dtype)[0])


def _rounded_array(values: Array, quant: Quantization, dtype: DType) -> Array:
    low, high = dtype.range
    with np.errstate(all="ignore"):
        steps = np.rint(values.astype(np.float32) / quant.scale[0]).astype(np.float64) + quant.zero_point[0]
    return np.nan_to_num(np.clip(steps, low, high), nan=low).astype(dtype.carrier)


def _constant(scope: Scope, values: Array, quant: Quantization) -> str:
    dtype = INT8 if values.dtype == np.int8 else INT16
    return scope.state.value(f"{scope.name}_constant", TensorType(values.shape, dtype, quant), values)


def _part(scope: Scope, value: Value, quant: Quantization) -> Placed:
    """A value rounded, or a constant."""
    return rounded_constant(scope, value, quant) if isinstance(value, Known) else quantized(scope, value, quant)


def rounded_constant(scope: Scope, value: Known, quant: Quantization, dtype: DType = INT8) -> Placed:
    """A constant as QuantizeLinear makes it. Raises Rejected."""
    if value.array.dtype.kind != "f":
        raise Rejected(f"a constant is {value.array.dtype.name}")
    name = _constant(scope, _rounded_array(value.array, quant, dtype), quant)
    return Placed(name, value.shape, identity(len(value.shape)))


def as_quantized(at: Placed, dtype: DType, rounded: tuple[Value, Quantization] | None = None) -> Quantized:
    return Quantized(at, dtype, rounded)
