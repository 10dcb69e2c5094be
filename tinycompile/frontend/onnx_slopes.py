"""LeakyRelu and PRelu of a sum that isn't rounded yet, and PRelu of a tensor with a slope for each channel.

With slopes of at most 1 below zero they are the larger of the operand and of the operand times the slope, with slopes
of at least 1 the smaller one. Rounding keeps order, so that both are rounded and compared as bytes: of a sum that is
twice the layer, in integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.frontend.onnx_evaluate import values_of
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_regions import channel_axis, is_monotonic
from tinycompile.frontend.onnx_scope import NOT_ROUNDED, Scope, with_quantization
from tinycompile.frontend.onnx_values import Arranged, Dequantized, Known, Linear, Pair, Placed, Step, Value
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Op, Quantization
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum

_LEAKY_SLOPE = 0.01
"""Of LeakyRelu, where it says none."""


def sloped(scope: Scope, value: Value) -> Value | None:
    """LeakyRelu or PRelu of a layer that isn't clamped, or of a tensor with several slopes; None for what is neither.

    Raises:
        Rejected: some slopes are above 1 and others below.
    """
    if scope.kind not in ("LeakyRelu", "PRelu"):
        return None
    found = _slopes(scope, value)
    if found is None or not np.all(np.isfinite(found[0])):
        return None
    slopes, axis = found
    match value:
        case Dequantized() if value.dtype == INT16 and axis is not None and value.function is None:
            return Pair(scope.kind, (value, Known(scope.constant(1, "the slope"))), value.shape)
        case Linear() if value.clamp.is_open and axis in (None, value.channel_axis):
            scaled = _times(value, slopes)
        case Dequantized() if value.dtype != INT16 and axis is not None and value.channel in (None, axis):
            scaled = _scaled_by_channel(scope, value, slopes, axis)
        case _:
            return None
    op: Op
    if np.all(slopes <= 1):
        op = Maximum()
    elif np.all(slopes >= 1):
        op = Minimum()
    else:
        raise Rejected(f"some of its slopes are above 1 and others below: {NOT_ROUNDED}")

    def chosen(places: Sequence[Placed], quant: Quantization) -> Placed:
        # Comparing needs no zero point, and int16 has but 0 there.
        is_wide = scope.state.type_of(places[0]).dtype == INT16
        same = Quantization.per_tensor(float(quant.scale[0]), 0) if is_wide else quant
        alike = [with_quantization(scope, at, same) for at in places]
        names, order = scope.side_by_side(alike, len(value.shape))
        result = Placed(scope.state.emit(op, names, scope.name, same), value.shape, order)
        return with_quantization(scope, result, quant)

    return Arranged((value, scaled), chosen, value.shape, "increasing")


def _slopes(scope: Scope, value: Value) -> tuple[Array, int | None] | None:
    """(float32 (C,), along which axis) or (float32 (1,), None); None if they differ along several axes."""
    if scope.kind == "LeakyRelu":
        return np.array([scope.attribute("alpha", _LEAKY_SLOPE)], np.float32), None
    constant = scope.value(1)
    if not isinstance(constant, Known):
        return None
    axis = channel_axis(constant, value.shape)
    return None if axis == -1 else (constant.array.astype(np.float32).ravel(), axis)


def _scaled_by_channel(scope: Scope, value: Dequantized, slopes: Array, axis: int) -> Dequantized:
    """Each channel's only rises or only falls. Raises Rejected."""
    make: Any = onnx_module().helper.make_node
    operands = {0: value.function, 1: slopes.reshape(-1, 1)}
    up = value.is_increasing and bool(np.all(slopes >= 0))
    step = Step(make("Mul", ["x", "slope"], list(scope.node.output[:1])), operands, up)
    if not is_monotonic(values_of(value.quant, step, scope.opset)):
        raise Rejected(NOT_ROUNDED)
    return replace(value, function=step, channel=axis)


def _times(value: Linear, slopes: Array) -> Linear:
    """With factors of any sign: that is the weights', so that products stay positive."""
    each = np.broadcast_to(slopes, (len(value.bias),))
    axis = 3 if value.kind == "depthwise_conv2d" else 0
    signs = np.sign(each).astype(np.int64).reshape([-1 if i == axis else 1 for i in range(value.weights.ndim)])
    factors = [Fraction(float(slope)) for slope in each]
    return replace(
        value,
        weights=value.weights.astype(np.int64) * signs,
        product=tuple(p * abs(f) if f else p for p, f in zip(value.product, factors, strict=True)),
        bias=tuple(b * f for b, f in zip(value.bias, factors, strict=True)),
    )
