"""ONNX operators in float32: whole float models, and what can't run in 8 bits in quantised ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinycompile.dtypes import FLOAT16, FLOAT32, FLOAT64, INT8, UINT8, DType
from tinycompile.frontend.onnx_elementwise import dequantized_type, quantize_parameters, quantized_with
from tinycompile.frontend.onnx_linear import padding_of, spatial_attributes
from tinycompile.frontend.onnx_moves import pad_amounts, pool_attributes, taken
from tinycompile.frontend.onnx_quantize import as_quantized
from tinycompile.frontend.onnx_registry import IMPORTERS, Importer
from tinycompile.frontend.onnx_resize import interpolation
from tinycompile.frontend.onnx_scope import Scope, State
from tinycompile.frontend.onnx_values import Dequantized, Known, Missing, Placed, Quantized, Real, Shape, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Op, Quantization, TensorType
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.float_binary import FloatBinary
from tinycompile.ops.float_concatenation import FloatConcatenation
from tinycompile.ops.float_conv2d import FloatConv2D
from tinycompile.ops.float_matmul import FloatMatMul
from tinycompile.ops.float_pad import FloatPad
from tinycompile.ops.float_pool2d import FloatPool2D
from tinycompile.ops.float_reduce import FloatReduce
from tinycompile.ops.float_unary import FloatUnary
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose

FLOAT_IMPORTERS: dict[str, Importer] = {}
_MOVES = (
    "Identity Dropout Cast Transpose Reshape Flatten Squeeze Unsqueeze Split Slice Gather DepthToSpace SpaceToDepth"
).split()
"""Their importers move floats as well."""


def float_importer(*names: str) -> Callable[[Importer], Importer]:
    """Decorator: compute these operators with this function in float32."""

    def register(function: Importer) -> Importer:
        for name in names:
            FLOAT_IMPORTERS[name] = function
        return function

    return register


def runs_in_float(kind: str) -> bool:
    """Whether an operator can be computed in float32."""
    return kind in FLOAT_IMPORTERS or kind in _MOVES


def import_float(state: State, node: Any, reason: str) -> None:
    """Read a node in float32; `reason` says why it isn't read in 8 bits. Raises Rejected."""
    why = f"{state.label(node)}, which reads it, runs in float32"
    scope = Scope(state, node, lambda name: as_float(state, name, why))
    kind = scope.kind
    if kind in FLOAT_IMPORTERS:
        FLOAT_IMPORTERS[kind](scope)
    elif runs_in_float(kind):
        IMPORTERS[kind](scope)
    else:
        raise Rejected("this operator is not supported")
    scope.check_read(state.wanted)
    state.islands[node.output[0]] = reason


def as_float(state: State, name: str, reason: str) -> Real | Known:
    """A value as a float tensor of the IR; nodes whose results were never rounded are computed in float32, and
    `reason` says why.
    """
    if name in state.floats:
        return state.floats[name]
    value = state.values[name]
    match value:
        case Real() | Known():
            return value
        case Dequantized(steps=()):
            at = value.at
            result = state.emit(Dequantize(), [at.name], f"{name}_float", None)
            real = Real(replace(at, name=result))
        case Quantized() | Missing():
            raise Rejected("an operand is no float tensor")
        case _:
            import_float(state, state.producers[name], reason)
            found = state.values[name]
            if not isinstance(found, Real):
                raise Rejected("an operand can't be computed in float32")
            real = found
    state.floats[name] = real
    return real


def _plain(scope: Scope, operand: int) -> str:
    """The IR value of an operand in ONNX's order; constants become values too."""
    value = scope.value(operand)
    if isinstance(value, Real):
        return scope.plain(value.at).name
    if isinstance(value, Known):
        return constant(scope, value.array)
    raise Rejected("an operand is no float tensor")


def constant(scope: Scope, array: Array) -> str:
    if DType.find(array.dtype) not in (FLOAT16, FLOAT32, FLOAT64):
        raise Rejected(f"an operand is {array.dtype}, supported is float32")
    values = np.asarray(array, np.float32, order="C")  # ascontiguousarray would give a scalar an axis
    return scope.state.value(f"{scope.name}_constant", TensorType(values.shape, FLOAT32), values)


def _emit(scope: Scope, op: Op, operands: Sequence[str]) -> str:
    for name in operands:
        t = scope.state.builder.types[name]
        if t.dtype != FLOAT32:
            raise Rejected(f"an operand is {t.dtype}, supported is float32")
    return scope.state.emit(op, operands, scope.name, None)


