"""ONNX operators in float32: whole float models, and what can't run in 8 bits in quantised ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_elementwise import dequantized_type, quantize_parameters, quantized_with
from tinycompile.frontend.onnx_quantize import as_quantized
from tinycompile.frontend.onnx_registry import IMPORTERS, Importer
from tinycompile.frontend.onnx_scope import Scope, State
from tinycompile.frontend.onnx_values import (
    Dequantized,
    Known,
    Missing,
    Placed,
    Quantized,
    Real,
    Shape,
    Value,
    identity,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Op, Quantization, TensorType
from tinycompile.ops.add import Add
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.div import Div
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.float_concatenation import FloatConcatenation
from tinycompile.ops.float_matmul import FloatMatMul
from tinycompile.ops.float_reduce import FloatReduce
from tinycompile.ops.hard_swish import HardSwish
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.pow import Pow
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.relu import Relu
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub
from tinycompile.ops.tanh import Tanh
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


def plain(scope: Scope, operand: int) -> str:
    """The IR value of an operand in ONNX's order; constants become values too."""
    value = scope.value(operand)
    if isinstance(value, Real):
        return scope.plain(value.at).name
    if isinstance(value, Known):
        return constant(scope, value.array)
    raise Rejected("an operand is no float tensor")


def _placed(scope: Scope, value: Value) -> Placed:
    """An operand where it is; constants become values too."""
    if isinstance(value, Real):
        return scope.unfolded(value.at)
    if isinstance(value, Known):
        return Placed(constant(scope, value.array), value.shape, identity(len(value.shape)))
    raise Rejected("an operand is no float tensor")


def constant(scope: Scope, array: Array) -> str:
    if array.dtype.name not in ("float16", "float32", "float64"):
        raise Rejected(f"an operand is {array.dtype}, supported is float32")
    values = np.asarray(array, np.float32, order="C")  # ascontiguousarray would give a scalar an axis
    return scope.state.value(f"{scope.name}_constant", TensorType(values.shape, "float32"), values)


def emit(scope: Scope, op: Op, operands: Sequence[str]) -> str:
    for name in operands:
        t = scope.state.builder.types[name]
        if t.dtype != "float32":
            raise Rejected(f"an operand is {t.dtype}, supported is float32")
    return scope.state.emit(op, operands, scope.name, None)


def shape_of(scope: Scope, name: str) -> Shape:
    return scope.state.builder.types[name].shape


def reshape(scope: Scope, name: str, shape: Shape) -> str:
    return name if shape_of(scope, name) == shape else emit(scope, Reshape(shape), [name])


def set_result(scope: Scope, name: str, shape: Shape | None = None) -> None:
    """The result, whose memory is in ONNX's order."""
    shape = shape_of(scope, name) if shape is None else shape
    scope.set(Real(Placed(reshape(scope, name, shape), shape, identity(len(shape)))))


@float_importer("QuantizeLinear")
def _quantize(scope: Scope) -> None:
    """With a scale for each channel or block: division, rounding and zero point in float32, then to 8 bits."""
    scale, zero_point = quantize_parameters(scope)
    dtype = zero_point.dtype.name
    if scale.size == 1:
        scope.ignore("axis", "block_size")
        scope.set(as_quantized(*quantized_with(scope, scope.value(), scale, zero_point)))
        return
    if dtype not in ("int8", "uint8"):
        raise Rejected(f"it quantises to {dtype}, supported are int8 and uint8")
    x = plain(scope, 0)
    shape = shape_of(scope, x)
    quotient = emit(scope, Div(), [x, constant(scope, _per_element(scope, scale, shape))])
    rounded = emit(scope, ElementwiseFunction("round"), [quotient])
    zeros = _per_element(scope, zero_point, shape).astype(np.float32)
    shifted = emit(scope, Add(), [rounded, constant(scope, zeros)])
    shift = 128 if dtype == "uint8" else 0
    integers = scope.state.emit(Quantize("int8", "even"), [shifted], scope.name, Quantization.per_tensor(1.0, -shift))
    scope.set(Quantized(Placed(integers, shape, identity(len(shape))), dtype))


def _per_element(scope: Scope, parameter: Array, shape: Shape) -> Array:
    """Scales or zero points per channel or block as an array that broadcasts with a tensor of this shape."""
    axis = int(scope.attribute("axis", 1)) % len(shape)
    block = int(scope.attribute("block_size", 0))
    if parameter.ndim <= 1:
        return parameter.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return np.take(np.repeat(parameter, max(block, 1), axis), range(shape[axis]), axis)


# One operand.

_PLAIN: Mapping[str, Op] = {
    "Abs": LeakyRelu(-1.0),  # a slope of -1 where x is negative
    "HardSwish": HardSwish(),
    "Relu": Relu(),
    "Sigmoid": Logistic(),
    "Tanh": Tanh(),
    **{
        name: ElementwiseFunction(name.lower())
        for name in "Ceil Cos Erf Exp Floor Log Mish Neg Reciprocal Round Sign Sin Softplus Softsign Sqrt".split()
    },
}
"""Without attributes."""
_DEFAULTS = {
    "Celu": ("celu", 1.0, 0.0),
    "Elu": ("elu", 1.0, 0.0),
    "HardSigmoid": ("hard_sigmoid", 0.2, 0.5),
    "Selu": ("selu", 1.67326319217681884765625, 1.05070102214813232421875),
    "ThresholdedRelu": ("thresholded_relu", 1.0, 0.0),
}
"""(function, alpha, beta or gamma)."""


