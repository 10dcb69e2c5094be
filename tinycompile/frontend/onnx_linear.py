"""Convolutions and matrix products with constant weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from tinycompile.dtypes import INT8, UINT8, DType
from tinycompile.frontend.onnx_blocks import block_product
from tinycompile.frontend.onnx_matrices import product_of, transposed
from tinycompile.frontend.onnx_quantize import settled
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scales import scales_of
from tinycompile.frontend.onnx_scope import FLOAT_ARITHMETIC, NHWC, NOT_ROUNDED, Scope
from tinycompile.frontend.onnx_values import (
    Dequantized,
    Known,
    KnownBlocks,
    KnownQuantized,
    Linear,
    Placed,
    Shape,
    Value,
    identity,
)
from tinycompile.frontend.tflite_scope import MAX_STEP, Rejected
from tinycompile.ir import Array
from tinycompile.numerics.step_requant import real_product
from tinycompile.ops.take import Take


def quantized_weights(value: Value) -> KnownQuantized:
    """Constant weights in 8 bits. Raises Rejected."""
    if not isinstance(value, Known):
        raise Rejected("the weights are computed at run time, supported are constants")
    source = value.quantized
    if source is None:
        reason = "the weights are floats" if value.blocks is None else "the weights have a scale for each block"
        raise Rejected(f"{reason}: {FLOAT_ARITHMETIC}")
    if DType.find(source.values.dtype) not in (INT8, UINT8):
        raise Rejected(f"the weights are {source.values.dtype.name}, supported are 8 bits and fewer")
    return source


def integer_weights(source: KnownQuantized) -> Array:
    """The weights without their zero points, int64."""
    return source.values.astype(np.int64) - source.zero_point.astype(np.int64)


def channel_scales(source: KnownQuantized, axis: int) -> Array:
    scales = source.along(axis, source.values.shape[axis])
    if scales is None:
        raise Rejected(f"the weights are quantised along axis {source.axis}, supported is the output channel ({axis})")
    if not np.all(np.isfinite(scales)) or scales.min(initial=1) < np.finfo(np.float32).tiny:
        raise Rejected("a scale of the weights is not positive")
    return scales


def real_bias(value: Value | None, channels: int) -> tuple[Fraction, ...]:
    """A constant bias as real numbers: scale * (q - zero point) without rounding, or the floats."""
    if value is None:
        return (Fraction(0),) * channels
    if not isinstance(value, Known):
        raise Rejected("the bias is computed at run time, supported is a constant")
    if value.array.size not in (1, channels):
        raise Rejected(f"the bias has the shape {list(value.shape)} for {channels} channels")
    if not np.all(np.isfinite(value.array)):
        raise Rejected("the bias is not finite")
    source = value.quantized
    if source is None:
        real = [Fraction(float(v)) for v in value.array.ravel()]
    else:
        units = (source.values.astype(np.int64) - source.zero_point.astype(np.int64)).ravel()
        scales = np.broadcast_to(source.scale, source.values.shape).ravel()
        real = [int(n) * Fraction(float(s)) for n, s in zip(units, scales, strict=True)]
    return tuple(real * channels if len(real) == 1 else real)


def activation(scope: Scope, operand: int = 0) -> Dequantized:
    return settled(scope, dequantized(scope.value(operand)))


def summed(scope: Scope, value: Value) -> Dequantized:
    """What a sum of products is of. Raises Rejected."""
    return settled(scope, dequantized(value))


def dequantized(value: Value) -> Dequantized:
    """Raises Rejected."""
    if not isinstance(value, Dequantized):
        raise Rejected(NOT_ROUNDED)
    return value


# Convolutions.


def spatial_attributes(scope: Scope, kernel: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """(kernel, strides, dilations) of any rank."""
    rank = len(kernel)
    shape: list[int] = scope.attribute("kernel_shape", None) or list(kernel)
    strides = scope.attribute("strides", None) or [1] * rank
    dilations = scope.attribute("dilations", None) or [1] * rank
    if min(strides + dilations) < 1 or max(strides + dilations) > MAX_STEP:
        raise Rejected(f"strides {strides} and dilations {dilations}, supported are 1 to {MAX_STEP}")
    return shape, strides, dilations


def padding_of(
    scope: Scope, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Begins, then ends, for `auto_pad` or `pads` (onnx.ai, Conv)."""
    rank, auto = len(size), scope.attribute("auto_pad", "NOTSET")
    if auto in ("NOTSET", ""):
        pads = scope.attribute("pads", None) or [0] * (2 * rank)
        if min(pads) < 0:
            raise Rejected(f"negative padding {pads}")
        return pads
    scope.ignore("pads")  # only read where auto_pad is NOTSET
    if auto == "VALID":
        return [0] * (2 * rank)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise Rejected(f"auto_pad {auto!r}")
    begins, ends = list[int](), list[int]()
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        small, large = total // 2, total - total // 2
        begins.append(small if auto == "SAME_UPPER" else large)
        ends.append(large if auto == "SAME_UPPER" else small)
    return begins + ends