def _shape_of(scope: Scope, name: str) -> Shape:
    return scope.state.builder.types[name].shape


def _reshape(scope: Scope, name: str, shape: Shape) -> str:
    return name if _shape_of(scope, name) == shape else _emit(scope, Reshape(shape), [name])


def _set(scope: Scope, name: str, shape: Shape | None = None) -> None:
    """The result, whose memory is in ONNX's order."""
    shape = _shape_of(scope, name) if shape is None else shape
    scope.set(Real(Placed(_reshape(scope, name, shape), shape, identity(len(shape)))))


@float_importer("QuantizeLinear")
def _quantize(scope: Scope) -> None:
    """With a scale for each channel or block: division, rounding and zero point in float32, then to 8 bits."""
    scale, zero_point = quantize_parameters(scope)
    dtype = DType.find(zero_point.dtype)
    if scale.size == 1:
        scope.ignore("axis", "block_size")
        scope.set(as_quantized(*quantized_with(scope, scope.value(), scale, zero_point)))
        return
    if dtype not in (INT8, UINT8):
        raise Rejected(f"it quantises to {zero_point.dtype.name}, supported are int8 and uint8")
    x = _plain(scope, 0)
    shape = _shape_of(scope, x)
    quotient = _emit(scope, FloatBinary("div"), [x, constant(scope, _per_element(scope, scale, shape))])
    rounded = _emit(scope, FloatUnary("round"), [quotient])
    zeros = _per_element(scope, zero_point, shape).astype(np.float32)
    shifted = _emit(scope, FloatBinary("add"), [rounded, constant(scope, zeros)])
    shift = 128 if dtype == UINT8 else 0
    integers = scope.state.emit(Quantize(INT8, "even"), [shifted], scope.name, Quantization.per_tensor(1.0, -shift))
    scope.set(Quantized(Placed(integers, shape, identity(len(shape))), dtype))


def _per_element(scope: Scope, parameter: Array, shape: Shape) -> Array:
    """Scales or zero points per channel or block as an array that broadcasts with a tensor of this shape."""
    axis = int(scope.attribute("axis", 1)) % len(shape)
    block = int(scope.attribute("block_size", 0))
    if parameter.ndim <= 1:
        return parameter.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return np.take(np.repeat(parameter, max(block, 1), axis), range(shape[axis]), axis)


# One operand.

_UNARY = {
    "Abs": "abs", "Ceil": "ceil", "Cos": "cos", "Erf": "erf", "Exp": "exp", "Floor": "floor", "HardSwish": "hard_swish",
    "Log": "log", "Mish": "mish", "Neg": "neg", "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round",
    "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Softplus": "softplus", "Softsign": "softsign", "Sqrt": "sqrt",
    "Tanh": "tanh",
}  # fmt: skip
_DEFAULTS = {
    "Celu": ("celu", 1.0, 0.0),
    "Elu": ("elu", 1.0, 0.0),
    "HardSigmoid": ("hard_sigmoid", 0.2, 0.5),
    "LeakyRelu": ("leaky_relu", 0.01, 0.0),
    "Selu": ("selu", 1.67326319217681884765625, 1.05070102214813232421875),
    "ThresholdedRelu": ("thresholded_relu", 1.0, 0.0),
}
"""(function, alpha, beta or gamma)."""


@float_importer(*_UNARY, *_DEFAULTS, "Gelu", "Clip")
def _unary(scope: Scope) -> None:
    kind = scope.kind
    if kind == "Clip":
        bounds = [-np.inf, np.inf]
        for operand in (1, 2):
            if scope.has(operand):
                bounds[operand - 1] = float(scope.constant(operand, "a bound").reshape(-1)[0])
        op = FloatUnary("clip", *bounds)
    elif kind == "Gelu":
        op = FloatUnary("gelu_tanh" if scope.attribute("approximate", "none") == "tanh" else "gelu")
    elif kind in _UNARY:
        op = FloatUnary(_UNARY[kind])
    else:
        name, alpha, beta = _DEFAULTS[kind]
        second = "gamma" if kind == "Selu" else "beta"
        op = FloatUnary(name, float(scope.attribute("alpha", alpha)), float(scope.attribute(second, beta)))
    value = scope.value()
    if isinstance(value, Real):
        scope.set(Real(replace(value.at, name=_emit(scope, op, [value.at.name]))))
    else:
        _set(scope, _emit(scope, op, [_plain(scope, 0)]))