@float_importer(*_PLAIN, *_DEFAULTS, "LeakyRelu", "Gelu", "Clip")
def _unary(scope: Scope) -> None:
    op, value = _function(scope), scope.value()
    if isinstance(value, Real):
        scope.set(Real(replace(value.at, name=emit(scope, op, [value.at.name]))))
    else:
        set_result(scope, emit(scope, op, [plain(scope, 0)]))


def _function(scope: Scope) -> Op:
    """The operator of a node with one operand and some attributes."""
    kind = scope.kind
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "LeakyRelu":
        return LeakyRelu(float(scope.attribute("alpha", 0.01)))
    if kind == "Gelu":
        return ElementwiseFunction("gelu_tanh" if scope.attribute("approximate", "none") == "tanh" else "gelu")
    if kind == "Clip":
        bounds = [-np.inf, np.inf]
        for operand in (1, 2):
            if scope.has(operand):
                bounds[operand - 1] = float(scope.constant(operand, "a bound").reshape(-1)[0])
        return ElementwiseFunction("clip", *bounds)
    name, alpha, beta = _DEFAULTS[kind]
    second = "gamma" if kind == "Selu" else "beta"
    return ElementwiseFunction(name, float(scope.attribute("alpha", alpha)), float(scope.attribute(second, beta)))


@float_importer("Softmax")
def _softmax(scope: Scope) -> None:
    value = scope.value()
    axis = int(scope.attribute("axis", -1)) % len(value.shape)
    at = _placed(scope, value)
    if at.order[-1] != axis:
        at = scope.ordered(at, (*(a for a in at.order if a != axis), axis))
    scope.set(Real(replace(at, name=emit(scope, Softmax(), [at.name]))))


@float_importer("LogSoftmax")
def _log_softmax(scope: Scope) -> None:
    """x - max - log(sum(exp(x - max))): the logarithm of a softmax that underflows is no infinity."""
    x = plain(scope, 0)
    axis = int(scope.attribute("axis", -1)) % len(shape_of(scope, x))
    peak = emit(scope, FloatReduce("max", (axis,)), [x])
    shifted = emit(scope, Sub(), [x, peak])
    powers = emit(scope, ElementwiseFunction("exp"), [shifted])
    total = emit(scope, FloatReduce("sum", (axis,)), [powers])
    set_result(scope, emit(scope, Sub(), [shifted, emit(scope, ElementwiseFunction("log"), [total])]))


# Several operands.


_PAIRS: Mapping[str, Op] = {
    "Add": Add(),
    "Div": Div(),
    "Max": Maximum(),
    "Min": Minimum(),
    "Mul": Mul(),
    "Pow": Pow(),
    "PRelu": Prelu(),
    "Sub": Sub(),
    "Sum": Add(),
}


@float_importer(*_PAIRS)
def _binary(scope: Scope) -> None:
    result = plain(scope, 0)
    for operand in range(1, len(scope.node.input)):
        result = emit(scope, _PAIRS[scope.kind], [result, plain(scope, operand)])
    set_result(scope, result)


@float_importer("BatchNormalization")
def _batch_normalization(scope: Scope) -> None:
    if scope.attribute("training_mode", 0):
        raise Rejected("training mode")
    scope.ignore("momentum")  # of training
    gamma, beta, mean, variance = (scope.constant(i, "a statistic").astype(np.float64) for i in range(1, 5))
    x = plain(scope, 0)
    factor = gamma / np.sqrt(variance + float(scope.attribute("epsilon", 1e-5)))
    wide = (-1, *(1,) * (len(shape_of(scope, x)) - 2))
    scaled = emit(scope, Mul(), [x, constant(scope, factor.reshape(wide))])
    set_result(scope, emit(scope, Add(), [scaled, constant(scope, (beta - mean * factor).reshape(wide))]))


@float_importer("Concat")
def _concat(scope: Scope) -> None:
    names = [plain(scope, i) for i in range(len(scope.node.input))]
    axis = int(scope.attribute("axis", 0)) % len(shape_of(scope, names[0]))
    set_result(scope, emit(scope, FloatConcatenation(axis), names) if len(names) > 1 else names[0])


@float_importer("MatMul")
def _matmul(scope: Scope) -> None:
    a, b, shape = plain(scope, 0), plain(scope, 1), scope.shape()
    if len(shape_of(scope, a)) == 1:
        a = reshape(scope, a, (1, *shape_of(scope, a)))
    if len(shape_of(scope, b)) == 1:
        b = reshape(scope, b, (*shape_of(scope, b), 1))
    set_result(scope, emit(scope, FloatMatMul(), [a, b]), shape)


@float_importer("Gemm")
def _gemm(scope: Scope) -> None:
    operands = list[str]()
    for operand, flag in ((0, "transA"), (1, "transB")):
        value = scope.value(operand)
        if isinstance(value, Known):
            operands.append(constant(scope, value.array.T if scope.attribute(flag, 0) else value.array))
        else:
            name = plain(scope, operand)
            operands.append(emit(scope, Transpose((1, 0)), [name]) if scope.attribute(flag, 0) else name)
    result = emit(scope, FloatMatMul(), operands)
    alpha, beta = float(scope.attribute("alpha", 1.0)), float(scope.attribute("beta", 1.0))
    if alpha != 1:
        result = emit(scope, Mul(), [result, constant(scope, np.array(alpha, np.float32))])
    scope.ignore(2)  # where beta is 0
    if scope.has(2) and beta != 0:
        bias = plain(scope, 2)
        if beta != 1:
            bias = emit(scope, Mul(), [bias, constant(scope, np.array(beta, np.float32))])
        result = emit(scope, Add(), [result, bias])
    set_result(scope, result)


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
        x = emit(scope, Sub(), [x, constant(scope, zeros)])
    set_result(scope, emit(scope, Mul(), [x, constant(scope, _per_element(scope, scale, at.shape))]))
