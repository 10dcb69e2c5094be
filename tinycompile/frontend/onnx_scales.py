"""Activations with a scale for each channel, which nncf writes in front of depthwise convolutions.

In the IR they have the scale 1: what is rounded to them is divided by the channels' scales first, and they stand for
their numbers times these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_quantize import clamp_of, linear, linear_rule, may_be_nan, quantized
from tinycompile.frontend.onnx_scope import Scope, with_quantization
from tinycompile.frontend.onnx_values import Arranged, Clamp, Dequantized, Linear, Placed, Quantized, Step, Value
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization

_ONE = 1.0


def quantized_by_channel(scope: Scope, value: Value, scale: Array, zero_point: int, axis: int) -> Placed:
    """What QuantizeLinear with these scales (C,) along an axis makes of a value; `zero_point` as int8.

    Raises:
        Rejected: the value is neither a layer's nor a dequantised tensor.
    """
    quant = Quantization.per_tensor(_ONE, zero_point)
    match value:
        case Linear() if axis == value.channel_axis:
            scaled = value.times(*(1 / Fraction(float(s)) for s in scale))
            if _same_for_all_scales(value):
                return quantized(scope, scaled, quant)
            if value.blocks is not None:
                raise Rejected("it has bounds, a scale for each channel, and weights with one for each block")
            bounds = [clamp_of(value.clamp, Quantization.per_tensor(float(s), zero_point)) for s in scale]
            rule = linear_rule(replace(scaled, clamp=Clamp()), quant)
            low, high = np.array(bounds).T
            return linear(scope, scaled, rule.clamped_by_channel(low, high), quant)
        case Dequantized() if value.channel in (None, axis):
            step = _step("Div", value.function, scale, scope.node.output, increasing=value.is_increasing)
            return quantized(scope, replace(value, function=step, channel=axis), quant)
        case Arranged() if _chooses(value) and not may_be_nan(scope, value):
            parts = [quantized_by_channel(scope, part, scale, zero_point, axis) for part in value.parts]
            return value.how(parts, quant)
        case _:
            raise Rejected("it has a scale for each channel, and what it rounds is no layer's result")


def _chooses(value: Arranged) -> bool:
    """Whether each element is one of those at its place, by their size."""
    return value.commutes == "increasing" and all(part.shape == value.shape for part in value.parts)


def _same_for_all_scales(value: Linear) -> bool:
    """Whether the bounds are the same numbers in any step."""
    return all(bound in (-np.inf, 0.0, np.inf) for bound in (value.clamp.low, value.clamp.high))


def dequantized_by_channel(scope: Scope, value: Quantized, scale: Array, zero_point: int, axis: int) -> Dequantized:
    """Numbers minus the zero point, as int8, times scales (C,) along an axis."""
    quant = Quantization.per_tensor(_ONE, zero_point)
    at = with_quantization(scope, value.at, quant)
    return Dequantized(at, quant, _step("Mul", None, scale, scope.node.output, increasing=True), axis)


def _step(kind: str, function: Step | None, scale: Array, names: Sequence[str], *, increasing: bool) -> Step:
    make: Any = onnx_module().helper.make_node
    column = scale.astype(np.float32).reshape(-1, 1)
    return Step(make(kind, ["x", "scale"], list(names[:1])), {0: function, 1: column}, increasing)


def scales_of(value: Value) -> tuple[Dequantized, Array] | None:
    """(the numbers, their scale in each channel, along axis 1) of a tensor that is dequantised per channel."""
    if not isinstance(value, Dequantized) or value.channel != 1 or value.function is None:
        return None
    step, numbers = value.function, Quantization.per_tensor(_ONE, int(value.quant.zero_point[0]))
    column = step.operands.get(1)
    if step.node.op_type != "Mul" or step.operands.get(0, step) is not None or not isinstance(column, np.ndarray):
        return None
    if not value.quant.same_as(numbers):
        return None
    return replace(value, function=None, channel=None), column.ravel()


def one_zero_point(zero_point: Array, shift: int) -> int:
    """That of all channels, as int8. Raises Rejected."""
    numbers = np.unique(zero_point.astype(np.int64))
    if numbers.size != 1:
        raise Rejected("an activation has a zero point for each channel, supported is one for all")
    return int(numbers[0]) - shift


def checked_scales(scale: Array, shape: Sequence[int], axis: int) -> int:
    """The axis, not negative. Raises Rejected unless there is a positive scale for each of its elements."""
    axis += len(shape) if axis < 0 else 0
    if scale.ndim != 1 or not 0 <= axis < len(shape) or shape[axis] != scale.size:
        raise Rejected(f"scales of the shape {list(scale.shape)} for axis {axis} of {list(shape)}")
    if not np.all(np.isfinite(scale)) or scale.min() < np.finfo(np.float32).tiny:
        raise Rejected("a scale is not positive")
    return axis