@float_importer("Softmax", "LogSoftmax")
def _softmax(scope: Scope) -> None:
    x = _plain(scope, 0)
    axis = int(scope.attribute("axis", -1)) % len(_shape_of(scope, x))
    peak = _emit(scope, FloatReduce("max", (axis,)), [x])
    shifted = _emit(scope, FloatBinary("sub"), [x, peak])
    powers = _emit(scope, FloatUnary("exp"), [shifted])
    total = _emit(scope, FloatReduce("sum", (axis,)), [powers])
    if scope.kind == "LogSoftmax":
        _set(scope, _emit(scope, FloatBinary("sub"), [shifted, _emit(scope, FloatUnary("log"), [total])]))
    else:
        _set(scope, _emit(scope, FloatBinary("div"), [powers, total]))


# Several operands.


@float_importer("Add", "Sub", "Mul", "Div", "Pow", "PRelu", "Min", "Max", "Sum")
def _binary(scope: Scope) -> None:
    function = {"Sum": "add"}.get(scope.kind, scope.kind.lower())
    result = _plain(scope, 0)
    for operand in range(1, len(scope.node.input)):
        result = _emit(scope, FloatBinary(function), [result, _plain(scope, operand)])
    _set(scope, result)


@float_importer("BatchNormalization")
def _batch_normalization(scope: Scope) -> None:
    if scope.attribute("training_mode", 0):
        raise Rejected("training mode")
    scope.ignore("momentum")  # of training
    gamma, beta, mean, variance = (scope.constant(i, "a statistic").astype(np.float64) for i in range(1, 5))
    x = _plain(scope, 0)
    factor = gamma / np.sqrt(variance + float(scope.attribute("epsilon", 1e-5)))
    wide = (-1, *(1,) * (len(_shape_of(scope, x)) - 2))
    scaled = _emit(scope, FloatBinary("mul"), [x, constant(scope, factor.reshape(wide))])
    _set(scope, _emit(scope, FloatBinary("add"), [scaled, constant(scope, (beta - mean * factor).reshape(wide))]))


@float_importer("Concat")
def _concat(scope: Scope) -> None:
    names = [_plain(scope, i) for i in range(len(scope.node.input))]
    axis = int(scope.attribute("axis", 0)) % len(_shape_of(scope, names[0]))
    _set(scope, _emit(scope, FloatConcatenation(axis), names) if len(names) > 1 else names[0])


@float_importer("MatMul")
def _matmul(scope: Scope) -> None:
    a, b, shape = _plain(scope, 0), _plain(scope, 1), scope.shape()
    if len(_shape_of(scope, a)) == 1:
        a = _reshape(scope, a, (1, *_shape_of(scope, a)))
    if len(_shape_of(scope, b)) == 1:
        b = _reshape(scope, b, (*_shape_of(scope, b), 1))
    _set(scope, _emit(scope, FloatMatMul(), [a, b]), shape)


@float_importer("Gemm")
def _gemm(scope: Scope) -> None:
    operands = list[str]()
    for operand, flag in ((0, "transA"), (1, "transB")):
        value = scope.value(operand)
        if isinstance(value, Known):
            operands.append(constant(scope, value.array.T if scope.attribute(flag, 0) else value.array))
        else:
            name = _plain(scope, operand)
            operands.append(_emit(scope, Transpose((1, 0)), [name]) if scope.attribute(flag, 0) else name)
    result = _emit(scope, FloatMatMul(), operands)
    alpha, beta = float(scope.attribute("alpha", 1.0)), float(scope.attribute("beta", 1.0))
    if alpha != 1:
        result = _emit(scope, FloatBinary("mul"), [result, constant(scope, np.array(alpha, np.float32))])
    scope.ignore(2)  # where beta is 0
    if scope.has(2) and beta != 0:
        bias = _plain(scope, 2)
        if beta != 1:
            bias = _emit(scope, FloatBinary("mul"), [bias, constant(scope, np.array(beta, np.float32))])
        result = _emit(scope, FloatBinary("add"), [result, bias])
    _set(scope, result)


# Windows. 1-D operands get a second axis of size 1.


def _image(scope: Scope) -> str:
    x = _plain(scope, 0)
    shape = _shape_of(scope, x)
    if len(shape) not in (3, 4):
        raise Rejected(f"its operand has {len(shape)} dimensions, supported are 3 and 4")
    return _reshape(scope, x, (*shape, 1)) if len(shape) == 3 else x