def as_image(scope: Scope, at: Placed) -> Placed:
    """(1, C, L) or (1, C, H, W) as a tensor of the IR in NHWC; 1-D ones with W = 1."""
    if len(at.shape) == 4:
        return scope.image(at)
    if len(at.shape) != 3:
        raise Rejected(f"its operand has {len(at.shape)} dimensions, supported are 1-D and 2-D convolutions")
    rows = scope.ordered(at, (0, 2, 1))
    n, c, length = at.shape
    return scope.reshaped(rows, (n, length, 1, c), (n, c, length, 1), NHWC)


def output_order(shape: Shape) -> tuple[int, ...]:
    return NHWC if len(shape) == 4 else (0, 2, 1)


@dataclass(frozen=True, eq=False)
class Convolved:
    """A convolution of the IR.

    Attributes:
        image: the operand in NHWC.
        kind: of its operator: "conv2d", "depthwise_conv2d" or "transpose_conv".
        weights: (C_out, kh, kw, C_in / groups), or (1, kh, kw, C_out) if it is depthwise.
        window: attributes of the operator.
    """

    kind: str
    image: Placed
    weights: Array
    window: dict[str, Any]

    @staticmethod
    def of(image: Placed, weights: Array, group: int, window: dict[str, Any]) -> Convolved:
        """`weights`: (C_out, C_in / group, kh, kw)."""
        depthwise = group == image.shape[1] and weights.shape[1] == 1 and group > 1
        layout = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
        kind = "depthwise_conv2d" if depthwise else "conv2d"
        return Convolved(kind, image, np.ascontiguousarray(weights.transpose(layout)), window)


