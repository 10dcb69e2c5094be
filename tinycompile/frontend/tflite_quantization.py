"""What a file says of a tensor's quantisation, as `Quantization`; odd forms that have one meaning are taken.

LiteRT refuses most odd forms, but TFLM runs them, and official models have some. Each taken one leaves a note.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.dtypes import INT2, INT4, INT8, INT16, INT32, UINT4, UINT8, DType
from tinycompile.ir import Array, Quantization

ZERO_POINTS = {dtype: dtype.range for dtype in (INT2, INT4, UINT4, INT8, UINT8)} | {INT16: (0, 0), INT32: (0, 0)}
"""The range of each quantised type's zero points; other types have no quantisation."""


class ContradictionError(Exception):
    """Parameters without a meaning, or with several."""

    def __init__(self, what: str, why: str = "") -> None:
        super().__init__(what)
        self.what, self.why = what, why


@dataclass(frozen=True, eq=False)
class Parameters:
    """As the file has them: float32 scales, int64 zero points (none: empty), the axis."""

    scale: Array
    zero_point: Array
    axis: int


def understood(
    given: Parameters, shape: tuple[int, ...], dtype: DType, constant: bool
) -> tuple[Quantization | None, str]:
    """(meaning, note on what is odd about it or nothing).

    Args:
        constant: whether the file has the tensor's value. A scale of 0 is accepted there: old converters write it for
            a channel of zeros.

    Raises:
        ContradictionError: no meaning is the only one.
    """
    if dtype == INT32:
        return _of_int32(given, shape, constant)
    return _regular(given, shape, dtype, constant)


def _of_int32(given: Parameters, shape: tuple[int, ...], constant: bool) -> tuple[Quantization | None, str]:
    """Of a bias, or of indices: sums are rescaled by the scales of operand, weights and result alone."""
    try:
        return _regular(given, shape, INT32, constant)
    except ContradictionError as odd:
        return None, f"{odd.what}; it is ignored, as no operator reads the quantisation of an int32 tensor"


def _regular(given: Parameters, shape: tuple[int, ...], dtype: DType, constant: bool) -> tuple[Quantization, str]:
    scale, note = given.scale, ""
    _check_scale(scale, constant)
    zero_point, note = _zero_points(given)
    _check_zero_points(zero_point, dtype)
    if scale.size == 1:
        return Quantization(scale, zero_point), note
    if 0 <= given.axis < len(shape) and shape[given.axis] == scale.size:
        return Quantization(scale, zero_point, given.axis), note
    axes = [axis for axis, size in enumerate(shape) if size == scale.size]
    what = f"has {scale.size} scales for axis {given.axis} of the shape {list(shape)}"
    if len(axes) == 1:
        return Quantization(scale, zero_point, axes[0]), f"{what}; only axis {axes[0]} has that length"
    if np.all(scale == scale[0]) and np.all(zero_point == zero_point[0]):
        return Quantization(scale[:1], zero_point[:1]), f"{what}; all are equal"
    raise ContradictionError(what, f"{len(axes)} axes have that length" if axes else "no axis has that length")


def _zero_points(given: Parameters) -> tuple[Array, str]:
    """One per scale, and what is odd about them."""
    scales, zero_point = given.scale.size, given.zero_point
    if zero_point.size == scales:
        return zero_point, ""
    what = f"has {scales} scales and {zero_point.size} zero points"
    if zero_point.size == 0:
        return np.zeros(scales, np.int64), f"{what}; they are 0"
    if np.all(zero_point == zero_point[0]) and 1 in (scales, zero_point.size):
        return np.repeat(zero_point[:1], scales), f"{what}; all are {zero_point[0]}"
    raise ContradictionError(what)


def _check_scale(scale: Array, constant: bool) -> None:
    if not np.all(np.isfinite(scale)) or np.any(scale < 0) or (not constant and np.any(scale == 0)):
        wrong = scale[~(np.isfinite(scale) & (scale > 0))]
        raise ContradictionError(f"has the scale {float(wrong[0])}", "a scale must be finite and greater than 0")


def _check_zero_points(zero_point: Array, dtype: DType) -> None:
    low, high = ZERO_POINTS[dtype]
    if np.any(zero_point < low) or np.any(zero_point > high):
        raise ContradictionError(f"has the zero point {zero_point.tolist()[:4]}", f"{dtype} allows {low} to {high}")


def dequantized(values: Array, quant: Quantization) -> Array:
    """scale * (q - zero_point) in float32, as in `DequantizeImpl`, with a scale per channel where there are several."""
    scale, zero_point = quant.scale, quant.zero_point
    if quant.axis is not None and not quant.is_per_tensor:
        shape = [-1 if axis == quant.axis else 1 for axis in range(values.ndim)]
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    with np.errstate(over="ignore"):
        return (values.astype(np.int64) - zero_point).astype(np.float32) * scale
