"""ONNX operators in float32 that treat every element alike, softmax and concatenation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.frontend.onnx_discrete import COMPARISONS, constant, emitted, real
from tinycompile.frontend.onnx_elementwise import normalisation
from tinycompile.frontend.onnx_float import emit, float_importer, same_place, tensor
from tinycompile.frontend.onnx_scope import Scope, arranged, common_order
from tinycompile.frontend.onnx_values import (
    Discrete,
    Known,
    Placed,
    Real,
    Value,
    broadcast,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Op
from tinycompile.ops.abs import Abs
from tinycompile.ops.add import Add
from tinycompile.ops.cast import Cast
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.div import Div
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.elu import Elu
from tinycompile.ops.exp import Exp
from tinycompile.ops.floor_mod import FloorMod
from tinycompile.ops.fmod import Fmod
from tinycompile.ops.gelu import Gelu
from tinycompile.ops.hard_swish import HardSwish
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.local_response_normalization import LocalResponseNormalization
from tinycompile.ops.log import Log
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.neg import Neg
from tinycompile.ops.pow import Pow
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.relu import Relu
from tinycompile.ops.sign import Sign
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sqrt import Sqrt
from tinycompile.ops.sub import Sub
from tinycompile.ops.tanh import Tanh

# One operand.

_PLAIN: Mapping[str, Op] = {
    "Abs": Abs(),
    "Exp": Exp(),
    "HardSwish": HardSwish(),
    "Log": Log(),
    "Neg": Neg(),
    "Relu": Relu(),
    "Sigmoid": Logistic(),
    "Sign": Sign(),
    "Sqrt": Sqrt(),
    "Tanh": Tanh(),
    **{
        name: ElementwiseFunction(name.lower())
        for name in (
            "Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Erf Floor Mish Reciprocal Round Sin Sinh Softplus Softsign "
            "Tan"
        ).split()
    },
}
"""Without attributes."""
_DEFAULTS = {
    "Celu": ("celu", 1.0, 0.0),
    "HardSigmoid": ("hard_sigmoid", 0.2, 0.5),
    "Selu": ("selu", 1.67326319217681884765625, 1.05070102214813232421875),
    "ThresholdedRelu": ("thresholded_relu", 1.0, 0.0),
}
"""(function, alpha, beta or gamma)."""


@float_importer(*_PLAIN, *_DEFAULTS, "Elu", "LeakyRelu", "Gelu", "Clip")
def _unary(scope: Scope) -> None:
    op, value = _function(scope), scope.value()
    scope.set(Real(same_place(scope, op, value.at if isinstance(value, Real) else tensor(scope))))


def _function(scope: Scope) -> Op:
    """The operator of a node with one operand and some attributes."""
    kind = scope.kind
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "LeakyRelu":
        return LeakyRelu(float(scope.attribute("alpha", 0.01)))
    if kind == "Elu":
        return Elu(float(scope.attribute("alpha", 1.0)))
    if kind == "Gelu":
        return Gelu(scope.attribute("approximate", "none") == "tanh")
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
    at = tensor(scope)
    axis = int(scope.attribute("axis", -1)) % len(at.shape)
    scope.set(Real(same_place(scope, Softmax(), innermost(scope, at, axis))))


def innermost(scope: Scope, at: Placed, axis: int) -> Placed:
    """The tensor with the elements of an axis side by side."""
    return at if at.order[-1] == axis else scope.ordered(at, (*(a for a in at.order if a != axis), axis))


@float_importer("LogSoftmax")
def _log_softmax(scope: Scope) -> None:
    """x - max - log(sum(exp(x - max))): the logarithm of a softmax that underflows is no infinity."""
    x = tensor(scope)
    axes = (x.order.index(int(scope.attribute("axis", -1)) % len(x.shape)),)
    shifted = same_place(scope, Sub(), x, emit(scope, ReduceMax(axes, True), [x.name]))
    powers = emit(scope, Exp(), [shifted.name])
    total = emit(scope, ReduceSum(axes, True), [powers])
    scope.set(Real(same_place(scope, Sub(), shifted, emit(scope, Log(), [total]))))


# Several operands.


_PAIRS: Mapping[str, Op] = {
    "Add": Add(),
    "Div": Div(),
    "Max": Maximum(),
    "Min": Minimum(),
    "Mul": Mul(),
    "PRelu": Prelu(),
    "Sub": Sub(),
    "Sum": Add(),
}


@float_importer(*_PAIRS)
def _binary(scope: Scope) -> None:
    result = tensor(scope)
    for operand in range(1, len(scope.node.input)):
        result = paired(scope, _PAIRS[scope.kind], result, scope.value(operand))
    scope.set(Real(result))


def paired(scope: Scope, op: Op, at: Placed, other: Value) -> Placed:
    """A function of two operands that broadcast."""
    shape = broadcast(at.shape, other.shape)
    rank = len(shape)
    if isinstance(other, Known):
        order = common_order([at], rank)
        second = constant(scope, arranged(other.array, rank, order))
    elif isinstance(other, Real):
        order = common_order([at, other.at], rank)
        second = scope.aligned(other.at, rank, order).name
    else:
        raise Rejected("an operand is no float tensor")
    return Placed(emit(scope, op, [scope.aligned(at, rank, order).name, second]), shape, order)


@float_importer(*COMPARISONS)
def _comparison(scope: Scope) -> None:
    places = [real(scope, scope.value(operand)) for operand in range(2)]
    scope.set(emitted(scope, COMPARISONS[scope.kind], places, len(scope.shape())))


@float_importer("Pow")
def _power(scope: Scope) -> None:
    """Integers among the operands are converted; the result has the type of the base."""
    whole = scope.value()
    base, exponent = _as_real(scope, 0), _as_real(scope, 1)
    result = paired(scope, Pow(), real(scope, base), exponent)
    if isinstance(whole, Discrete):
        name = scope.state.emit(Cast(whole.dtype), [result.name], f"{scope.name}_whole", None)
        scope.set(Discrete(replace(result, name=name), whole.dtype))
    else:
        scope.set(Real(result))


def _as_real(scope: Scope, operand: int) -> Value:
    """An operand, integers converted to floats."""
    value = scope.value(operand)
    if isinstance(value, Known):
        return Known(value.array.astype(np.float32))
    if not isinstance(value, Discrete):
        return value
    name = scope.state.emit(Cast(FLOAT32), [value.at.name], f"{scope.name}_float_{operand}", None)
    return Real(replace(value.at, name=name))


@float_importer("Mod")
def _modulo(scope: Scope) -> None:
    """Of the dividend's sign, as C's fmod, or of the divisor's, which opset 27 has for floats as well."""
    op = Fmod() if scope.attribute("fmod", 0) else FloorMod()
    scope.set(Real(paired(scope, op, tensor(scope), scope.value(1))))


