"""Element-wise operators between DequantizeLinear and QuantizeLinear.

Whatever a region of them computes: if each of its elements depends on one element of one int8 tensor, the region is a
table of 256 entries, or one for each channel. What follows a sum that isn't rounded yet scales and clamps it, and what
follows moved elements is applied before they move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.frontend.onnx_evaluate import evaluate_node, values_of
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_scope import FLOAT_ARITHMETIC, NOT_ROUNDED, Scope, scalar
from tinycompile.frontend.onnx_values import (
    Arranged,
    Average,
    Dequantized,
    Discrete,
    Interpolated,
    Known,
    Linear,
    Pair,
    Product,
    Quantized,
    Real,
    Step,
    Value,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array
from tinycompile.ops._elementwise import INT8_VALUES

BOOLEAN_SEVERAL = "Equal Less LessOrEqual Greater GreaterOrEqual And Or Xor".split()
"""Operators whose results are bool."""

UNARY = (
    "Relu Clip Sigmoid Tanh HardSigmoid HardSwish LeakyRelu Elu Selu Celu Gelu Erf Exp Log Sqrt Abs Neg Floor Ceil "
    "Round Sign Softplus Softsign Mish Reciprocal ThresholdedRelu Sin Cos Tan Sinh Cosh Asin Acos Atan Asinh Acosh "
    "Atanh Swish Shrink"
).split()
SEVERAL = "Add Sub Mul Div Min Max PRelu Pow Mod Sum Mean".split()
_INCREASING = frozenset(
    "Relu Sigmoid Tanh Erf Clip Identity Softplus Softsign Exp Cast Floor Ceil Round Sign Sinh Asinh Atan".split()
)
_BY_ALPHA = {"LeakyRelu": 0.01, "HardSigmoid": 0.2}
"""Operators that rise where this attribute, of which they have a default, is positive."""


def joins_region(scope: Scope) -> bool:
    """Reads the node as one more step of a function of one element, if it is one."""
    operands = {i: scope.value(i) for i in range(len(scope.node.input)) if scope.has(i)}
    steps = dict[int, Step | Array | None]()
    elements, constants = list[Dequantized](), list[Known]()
    for index, value in operands.items():
        if isinstance(value, Dequantized):
            elements.append(value)
            steps[index] = value.function
        elif isinstance(value, Known):
            constants.append(value)
            steps[index] = _constant(value)
        else:
            return False
    if not elements:
        return False
    first = elements[0]
    if not all(first.same_element(other) for other in elements):
        return False
    axes = {channel_axis(value, first.shape) for value in constants}
    axes |= {value.channel for value in elements}
    axes.discard(None)
    if -1 in axes or len(axes) > 1 or (axes and first.dtype == INT16):
        return False
    boolean = scope.kind in ("Not", *BOOLEAN_SEVERAL)
    step = Step(scope.node, steps, _is_increasing(scope, steps), boolean)
    if axes and (boolean or not is_monotonic(values_of(first.quant, step, scope.opset))):
        return False
    scope.evaluated()
    scope.set(replace(first, function=step, channel=next(iter(axes), None)))
    return True


def is_monotonic(floats: Array) -> bool:
    """Whether each channel's function of the numbers, (C, 256) by their bits, only rises or only falls."""
    rises = np.diff(floats[..., INT8_VALUES.astype(np.int64).argsort()])
    return bool(np.all(np.all(rises >= 0, axis=-1) | np.all(rises <= 0, axis=-1)))


def channel_axis(constant: Known, shape: tuple[int, ...]) -> int | None:
    """The only axis along which a constant varies; None for one element, -1 for what is no constant per channel."""
    if len(constant.shape) > len(shape):
        return -1
    if constant.array.size == 1:
        return None
    wide = (1,) * (len(shape) - len(constant.shape)) + constant.shape
    axes = [axis for axis, size in enumerate(wide) if size > 1]
    return axes[0] if len(axes) == 1 and wide[axes[0]] == shape[axes[0]] else -1


def _constant(value: Known) -> Array:
    """A single element, or one for each channel as a column beside 256 elements."""
    return value.array.reshape(() if value.array.size == 1 else (-1, 1))


def _is_increasing(scope: Scope, operands: Mapping[int, Step | Array | None]) -> bool:
    """Whether the function surely never falls."""
    steps = [operand for operand in operands.values() if isinstance(operand, Step)]
    variable = [i for i, operand in operands.items() if operand is None or isinstance(operand, Step)]
    if not all(step.increasing for step in steps):
        return False
    if scope.kind in _INCREASING:
        return variable == [0]
    if scope.kind in _BY_ALPHA:
        return bool(scope.attribute("alpha", _BY_ALPHA[scope.kind]) >= 0)
    if scope.kind in ("Add", "Min", "Max", "Sum", "Mean"):
        return True
    if scope.kind == "Sub":
        return variable == [0]
    others = [operand for operand in operands.values() if operand is not None and not isinstance(operand, Step)]
    if scope.kind == "PRelu":
        return variable == [0] and bool(np.all(others[0] >= 0))
    if scope.kind in ("Mul", "Div") and len(others) == 1:
        return bool(np.all(others[0] > 0)) and (scope.kind == "Mul" or variable == [0])
    return False


