"""Resize (onnx.ai, Resize): nearest neighbours copy; linear and cubic interpolation are a matrix per axis.

Coordinates are computed in float32, in onnxruntime's order of operations: which neighbour is the nearest one depends on
that.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinycompile.dtypes import INT8, UINT8
from tinycompile.frontend.onnx_linear import activation
from tinycompile.frontend.onnx_moves import taken
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import FLOAT_ARITHMETIC, NHWC, Scope
from tinycompile.frontend.onnx_upsampling import upsampled
from tinycompile.frontend.onnx_values import Interpolated, Placed, Quantized, Shape, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Signature, bounded
from tinycompile.ops.resize_bilinear import ONE, Positions, ResizeBilinear, Rounding

_HALF_WAY = 1e-6
"""How near to the middle between two elements onnxruntime 1.31 takes a coordinate for the middle (measured)."""


@importer("Resize")
def resize(scope: Scope) -> None:
    """Nearest neighbours; linear interpolation of images by weights of 10 bits, such as 2, 4 or 8 times the size has;
    in float32 any linear and cubic interpolation.
    """
    if scope.attribute("mode", "nearest") != "nearest":
        value = scope.value()
        scope.set(_of_integers(scope, value) if isinstance(value, Quantized) else _interpolated(scope))
        return
    if scope.attribute("antialias", 0):
        raise Rejected("antialias of mode 'nearest'")
    scope.ignore("cubic_coeff_a", "exclude_outside")  # of interpolation
    shape, source = scope.shape(), scope.value().shape
    transformation = _transformation(scope)
    rounding = scope.attribute("nearest_mode", "round_prefer_floor")
    scales = _scales(scope, source, shape)
    if shape == source:
        scales = [np.float32(1)] * len(source)  # onnxruntime copies then, whatever the scales

    def resized(at: Placed) -> Placed:
        for axis in range(len(source)):
            indices = nearest_indices(source[axis], shape[axis], scales[axis], transformation, rounding)
            at = taken(scope, at, axis, indices)
        return at

    scope.moved(resized)


def _interpolated(scope: Scope) -> Interpolated:
    """Linear interpolation in 8 bits. Raises Rejected where its weights aren't those of the operator."""
    x, shape = activation(scope), scope.shape()
    weights = _weights(scope, x.shape)
    at, op = _weighted(scope, x.at, weights, "onnx")
    return Interpolated(at, x.quant, op, shape, lambda: upsampled(scope, x.at, x.quant, weights, shape))


def _of_integers(scope: Scope, value: Quantized) -> Quantized:
    """Linear interpolation of integers, of which onnxruntime cuts off the fraction."""
    if value.dtype not in (INT8, UINT8):
        raise Rejected(f"linear resizing of {value.dtype}: {FLOAT_ARITHMETIC}")
    rule = "down" if value.dtype == UINT8 else "to zero"
    at, op = _weighted(scope, value.at, _weights(scope, value.shape), rule)
    name = scope.state.emit(op, [at.name], scope.name, scope.state.type_of(at).quant)
    return Quantized(Placed(name, scope.shape(), at.order), value.dtype)


def _weights(scope: Scope, source: Shape) -> dict[int, Array]:
    """float64 (resized, size) of every axis that changes. Raises Rejected where it isn't a linear interpolation."""
    mode = str(scope.attribute("mode", "nearest"))
    found = dict(interpolation(scope, source, scope.shape(), mode))
    if mode != "linear":
        raise Rejected(f"mode {mode!r}: {FLOAT_ARITHMETIC}")
    return found


def _weighted(scope: Scope, x: Placed, weights: dict[int, Array], rule: Rounding) -> tuple[Placed, ResizeBilinear]:
    """The image, its channels last, and the operator with the node's weights. Raises Rejected where it has none."""
    shape = scope.shape()
    order = NHWC if set(weights) <= {2, 3} else identity(4)
    rows, columns = order[1:3]
    if len(shape) != 4 or not set(weights) <= {rows, columns}:
        raise Rejected(f"linear resizing of other than rows and columns: {FLOAT_ARITHMETIC}")
    at = scope.ordered(x, order)
    wanted = [weights[axis] if axis in weights else _unit(x.shape[axis]) for axis in (rows, columns)]
    for half_pixel, aligned in ((True, False), (False, False), (False, True)):
        op = ResizeBilinear((shape[rows], shape[columns]), aligned, half_pixel, rule)
        sides = op.positions(Signature((scope.state.type_of(at),), ()))
        if all(np.array_equal(_matrix_of(p, m.shape[1]), m) for p, m in zip(sides, wanted, strict=True)):
            return at, op
    raise Rejected(f"linear resizing whose weights are no multiples of 1/1024: {FLOAT_ARITHMETIC}")


def _unit(size: int) -> Array:
    """Weights of an axis that stays as it is."""
    return np.eye(bounded((size, size), 64)[0])


def _matrix_of(positions: Positions, size: int) -> Array:
    """float64 (resized, size): the weights of an axis."""
    matrix, rows = np.zeros(bounded((positions.lower.size, size), 64)), np.arange(positions.lower.size)
    inside = np.minimum(positions.lower, size - 1)
    np.add.at(matrix, (rows, inside), 1 - positions.weight / ONE)
    np.add.at(matrix, (rows, positions.upper), positions.weight / ONE)
    return matrix


