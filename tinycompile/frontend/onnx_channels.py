"""A function of single elements that differs from channel to channel: a depthwise convolution of one element.

Its requantisation is the function, rounded as QuantizeLinear rounds it, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.frontend.onnx_evaluate import table_of, values_of
from tinycompile.frontend.onnx_scope import FLOAT_ARITHMETIC, Scope
from tinycompile.frontend.onnx_values import Dequantized, Placed, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization, TensorType
from tinycompile.numerics.step_requant import LARGEST_SUM, StepRequant
from tinycompile.ops._elementwise import INT8_VALUES
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D

_WEIGHT = 64
"""Of an input: sums as large as those that requantisations have short forms for."""

_NO_SLOPE = 2.0**-30
"""Of a channel whose outputs are all the same, such as those of a factor of 0: no sum gets anywhere along this line."""


def by_channel(scope: Scope, value: Dequantized, channel: int, quant: Quantization) -> Placed:
    """A function that differs from channel to channel, and only rises or only falls in each."""
    if value.dtype != INT8:
        raise Rejected(f"it is of 16 bits and differs from channel to channel: {FLOAT_ARITHMETIC}")
    floats = values_of(value.quant, value.function, scope.opset)
    table = table_of(value.quant, value.function, quant, scope.opset)
    signs, rule = _monotonic_rule(floats, table, int(value.quant.zero_point[0]), quant)
    at = scope.unfolded(value.at)
    order = (*(axis for axis in at.order if axis != channel), channel)
    at = scope.ordered(at, order)
    count, physical = signs.size, at.physical_shape
    # An image stays one, so that it can be computed by rows.
    image = physical if len(physical) == 4 and physical[0] == 1 else (1, 1, prod(physical) // count, count)
    x = scope.reshaped(at, image, image, identity(4))
    scales = Quantization(np.ones(count, np.float32), np.zeros(count, np.int64), 3)
    weights = (signs * _WEIGHT).astype(np.int8).reshape(1, 1, 1, count)
    name = scope.state.value(f"{scope.name}_weights", TensorType(weights.shape, INT8, scales), weights)
    op = DepthwiseConv2D(stride=(1, 1), dilation=(1, 1), padding=(0, 0, 0, 0), clamp=(rule.low, rule.high), rule=rule)
    result = Placed(scope.state.emit(op, [x.name, name], scope.name, quant), image, identity(4))
    return scope.reshaped(result, physical, value.shape, order)


def _monotonic_rule(floats: Array, table: Array, zero_point: int, y: Quantization) -> tuple[Array, StepRequant]:
    """(1 or -1 for each channel, the rule from inputs minus their zero point times that and `_WEIGHT` to outputs).

    Args:
        floats, table: float32 and int8 (C, 256): the function, and what it is rounded to, of int8 values by their bits.
    """
    ordered = INT8_VALUES.astype(np.int64).argsort()
    signs = np.where(np.all(np.diff(table[:, ordered].astype(np.int64)) >= 0, axis=1), 1, -1)
    low, high = int(table.min()), int(table.max())
    steps, slopes = np.empty((signs.size, high - low), np.int64), np.empty(signs.size)
    for channel, sign in enumerate(signs):
        forwards = ordered[::sign]
        inputs = (np.arange(-128, 128)[::sign] - zero_point) * sign
        reals = floats[channel, forwards].astype(np.float64) / float(y.scale[0]) + int(y.zero_point[0])
        found = _Rising(inputs, reals, table[channel, forwards].astype(np.int64))
        steps[channel], slopes[channel] = found.steps(np.arange(low + 1, high + 1)), found.slope / _WEIGHT
    return signs, StepRequant(steps, slopes, int(y.zero_point[0]), low, high)


@dataclass(frozen=True, eq=False)
class _Rising:
    """The function of one channel: inputs, which rise by 1, the real results in steps of the output, the outputs."""

    inputs: Array
    reals: Array
    outputs: Array

    @cached_property
    def _ends(self) -> tuple[int, int]:
        """The places of the first and of the last input whose output isn't clamped."""
        inside = np.flatnonzero((self.outputs > self.outputs[0]) & (self.outputs < self.outputs[-1]))
        return (int(inside[0]), int(inside[-1])) if inside.size > 1 else (0, self.inputs.size - 1)

    @cached_property
    def slope(self) -> float:
        """Outputs per input, between these two."""
        if self.outputs[0] == self.outputs[-1]:
            return _NO_SLOPE
        first, last = self._ends
        rise = float(self.reals[last] - self.reals[first]) / (last - first)
        return rise if np.isfinite(rise) and rise > 0 else 1 / 256

    def steps(self, wanted: Array) -> Array:
        """The sum, which is `_WEIGHT` times the input, from which on the output is each one that is wanted, or more.

        Between two inputs any is right. If there is a line that always lies there it is the line's.
        """
        places = np.searchsorted(self.outputs, wanted)
        reached = (places > 0) & (places < self.outputs.size)
        after = np.clip(places, 1, self.outputs.size - 1)
        highest = self.inputs[after] * _WEIGHT
        lowest = highest - _WEIGHT + 1
        first, _ = self._ends
        line = self.inputs[first] + (wanted - 0.5 - self.reals[first]) / self.slope
        found = np.ceil(line * _WEIGHT)
        smallest, largest = self.inputs[0] * _WEIGHT, self.inputs[-1] * _WEIGHT
        never = np.where(places == 0, -LARGEST_SUM, LARGEST_SUM)
        if np.any(reached & ((found < lowest) | (found > highest))):
            rise = np.maximum(self.reals[after] - self.reals[after - 1], 1e-9)
            share = (wanted - 0.5 - self.reals[after - 1]) / rise
            found = np.clip(highest - _WEIGHT + np.ceil(share * _WEIGHT), lowest, highest)
        elif not np.any(((places == 0) & (found > smallest)) | ((places == self.outputs.size) & (found <= largest))):
            never = np.clip(found, -LARGEST_SUM, LARGEST_SUM)  # the line goes on where no input is
        return np.where(reached, found, never).astype(np.int64)
