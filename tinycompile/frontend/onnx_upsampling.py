"""Linear interpolation of 8-bit images to a multiple of their size, as a depthwise transposed convolution.

Its sums are integers, whose requantisation may be to any scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tinycompile.frontend.onnx_moves import taken
from tinycompile.frontend.onnx_scope import FLOAT_ARITHMETIC, NHWC, Scope
from tinycompile.frontend.onnx_values import Linear, Placed, Shape, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization


@dataclass(frozen=True, eq=False)
class _Axis:
    """Output i is the sum of weights[i + cut - j * factor] times element j of the input with its ends repeated."""

    factor: int
    cut: int
    weights: Array

    @property
    def total(self) -> int:
        """What the weights of an output add up to."""
        return int(self.weights.sum()) // self.factor

    def matrix(self, size: int) -> Array:
        """float64 (resized, size)."""
        result = np.zeros((self.factor * size, size))
        for row in range(self.factor * size):
            for j in range(size + 2):
                tap = row + self.cut - j * self.factor
                if 0 <= tap < self.weights.size:
                    result[row, min(max(j - 1, 0), size - 1)] += self.weights[tap] / self.total
        return result


def _axis(matrix: Array) -> _Axis:
    """Of the weights (resized, size) of an axis. Raises Rejected."""
    resized, size = matrix.shape
    factor = resized // size
    if factor == 1 and np.array_equal(matrix, np.eye(size)):
        return _Axis(1, 1, np.ones(1, np.int64))
    whole = np.minimum(np.arange(1, 2 * factor), np.arange(2 * factor - 1, 0, -1))
    half = np.minimum(np.arange(1, 4 * factor, 2), np.arange(4 * factor - 1, 0, -2))
    for candidate in (_Axis(factor, 3 * factor // 2, half), _Axis(factor, 2 * factor - 1, whole)):
        power_of_two = factor > 1 and factor & (factor - 1) == 0 and resized == factor * size
        if power_of_two and np.array_equal(candidate.matrix(size), matrix):
            return candidate
    raise Rejected(f"linear resizing to other than 2, 4 or 8 times the size: {FLOAT_ARITHMETIC}")


def upsampled(scope: Scope, at: Placed, quant: Quantization, found: Mapping[int, Array], shape: Shape) -> Linear:
    """The image (1, C, H, W), or (1, H, W, C) if rows and columns are axes 1 and 2, resized to `shape`.

    Args:
        found: float64 (resized, size), the weights of the axes that change.

    Raises:
        Rejected: the weights aren't those of whole factors, or too large.
    """
    order = identity(4) if set(found) == {1, 2} else NHWC
    if len(shape) != 4 or not set(found) <= set(order[1:3]):
        raise Rejected(f"linear resizing of other than rows and columns: {FLOAT_ARITHMETIC}")
    axes = [_axis(found.get(axis, np.eye(at.shape[axis]))) for axis in order[1:3]]
    kernel = np.outer(axes[0].weights, axes[1].weights)
    if kernel.max() > 127:
        raise Rejected(f"linear resizing by weights of more than 8 bits: {FLOAT_ARITHMETIC}")
    image = scope.ordered(at, order)
    for axis in order[1:3]:
        last = image.shape[axis] - 1
        image = taken(scope, image, axis, [0, *range(last + 1), last])
    channels = shape[order[3]]
    step = Fraction(float(quant.scale[0])) / (axes[0].total * axes[1].total)
    return Linear(
        x=scope.ordered(image, order),
        quant=quant,
        kind="transpose_conv",
        window={
            "size": (shape[order[1]], shape[order[2]]),
            "stride": (axes[0].factor, axes[1].factor),
            "cut": (axes[0].cut, axes[1].cut),
        },
        weights=np.broadcast_to(kernel[None, ..., None], (channels, *kernel.shape, 1)),
        weight_scale=np.full(channels, 1 / (axes[0].total * axes[1].total), np.float32),
        product=(step,) * channels,
        bias=(Fraction(0),) * channels,
        shape=shape,
        order=order,
    )