def interpolation(scope: Scope, source: Shape, shape: Shape, mode: str) -> Iterator[tuple[int, Array]]:
    """(axis, float64 (resized, size)) of every axis that changes."""
    if mode not in ("linear", "cubic"):
        raise Rejected(f"mode {mode!r}")
    scope.ignore("nearest_mode")
    transformation, scales = _transformation(scope), _scales(scope, source, shape)
    antialias, exclude = bool(scope.attribute("antialias", 0)), bool(scope.attribute("exclude_outside", 0))
    cubic = float(scope.attribute("cubic_coeff_a", -0.75))
    for axis, (size, resized) in enumerate(zip(source, shape, strict=True)):
        if shape == source or (size == resized and scales[axis] == 1):
            continue
        positions = _positions(size, resized, scales[axis], transformation)
        stretch = min(1.0, float(scales[axis])) if antialias else 1.0
        yield axis, _matrix(positions, size, stretch, mode, cubic, exclude)


def _transformation(scope: Scope) -> str:
    name = str(scope.attribute("coordinate_transformation_mode", "half_pixel"))
    if name == "tf_crop_and_resize":
        raise Rejected(f"coordinate_transformation_mode {name!r}")
    scope.ignore(1, "extrapolation_value")  # the region and what lies outside: of tf_crop_and_resize
    return name


def _scales(scope: Scope, source: Shape, shape: Shape) -> list[np.float32]:
    """Of each axis: those given, else output size / input size, the same for all where the aspect ratio is kept."""
    rank = len(source)
    axes = [a % rank for a in scope.attribute("axes", None) or range(rank)]
    scales = [np.float32(n) / np.float32(m) for n, m in zip(shape, source, strict=True)]
    policy = scope.attribute("keep_aspect_ratio_policy", "stretch")
    given = scope.constant(2, "the scales").ravel() if scope.has(2) else np.zeros(0, np.float32)
    if given.size:
        scope.ignore(3)
        scales = [np.float32(1)] * rank
        for axis, value in zip(axes, given, strict=True):
            scales[axis] = np.float32(value)
        if any(not np.isfinite(s) or s <= 0 for s in scales):
            raise Rejected(f"the scales {given.tolist()}")
        return scales
    sizes = scope.integers(3, "the sizes")
    if policy != "stretch":
        if policy not in ("not_larger", "not_smaller"):
            raise Rejected(f"keep_aspect_ratio_policy {policy!r}")
        ratios = [np.float32(n) / np.float32(source[axis]) for n, axis in zip(sizes, axes, strict=True)]
        common = min(ratios) if policy == "not_larger" else max(ratios)
        scales = [common if axis in axes else np.float32(1) for axis in range(rank)]
    return scales


def nearest_indices(size: int, resized: int, scale: np.float32, transformation: str, rounding: str) -> list[int]:
    """The input element that each output element copies."""
    if scale == 1:
        return list(range(resized))
    position = _positions(size, resized, scale, transformation)
    below, half_way = np.floor(position), np.abs(position - np.floor(position) - 0.5) < _HALF_WAY
    match rounding:
        case "round_prefer_floor":
            nearest = np.where(half_way, below, np.rint(position))
        case "round_prefer_ceil":
            nearest = np.where(half_way, below + 1, np.rint(position))
        case "floor":
            nearest = below
        case "ceil":
            nearest = np.ceil(position)
        case _:
            raise Rejected(f"nearest_mode {rounding!r}")
    return [int(i) for i in np.clip(nearest, 0, size - 1)]


def _positions(size: int, resized: int, scale: np.float32, transformation: str) -> Array:
    """Where in the input each output element lies: float32, as float64."""
    out, half, one = np.arange(resized, dtype=np.float32), np.float32(0.5), np.float32(1)
    last, last_resized = np.float32(size - 1), np.float32(resized - 1)
    match transformation:
        case "half_pixel":
            position = (out + half) / scale - half
        case "half_pixel_symmetric":
            adjustment = np.float32(resized) / (scale * np.float32(size))
            offset = np.float32(size) / np.float32(2) * (one - adjustment)
            exact = np.float64(offset) + (out.astype(np.float64) + 0.5) / np.float64(scale) - 0.5
            position = exact.astype(np.float32)
        case "pytorch_half_pixel":
            position = (out + half) / scale - half if resized > 1 else np.zeros(1, np.float32)
        case "tf_half_pixel_for_nn":
            position = (out + half) / scale
        case "align_corners":
            position = out * last / last_resized if resized > 1 else np.zeros(1, np.float32)
        case "asymmetric":
            position = out / scale
        case _:
            raise Rejected(f"coordinate_transformation_mode {transformation!r}")
    return position.astype(np.float64)


def _matrix(positions: Array, size: int, stretch: float, mode: str, cubic: float, exclude: bool) -> Array:
    """Weights of the input's elements; those outside count for the nearest one, or not at all (`exclude`)."""
    reach = (1 if mode == "linear" else 2) / stretch
    matrix = np.zeros(bounded((positions.size, size), 64))
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
