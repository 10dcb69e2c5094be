"""Arithmetic on tensors that keep the real numbers behind their float32: what ONNX's operators sum and round.

Nothing of `tinycompile.frontend` is used: this is a second reading of what ONNX says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from onnx import helper

from tinycompile.ir import Array


class CannotEvaluateError(Exception):
    """onnx's evaluator has no such operator, or not for these operands."""


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor.

    Attributes:
        plain: as the model's types say, floats rounded to float32.
        real: float64, before that rounding; None where there was none.
        is_sum: QuantizeLinear rounds the real number: it is a sum, whose rounding to float32 nobody defines.
    """

    plain: Array
    real: Array | None = None
    is_sum: bool = False

    @staticmethod
    def summed(real: Array) -> Value:
        real = np.asarray(real, np.float64)
        with np.errstate(over="ignore"):
            return Value(real.astype(np.float32), real, is_sum=True)

    @property
    def exact(self) -> Array:
        return self.plain.astype(np.float64) if self.real is None else self.real


def dequantize(operands: Sequence[Value | None], axis: int, block: int = 0) -> Value:
    """DequantizeLinear: the float32 tensor that ONNX defines, with the real numbers behind it.

    Args:
        block: elements along the axis with the same scale, if scales have the tensor's rank.
    """
    x, scale, zero_point = _parameters(operands, axis, block)
    x = _as_bytes(x)
    real = (x.astype(np.float64) - zero_point) * scale.astype(np.float64)
    return Value((x.astype(np.float32) - zero_point.astype(np.float32)) * scale, real)


def quantize(operands: Sequence[Value | None], attributes: Mapping[str, Any]) -> Value:
    """QuantizeLinear, halves to even, saturated. A sum is rounded as the real number that it is."""
    dtype = _quantized_type(operands, attributes)
    value = operands[0]
    if value is None:
        raise CannotEvaluateError("QuantizeLinear without an operand")
    x, scale, zero_point = _parameters(operands, int(attributes.get("axis", 1)))
    steps = np.rint(value.exact / scale.astype(np.float64) if value.is_sum else x / scale)
    limits = np.iinfo(dtype)
    found = np.clip(steps.astype(np.float64) + zero_point, limits.min, limits.max)
    return Value(np.nan_to_num(found).astype(dtype))


def _quantized_type(operands: Sequence[Value | None], attributes: Mapping[str, Any]) -> np.dtype:
    """Of the zero point, else what the attribute says, else uint8."""
    zero_point = operands[2] if len(operands) > 2 else None
    wanted = int(attributes.get("output_dtype", 0))
    if zero_point is not None:
        dtype = zero_point.plain.dtype
    else:
        dtype = np.dtype(np.uint8 if not wanted else helper.tensor_dtype_to_np_dtype(wanted))
    if dtype.name not in ("int8", "uint8", "int16", "uint16"):
        raise CannotEvaluateError(f"QuantizeLinear to {dtype}")
    return dtype


def _as_bytes(x: Array) -> Array:
    """Integers of fewer than 8 bits, whose type isn't one of NumPy's own, as int8."""
    return x if x.dtype.isbuiltin == 1 else x.astype(np.int8)


def _parameters(operands: Sequence[Value | None], axis: int, block: int = 0) -> tuple[Array, Array, Array]:
    """(tensor, scale, zero point in float64), the last two so that they broadcast."""
    if operands[0] is None or operands[1] is None:
        raise CannotEvaluateError("an operand is missing")
    x, scale = operands[0].plain, operands[1].plain
    given = operands[2] if len(operands) > 2 else None
    zero_point = np.zeros(1) if given is None else _as_bytes(given.plain).astype(np.float64)

    def fit(array: Array) -> Array:
        if array.size == 1:
            return array.reshape(())
        if block and array.ndim == x.ndim:
            return array.take(np.arange(int(x.shape[axis])) // block, axis)
        return array.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])

    return x, fit(scale.astype(np.float32)), fit(zero_point)


def gemm(attributes: Mapping[str, Any], operands: Sequence[Value | None]) -> Value:
    a, b = (v.exact if v is not None else np.zeros(0) for v in operands[:2])
    c = operands[2].exact if len(operands) > 2 and operands[2] is not None else 0.0
    a, b = (a.T if attributes.get("transA") else a), (b.T if attributes.get("transB") else b)
    alpha, beta = float(attributes.get("alpha", 1.0)), float(attributes.get("beta", 1.0))
    return Value.summed(alpha * (a @ b) + beta * np.asarray(c))


def mean(attributes: Mapping[str, Any], operands: Sequence[Value | None]) -> Array:
    """ReduceMean; the axes are an attribute or, from opset 18 on, an operand."""
    x = operands[0]
    given = operands[1] if len(operands) > 1 else None
    axes = attributes.get("axes") if given is None else given.plain.tolist()
    if x is None:
        raise CannotEvaluateError("ReduceMean without an operand")
    if not axes and attributes.get("noop_with_empty_axes"):
        return x.exact
    axis = tuple(int(a) for a in axes) if axes else None
    return np.mean(x.exact, axis=axis, keepdims=bool(attributes.get("keepdims", 1)))


def normalised(attributes: Mapping[str, Any], operands: Sequence[Value]) -> Array:
    """BatchNormalization in inference, along axis 1: ONNX leaves open in which order it is computed."""
    if attributes.get("training_mode"):
        raise CannotEvaluateError("training mode")
    x, *channels = (v.exact for v in operands)
    gamma, beta, average, variance = (c.reshape(-1, *[1] * (x.ndim - 2)) for c in channels)
    deviation = np.sqrt(variance + np.float64(np.float32(attributes.get("epsilon", 1e-5))))
    return (x - average) / deviation * gamma + beta


def normalised_rows(attributes: Mapping[str, Any], operands: Sequence[Value], *, centred: bool) -> Array:
    """LayerNormalization and RMSNormalization, over all axes from `axis` on."""
    x, *columns = (v.exact for v in operands)
    axes = tuple(range(int(attributes.get("axis", -1)) % x.ndim, x.ndim))
    distance = x - x.mean(axis=axes, keepdims=True) if centred else x
    power = np.square(distance).mean(axis=axes, keepdims=True)
    y = distance / np.sqrt(power + np.float64(np.float32(attributes.get("epsilon", 1e-5))))
    for column, apply in zip(columns, (np.multiply, np.add), strict=False):
        y = apply(y, column)
    return y


def softmax(x: Value, attributes: Mapping[str, Any], opset: int) -> Value:
    """Below opset 13 over all axes from `axis` on."""
    axis = int(attributes.get("axis", -1 if opset >= 13 else 1))
    values = x.exact
    if opset < 13:
        axis = axis % max(1, values.ndim)
        values = values.reshape(prod(values.shape[:axis]), -1)
        axis = 1
    exponentials = np.exp(values - values.max(axis=axis, keepdims=True))
    return Value.summed((exponentials / exponentials.sum(axis=axis, keepdims=True)).reshape(x.plain.shape))


def convolution(attributes: Mapping[str, Any], operands: Sequence[Array | None]) -> Array:
    """Conv over any number of axes, in float64."""
    x, weights = operands[0], operands[1]
    if x is None or weights is None:
        raise CannotEvaluateError("Conv without operands")
    kernel, rank = weights.shape[2:], weights.ndim - 2
    strides = list(attributes.get("strides") or [1] * rank)
    dilations = list(attributes.get("dilations") or [1] * rank)
    groups = int(attributes.get("group", 1))
    pads = padding(attributes, x.shape[2:], kernel, strides, dilations)
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(x, spans, axis=tuple(range(2, 2 + rank)))
    windows = windows[(slice(None), slice(None), *(slice(None, None, s) for s in strides))]
    windows = windows[(..., *(slice(None, None, d) for d in dilations))]
    batch, outer = x.shape[0], windows.shape[2 : 2 + rank]
    of_group = windows.shape[1] // groups
    columns = windows.reshape(batch, groups, of_group, *outer, *kernel)
    columns = np.moveaxis(columns, 2, 2 + rank).reshape(batch, groups, prod(outer), of_group * prod(kernel))
    matrix = weights.reshape(groups, weights.shape[0] // groups, -1).transpose(0, 2, 1)
    result = np.matmul(columns, matrix).transpose(0, 1, 3, 2).reshape(batch, weights.shape[0], *outer)
    bias = operands[2] if len(operands) > 2 else None
    return result if bias is None else result + bias.reshape(1, -1, *[1] * rank)


def quantized_convolution(attributes: Mapping[str, Any], operands: Sequence[Value | None]) -> Value:
    """QLinearConv: sums of integers, times one float32 factor per channel; onnx's evaluator has but two axes for it."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = (v.plain for v in operands[:8] if v is not None)
    behind = (-1, *[1] * (w.ndim - 2))
    zeros = w_zero.astype(np.float64).reshape((*behind, 1) if w_zero.size > 1 else ())
    sums = convolution(attributes, [x.astype(np.float64) - float(x_zero.reshape(-1)[0]), w - zeros])
    if len(operands) > 8 and operands[8] is not None:
        sums = sums + operands[8].plain.reshape(behind)
    factor = x_scale.reshape(-1)[0] * w_scale / y_scale.reshape(-1)[0]
    scaled = sums * factor.astype(np.float64).reshape(behind if factor.size > 1 else ())
    limits = np.iinfo(y_zero.dtype)
    steps = np.rint(scaled + float(y_zero.reshape(-1)[0]))
    return Value(np.clip(steps, limits.min, limits.max).astype(y_zero.dtype))


def padding(
    attributes: Mapping[str, Any],
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[tuple[int, int]]:
    """(begin, end) of each spatial axis."""
    mode = attributes.get("auto_pad", b"NOTSET")
    mode = mode.decode() if isinstance(mode, bytes) else str(mode)
    rank = len(sizes)
    if mode == "VALID":
        return [(0, 0)] * rank
    if mode == "NOTSET":
        pads = list(attributes.get("pads") or [0] * (2 * rank))
        return [(pads[i], pads[i + rank]) for i in range(rank)]
    found = list[tuple[int, int]]()
    for size, k, s, d in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
        small, large = total // 2, total - total // 2
        found.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return found


def leaky(attributes: Mapping[str, Any], operands: Sequence[Value]) -> Value:
    """LeakyRelu, or PRelu with its slopes, of a sum."""
    x = operands[0].exact
    slope = operands[1].exact if len(operands) > 1 else np.float64(np.float32(attributes.get("alpha", 0.01)))
    return Value.summed(np.where(x < 0, x * slope, x))