@float_importer("LRN")
def _local_response(scope: Scope) -> None:
    """Divided by (bias + alpha / size * squares of channels around it) to the power beta."""
    size = int(scope.attribute("size", 1))
    if size % 2 == 0:
        raise Rejected(f"size = {size}, supported are odd numbers of channels")
    alpha, beta, bias = (float(scope.attribute(n, d)) for n, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    at = innermost(scope, tensor(scope), 1)
    scope.set(Real(same_place(scope, LocalResponseNormalization(size // 2, bias, alpha / size, beta), at)))


@float_importer("Mean")
def _mean(scope: Scope) -> None:
    count = len(scope.node.input)
    total = tensor(scope)
    for operand in range(1, count):
        total = paired(scope, Add(), total, scope.value(operand))
    scope.set(Real(total if count == 1 else paired(scope, Div(), total, Known(np.array(count, np.float32)))))


@float_importer("BatchNormalization")
def _batch_normalization(scope: Scope) -> None:
    factor, offset = normalisation(scope)
    x = tensor(scope)
    wide = (-1, *(1,) * (len(x.shape) - 2))
    scaled = paired(scope, Mul(), x, Known(factor.reshape(wide)))
    scope.set(Real(paired(scope, Add(), scaled, Known(offset.reshape(wide)))))


@float_importer("Concat")
def _concat(scope: Scope) -> None:
    shape, values = scope.shape(), scope.operands()
    rank, axis = len(shape), int(scope.attribute("axis", 0)) % len(shape)
    order = common_order([value.at for value in values if isinstance(value, Real)], rank)
    names = list[str]()
    for operand, value in enumerate(values):
        if isinstance(value, Known):
            names.append(constant(scope, arranged(value.array, rank, order)))
        else:
            names.append(scope.ordered(tensor(scope, operand), order).name)
    name = emit(scope, Concatenation(order.index(axis)), names) if len(names) > 1 else names[0]
    scope.set(Real(Placed(name, shape, order)))