@float_importer("Conv")
def _conv(scope: Scope) -> None:
    weights = scope.constant(1, "the weight tensor").astype(np.float32)
    channels, *size = scope.value().shape[1:]
    if int(scope.attribute("group", 1)) * weights.shape[1] != channels:
        raise Rejected(f"its weights {list(weights.shape)} don't fit {channels} channels and the attribute group")
    x = _image(scope)
    kernel, strides, dilations = spatial_attributes(scope, weights.shape[2:])
    pads = padding_of(scope, size, kernel, strides, dilations)
    if weights.ndim == 3:
        weights, strides, dilations = weights[..., None], [*strides, 1], [*dilations, 1]
        pads = [pads[0], 0, pads[1], 0]
    op = FloatConv2D((strides[0], strides[1]), (dilations[0], dilations[1]), (pads[0], pads[2], pads[1], pads[3]))
    _set(scope, _convolution(scope, op, x, weights), scope.shape())


def _convolution(scope: Scope, op: FloatConv2D, x: str, weights: Array) -> str:
    operands = [x, constant(scope, weights)]
    if scope.has(2):
        operands.append(constant(scope, scope.constant(2, "the bias")))
    return _emit(scope, op, operands)


@float_importer("ConvTranspose")
def _conv_transpose(scope: Scope) -> None:
    """As a convolution of the input with zeros between its elements, with the kernel turned around."""
    from tinycompile.frontend.onnx_linear import transposed_begins

    weights = scope.constant(1, "the weight tensor").astype(np.float32)
    group, size, shape = int(scope.attribute("group", 1)), scope.value().shape[2:], scope.shape()
    x = _image(scope)
    kernel, strides, dilations = spatial_attributes(scope, weights.shape[2:])
    begins = transposed_begins(scope, size, shape[2:], kernel, strides, dilations)
    inputs, outputs = weights.shape[:2]
    grouped = weights.reshape(group, inputs // group, outputs, *weights.shape[2:]).swapaxes(1, 2)
    flipped = np.flip(
        grouped.reshape(group * outputs, inputs // group, *weights.shape[2:]), tuple(range(2, weights.ndim))
    )
    out = shape[2:]
    if weights.ndim == 3:
        flipped, kernel, strides, dilations = flipped[..., None], [*kernel, 1], [*strides, 1], [*dilations, 1]
        size, begins, out = (*size, 1), [*begins, 0], (*out, 1)
    n, c, h, w = _shape_of(scope, x)
    if strides != [1, 1]:
        split = _reshape(scope, x, (n, c, h, 1, w, 1))
        border = ((0, 0), (0, 0), (0, 0), (0, strides[0] - 1), (0, 0), (0, strides[1] - 1))
        x = _reshape(scope, _emit(scope, FloatPad(border, 0.0), [split]), (n, c, h * strides[0], w * strides[1]))
    padding = list[int]()
    for axis in range(2):
        extent = (kernel[axis] - 1) * dilations[axis]
        before = extent - begins[axis]
        padding += [before, out[axis] + extent - before - size[axis] * strides[axis]]
    at = Placed(x, _shape_of(scope, x), identity(4))
    for axis in range(2):
        first, last = max(0, -padding[2 * axis]), at.shape[2 + axis] - max(0, -padding[2 * axis + 1])
        at = taken(scope, at, 2 + axis, range(first, last))
    op = FloatConv2D(
        (1, 1),
        (dilations[0], dilations[1]),
        tuple(max(0, p) for p in padding),  # pyright: ignore[reportArgumentType]
    )
    _set(scope, _convolution(scope, op, at.name, np.ascontiguousarray(flipped)), shape)


@float_importer("MaxPool", "AveragePool")
def _pool(scope: Scope) -> None:
    shape, out = scope.value().shape, scope.shape()
    x = _image(scope)
    rank = len(shape) - 2
    kernel, strides, dilations = pool_attributes(scope, rank)
    pads = padding_of(scope, shape[2:], kernel, strides, dilations)
    given = list(pads)
    for axis in range(rank):
        needed = (out[2 + axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        pads[rank + axis] = max(needed - shape[2 + axis] - pads[axis], 0)
    if rank == 1:
        kernel, strides, dilations = [*kernel, 1], [*strides, 1], [*dilations, 1]
        pads, given = [pads[0], 0, pads[1], 0], [given[0], 0, given[1], 0]
    average = scope.kind == "AveragePool"
    count = (given[0], given[2], given[1], given[3]) if scope.attribute("count_include_pad", 0) else (0, 0, 0, 0)
    op = FloatPool2D(
        "average" if average else "max",
        (kernel[0], kernel[1]),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        (pads[0], pads[2], pads[1], pads[3]),
        count,
    )
    _set(scope, _emit(scope, op, [x]), out)


@float_importer("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(scope: Scope) -> None:
    x = _plain(scope, 0)
    axes = tuple(range(2, len(_shape_of(scope, x))))
    _set(scope, _emit(scope, FloatReduce("mean" if scope.kind == "GlobalAveragePool" else "max", axes), [x]))


@float_importer("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
def _reduce(scope: Scope) -> None:
    x, shape = _plain(scope, 0), scope.shape()
    rank = len(_shape_of(scope, x))
    axes = scope.listed("axes", 1, "the axes")
    if not axes:
        if scope.attribute("noop_with_empty_axes", 0):
            scope.ignore("keepdims")
            _set(scope, x)
            return
        axes = list(range(rank))
    scope.ignore("keepdims", "noop_with_empty_axes")  # the first is in the inferred shape
    op = FloatReduce(scope.kind.removeprefix("Reduce").lower(), tuple(sorted({axis % rank for axis in axes})))
    _set(scope, _emit(scope, op, [x]), shape)


# Padding and resizing.


@float_importer("Pad")
def _pad(scope: Scope) -> None:
    mode = scope.attribute("mode", "constant")
    if mode != "constant":
        IMPORTERS["Pad"](scope)
        return
    at = Placed(_plain(scope, 0), scope.value().shape, identity(len(scope.value().shape)))
    amounts = pad_amounts(scope, len(at.shape))
    fill = float(scope.constant(2, "the fill").ravel()[0]) if scope.has(2) else 0.0
    for axis, (before, after) in enumerate(amounts):
        at = taken(scope, at, axis, range(max(0, -before), at.shape[axis] - max(0, -after)))
    positive = tuple((max(0, before), max(0, after)) for before, after in amounts)
    _set(scope, _emit(scope, FloatPad(positive, fill), [at.name]))


@float_importer("Resize")
def _resize(scope: Scope) -> None:
    """Nearest neighbours copy; linear and cubic interpolation are matrix products along each axis."""
    mode = scope.attribute("mode", "nearest")
    if mode == "nearest":
        IMPORTERS["Resize"](scope)
        return
    x, source, shape = _plain(scope, 0), scope.value().shape, scope.shape()
    for axis, matrix in interpolation(scope, source, shape, mode):
        rank = len(source)
        order = (*(a for a in range(rank) if a != axis), axis)
        back = tuple(order.index(a) for a in range(rank))
        turned = _emit(scope, Transpose(order), [x]) if order != tuple(range(rank)) else x
        moved = _shape_of(scope, turned)
        flat = _reshape(scope, turned, (int(np.prod(moved[:-1])), moved[-1]))
        product = _emit(scope, FloatMatMul(), [flat, constant(scope, matrix.T.astype(np.float32))])
        wide = _reshape(scope, product, (*moved[:-1], matrix.shape[0]))
        x = _emit(scope, Transpose(back), [wide]) if back != tuple(range(rank)) else wide
    _set(scope, x)


@float_importer("DequantizeLinear")
def _dequantize(scope: Scope) -> None:
    """With a scale for each channel or block: (q - zero point) * scale in float32."""
    value, scale = scope.state.values[scope.node.input[0]], scope.constant(1, "the scale")
    scope.ignore(0)
    if not isinstance(value, Quantized):
        raise Rejected("its operand is no integer tensor")
    dequantized_type(scope, scale)
    state, quant = scope.state, Quantization.per_tensor(1.0, -value.shift)
    at = scope.plain(value.at)
    raw = state.emit(Reshape(at.shape), [at.name], f"{scope.name}_quantized", quant)
    x = state.emit(Dequantize(), [raw], scope.name, None)
    if scope.has(2):
        zeros = _per_element(scope, scope.constant(2, "the zero point"), at.shape).astype(np.float32)
        x = _emit(scope, FloatBinary("sub"), [x, constant(scope, zeros)])
    _set(scope, _emit(scope, FloatBinary("mul"), [x, constant(scope, _per_element(scope, scale, at.shape))]))
