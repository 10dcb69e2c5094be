"""Linear and cubic Resize as a matrix per axis (onnx.ai, Resize)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinycompile.frontend.onnx_moves import resize_scales
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Shape
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array


def interpolation(scope: Scope, source: Shape, shape: Shape, mode: str) -> Iterator[tuple[int, Array]]:
    """(axis, float64 (resized, size)) of every axis that changes."""
    transformation = scope.attribute("coordinate_transformation_mode", "half_pixel")
    if scope.kind == "Upsample":
        transformation = "asymmetric"
    if mode not in ("linear", "cubic"):
        raise Rejected(f"mode {mode!r}")
    if transformation == "tf_crop_and_resize":
        raise Rejected(f"coordinate_transformation_mode {transformation!r}")
    scales = resize_scales(scope, source, shape)
    antialias, exclude = bool(scope.attribute("antialias", 0)), bool(scope.attribute("exclude_outside", 0))
    cubic = float(scope.attribute("cubic_coeff_a", -0.75))
    for axis, (size, resized) in enumerate(zip(source, shape, strict=True)):
        if size == resized and scales[axis] == 1:
            continue
        positions = source_positions(size, resized, scales[axis], transformation)
        yield axis, _matrix(positions, size, min(1.0, scales[axis]) if antialias else 1.0, mode, cubic, exclude)


def source_positions(size: int, resized: int, scale: float, transformation: str) -> Array:
    """Where in the input each output element lies, as real numbers."""
    out = np.arange(resized, dtype=np.float64)
    match transformation:
        case "half_pixel":
            return (out + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            adjustment = resized / (scale * size)
            return size / 2 * (1 - adjustment) + (out + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (out + 0.5) / scale - 0.5 if resized > 1 else np.zeros(1)
        case "align_corners":
            return out * (size - 1) / (scale * size - 1) if resized > 1 else np.zeros(1)
        case "asymmetric":
            return out / scale
        case _:
            raise Rejected(f"coordinate_transformation_mode {transformation!r}")


def _matrix(positions: Array, size: int, stretch: float, mode: str, cubic: float, exclude: bool) -> Array:
    """Weights of the input's elements; those outside count for the nearest one, or not at all (`exclude`)."""
    reach = (1 if mode == "linear" else 2) / stretch
    matrix = np.zeros((positions.size, size))
    for row, position in enumerate(positions):
        first, last = int(np.floor(position - reach)), int(np.ceil(position + reach))
        for index in range(first, last + 1):
            weight = _kernel((index - position) * stretch, mode, cubic)
            if exclude and not 0 <= index < size:
                continue
            matrix[row, min(max(index, 0), size - 1)] += weight
    return matrix / matrix.sum(axis=1, keepdims=True)


def _kernel(distance: float, mode: str, a: float) -> float:
    x = abs(distance)
    if mode == "linear":
        return max(0.0, 1 - x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0