@importer("Conv")
def conv(scope: Scope) -> None:
    weights = scope.value(1)
    if isinstance(weights, Known) and weights.blocks is not None:
        scope.set(_pointwise(scope, summed(scope, scope.value()), weights.blocks))
        return
    scaled = scales_of(scope.value())
    x = summed(scope, scope.value()) if scaled is None else scaled[0]
    source = quantized_weights(scope.value(1))
    bias = scope.value(2) if scope.has(2) else None
    found = convolution(scope, x, source, bias)
    if scaled is not None:
        if found.kind != "depthwise_conv2d":
            raise Rejected("its operand has a scale for each channel, and it adds channels")
        each = np.repeat(scaled[1], len(found.product) // scaled[1].size)
        product = tuple(p * Fraction(float(s)) for p, s in zip(found.product, each, strict=True))
        found = replace(found, product=product)
    scope.set(found)


def _pointwise(scope: Scope, x: Dequantized, weights: KnownBlocks) -> Linear:
    """A convolution of single pixels, whose weights have a scale for each block of input channels. Raises Rejected."""
    found = convolved(scope, x.at, weights.values)
    outputs, *kernel, inputs = found.weights.shape
    if found.kind != "conv2d" or kernel != [1, 1] or any(found.window["padding"]) or inputs != x.shape[1]:
        raise Rejected(f"the weights have a scale for each block, and a window of several pixels: {FLOAT_ARITHMETIC}")
    bias = real_bias(scope.value(2) if scope.has(2) else None, outputs)
    rows = weights.moved(lambda array: array.reshape(outputs, inputs))
    return block_product(scope, x, _strided(scope, found), rows, bias, output_order(scope.shape()))


def _strided(scope: Scope, found: Convolved) -> Placed:
    """The pixels of an image that windows of one pixel read."""
    image = found.image
    for axis, step in enumerate(found.window["stride"], 1):
        if step > 1:
            sizes = list(scope.state.type_of(image).shape)
            op = Take(axis, tuple(range(0, sizes[axis], step)))
            sizes[axis] = len(op.indices)
            image = scope.move(image, op, (sizes[0], sizes[3], sizes[1], sizes[2]), NHWC)
    return image


def convolution(scope: Scope, x: Dequantized, source: KnownQuantized, bias: Value | None) -> Linear:
    found = convolved(scope, x.at, integer_weights(source))
    return _convolution_of(scope, found, x, channel_scales(source, 0), bias)


def convolved(scope: Scope, at: Placed, weights: Array) -> Convolved:
    """What Conv is with these weights (C_out, C_in / group, ...)."""
    _check_rank(weights)
    group = int(scope.attribute("group", 1))
    if group * weights.shape[1] != at.shape[1]:
        raise Rejected(f"its weights {list(weights.shape)} don't fit {at.shape[1]} channels and the attribute group")
    kernel, strides, dilations = spatial_attributes(scope, weights.shape[2:])
    pads = padding_of(scope, at.shape[2:], kernel, strides, dilations)
    if weights.ndim == 3:
        weights, strides, dilations = weights[..., None], [*strides, 1], [*dilations, 1]
        pads = [pads[0], 0, pads[1], 0]
    window = {
        "stride": tuple(strides),
        "dilation": tuple(dilations),
        "padding": (pads[0], pads[2], pads[1], pads[3]),
    }
    return Convolved.of(as_image(scope, at), weights, group, window)


def _check_rank(weights: Array) -> None:
    if weights.ndim not in (3, 4):
        raise Rejected(f"the weights have {weights.ndim} dimensions, supported are 1-D and 2-D convolutions")


def _convolution_of(scope: Scope, found: Convolved, x: Dequantized, scales: Array, bias: Value | None) -> Linear:
    channels = found.weights.shape[3 if found.kind == "depthwise_conv2d" else 0]
    product = tuple(real_product(float(x.quant.scale[0]), scales.astype(np.float64)))
    return _layer(scope, found, x, scales, product, real_bias(bias, channels))


def _layer(
    scope: Scope, found: Convolved, x: Dequantized, scales: Array, product: Sequence[Fraction], bias: Sequence[Fraction]
) -> Linear:
    """`product`, `bias`: as of `Linear`."""
    shape = scope.shape()
    return Linear(
        x=found.image,
        quant=x.quant,
        kind=found.kind,
        window=found.window,
        weights=found.weights,
        weight_scale=scales,
        product=tuple(product),
        bias=tuple(bias),
        shape=shape,
        order=output_order(shape),
    )


@importer("ConvTranspose")
def conv_transpose(scope: Scope) -> None:
    x = summed(scope, scope.value())
    source = quantized_weights(scope.value(1))
    bias = scope.value(2) if scope.has(2) else None
    weights, group = integer_weights(source), int(scope.attribute("group", 1))
    _check_rank(weights)
    if group == 1:
        scales = channel_scales(source, 1)
    elif source.axis is None:
        scales = np.broadcast_to(source.scale.reshape(-1), (weights.shape[1] * group,)).astype(np.float32)
    else:
        raise Rejected("grouped weights are quantised per channel")
    found = transposed_convolved(scope, x.at, weights)
    scope.set(_convolution_of(scope, found, x, scales, bias))


def transposed_convolved(scope: Scope, at: Placed, weights: Array) -> Convolved:
    """What ConvTranspose is with these weights (C_in, C_out / group, ...): where nothing lies between the inputs, and
    the result isn't smaller than what they reach, a convolution with the kernel turned around.
    """
    _check_rank(weights)
    rank, group = weights.ndim - 2, int(scope.attribute("group", 1))
    kernel, strides, dilations = spatial_attributes(scope, weights.shape[2:])
    size, shape = at.shape[2:], scope.shape()
    begins = transposed_begins(scope, size, shape[2:], kernel, strides, dilations)
    inputs, outputs = weights.shape[:2]
    # (C_in, C_out / group, ...) to (C_out, C_in / group, ...).
    grouped = weights.reshape(group, inputs // group, outputs, *weights.shape[2:]).swapaxes(1, 2)
    ordered = grouped.reshape(group * outputs, inputs // group, *weights.shape[2:])
    out = shape[2:]
    if rank == 1:
        ordered, kernel, strides, dilations = ordered[..., None], [*kernel, 1], [*strides, 1], [*dilations, 1]
        size, begins, out = (*size, 1), [*begins, 0], (*out, 1)
    image, padding = as_image(scope, at), list[int]()
    for axis in range(2):
        extent = (kernel[axis] - 1) * dilations[axis]
        before = extent - begins[axis]
        padding += [before, out[axis] + extent - before - size[axis]]
    if list(strides) == [1, 1] and min(padding) >= 0:
        window = {"stride": (1, 1), "dilation": tuple(dilations), "padding": tuple(padding)}
        return Convolved.of(image, np.flip(ordered, axis=(2, 3)), group, window)
    window = {"size": out, "stride": tuple(strides), "dilation": tuple(dilations), "cut": tuple(begins)}
    return Convolved("transpose_conv", image, np.ascontiguousarray(ordered.transpose(0, 2, 3, 1)), window)


def transposed_begins(
    scope: Scope, size: Shape, out: Shape, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """The padding that is cut off at the beginning of each axis (onnx.ai, ConvTranspose)."""
    rank, auto = len(size), scope.attribute("auto_pad", "NOTSET")
    extra = scope.attribute("output_padding", None) or [0] * rank
    if scope.attribute("output_shape", None) is None and auto in ("NOTSET", "", "VALID"):
        return (scope.attribute("pads", None) or [0] * (2 * rank))[:rank]
    scope.ignore("pads")  # the size of the result says how much is cut off
    if len(out) != rank:
        raise Rejected("the attribute output_shape is less than its operand's size")
    begins = list[int]()
    for n, o, k, s, d, e in zip(size, out, kernel, strides, dilations, extra, strict=True):
        total = s * (n - 1) + e + (k - 1) * d + 1 - o
        begins.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
    return begins


def scaled_channels(scope: Scope, x: Dequantized, factor: Array, offset: Array) -> Linear:
    """x * factor + offset, float64 (C,), along axis 1: a depthwise convolution of one element."""
    window = {"stride": (1, 1), "dilation": (1, 1), "padding": (0, 0, 0, 0)}
    signs, sizes = np.sign(factor).astype(np.int64), np.where(factor == 0, 1, np.abs(factor))
    found = Convolved("depthwise_conv2d", as_image(scope, x.at), signs.reshape(1, 1, 1, -1), window)
    product = [Fraction(float(x.quant.scale[0])) * Fraction(float(size)) for size in sizes]
    bias = [Fraction(float(number)) for number in offset]
    return _layer(scope, found, x, sizes.astype(np.float32), product, bias)


# Matrix products.


@importer("Gemm")
def gemm(scope: Scope) -> None:
    alpha, beta = scope.attribute("alpha", 1.0), scope.attribute("beta", 1.0)
    if alpha <= 0:
        raise Rejected(f"alpha = {alpha}")
    bias = scope.value(2) if scope.has(2) and beta != 0 else None
    scope.ignore(2)  # where beta is 0
    first, second = scope.value(), scope.value(1)
    first = transposed(first) if scope.attribute("transA", 0) else first
    turned = bool(scope.attribute("transB", 0))
    factors = Fraction(float(np.float32(alpha))), Fraction(float(np.float32(beta)))
    if isinstance(second, Known):
        product = constant_product(scope, summed(scope, first), second, turned, bias)
        scope.set(replace(product.times(factors[0]), bias=tuple(b * factors[1] for b in product.bias)))
        return
    if bias is not None and bias.shape and prod(bias.shape) > 1:
        raise Rejected("the weights are computed at run time, and the bias has several elements")
    scaled = product_of(scope, first, transposed(second) if turned else second).times(factors[0])
    scope.set(replace(scaled, bias=real_bias(bias, 1)[0] * factors[1]))


@importer("MatMul")
def matmul(scope: Scope) -> None:
    first, second = scope.value(), scope.value(1)
    if isinstance(second, Known) and len(second.shape) == 2:
        scope.set(constant_product(scope, summed(scope, first), second, False, None))
    else:
        scope.set(product_of(scope, first, second))


def constant_product(scope: Scope, x: Dequantized, weights: Known, transposed: bool, bias: Value | None) -> Linear:
    """As `matrix_product`; weights may have a scale for each block of a row."""
    if weights.blocks is None or len(weights.shape) != 2:
        return matrix_product(scope, x, quantized_weights(weights), transposed, bias)
    rows = weights.blocks if transposed else weights.blocks.moved(np.transpose)
    if x.shape[-1:] != rows.values.shape[1:]:
        raise Rejected(f"the weights don't fit its operand {list(x.shape)}")
    return block_product(
        scope, x, scope.plain(x.at), rows, real_bias(bias, len(rows.values)), identity(len(scope.shape()))
    )


def matrix_product(
    scope: Scope, x: Dequantized, source: KnownQuantized, transposed: bool, bias: Value | None
) -> Linear:
    """x (..., C_in) times constant weights (C_in, C_out), or (C_out, C_in) if `transposed`."""
    weights, output_axis = integer_weights(source), 0 if transposed else 1
    if weights.ndim != 2:
        raise Rejected(f"the weights have {weights.ndim} dimensions, supported are 2")
    scales = channel_scales(source, output_axis)
    rows = weights if transposed else weights.T
    if len(x.shape) < 1 or x.shape[-1] != rows.shape[1]:
        raise Rejected(f"the weights don't fit its operand {list(x.shape)}")
    order = x.at.row_order()
    at = x.at if order is not None else scope.plain(x.at)
    shape = scope.shape()
    return Linear(
        x=at,
        quant=x.quant,
        kind="fully_connected",
        window={},
        weights=np.ascontiguousarray(rows if order is None else rows[:, order]),
        weight_scale=scales,
        product=tuple(real_product(float(x.quant.scale[0]), scales.astype(np.float64))),
        bias=real_bias(bias, rows.shape[0]),
        shape=shape,
        order=identity(len(shape)),
    )