def applied(scope: Scope, value: Value, operand: int) -> Value:
    """The node's function of one operand that isn't rounded yet; its others are constants of one element.

    Raises:
        Rejected: rounding can't be done afterwards.
    """
    constants = {i: _single(scope, i) for i in range(len(scope.node.input)) if i != operand and scope.has(i)}
    increasing = _is_increasing(scope, {**constants, operand: None})
    match value:
        case Dequantized():
            step = Step(scope.node, {**constants, operand: value.function}, False)
            if value.channel is not None and not is_monotonic(values_of(value.quant, step, scope.opset)):
                raise Rejected(NOT_ROUNDED)
            scope.evaluated()
            return replace(value, function=replace(step, increasing=_is_increasing(scope, step.operands)))
        case Known():
            return _evaluated(scope, value, operand, constants)
        case Arranged() if value.commutes == "all" or (value.commutes == "increasing" and increasing):
            return replace(value, parts=tuple(applied(scope, part, operand) for part in value.parts))
        case Linear() | Average() | Product() | Pair():
            return _of_sum(scope, value, operand, constants)
        case Interpolated():
            return applied(scope, value.as_layer(), operand)
        case _:
            raise Rejected(NOT_ROUNDED)


def _single(scope: Scope, operand: int) -> Array:
    value = scope.value(operand)
    if not isinstance(value, Known) or value.array.size != 1:
        raise Rejected(NOT_ROUNDED)
    return value.array.reshape(())


def _evaluated(scope: Scope, value: Known, operand: int, constants: Mapping[int, Array]) -> Known:
    names = scope.node.input
    scope.evaluated()
    feeds = {names[operand]: value.array, **{names[i]: constant for i, constant in constants.items()}}
    return Known(evaluate_node(scope.node, feeds, scope.opset)[0])


def clamping(scope: Scope) -> tuple[float, float] | None:
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


def _of_sum(
    scope: Scope, value: Linear | Average | Product | Pair, operand: int, constants: Mapping[int, Array]
) -> Value:
    bounds = clamping(scope)
    if bounds is not None:
        return replace(value, clamp=value.clamp.then(*bounds))
    if isinstance(value, Pair) or not value.clamp.is_open or len(constants) != 1:
        raise Rejected(NOT_ROUNDED)
    (constant,) = (np.float32(c) for c in constants.values())
    if not np.isfinite(constant):
        raise Rejected(NOT_ROUNDED)
    number = Fraction(float(constant))
    match scope.kind:
        case "Mul" if number > 0:
            return value.times(number)
        case "Div" if number > 0 and operand == 0:
            return value.times(1 / number)
        case "Add":
            return value.plus(constant.reshape(1))
        case "Sub" if operand == 0:
            return value.plus(-constant.reshape(1))
        case _:
            raise Rejected(NOT_ROUNDED)


def batch_normalised(scope: Scope, value: Value, factor: Array, offset: Array) -> Value:
    """value * factor + offset, float32 (C,), along axis 1."""
    match value:
        case Dequantized() if value.channel in (None, 1) and len(value.shape) > 1:
            make: Any = onnx_module().helper.make_node
            columns = factor.reshape(-1, 1), offset.reshape(-1, 1)
            up = value.is_increasing and bool(np.all(factor >= 0))
            scaled = Step(make("Mul", ["x", "factor"], ["scaled"]), {0: value.function, 1: columns[0]}, up)
            shifted = Step(
                make("Add", ["scaled", "offset"], list(scope.node.output[:1])), {0: scaled, 1: columns[1]}, up
            )
            if not is_monotonic(values_of(value.quant, shifted, scope.opset)):
                raise Rejected(NOT_ROUNDED)
            return replace(value, function=shifted, channel=1)
        case Linear() if value.clamp.is_open and value.channel_axis == 1 and np.all(factor > 0):
            return value.times(*(Fraction(float(f)) for f in factor)).plus(offset)
        case _:
            raise Rejected(NOT_ROUNDED)


def arrangeable(values: Sequence[Value]) -> None:
    """Raises Rejected unless they are floats that can be rounded alike."""
    if any(isinstance(value, Quantized | Discrete) for value in values):
        raise Rejected(NOT_ROUNDED)
    if all(isinstance(value, Real | Known) for value in values):
        raise Rejected(f"its operands are floats: {FLOAT_ARITHMETIC}")


def clamped(scope: Scope, value: Value, low: float, high: float) -> Value | None:
    """A value that isn't rounded yet within bounds; None for others."""
    match value:
        case Linear() | Average() | Product() | Pair():
            return replace(value, clamp=value.clamp.then(low, high))
        case Dequantized():
            node: Any = onnx_module().helper.make_node("Clip", ["x", "low", "high"], list(scope.node.output[:1]))
            bounds = {i: np.array(bound, np.float32) for i, bound in ((1, low), (2, high))}
            return replace(value, function=Step(node, {0: value.function, **bounds}, value.is_increasing))
        case _:
            return None
