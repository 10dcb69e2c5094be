"""Means over windows and over axes."""

from __future__ import annotations

from collections.abc import Collection
from math import prod

from tinycompile.frontend.onnx_linear import activation, as_image, output_order
from tinycompile.frontend.onnx_moves import padded, pool_window
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Average, Dequantized, Placed
from tinycompile.frontend.tflite_scope import Rejected


@importer("AveragePool")
def average_pool(scope: Scope) -> None:
    x = activation(scope)
    kernel, strides, pads = pool_window(scope, x.shape)
    at = as_image(scope, x.at)
    if any(pads):
        if not scope.attribute("count_include_pad", 0) or scope.attribute("ceil_mode", 0):
            raise Rejected("padding that the mean leaves out")
        border = [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])]
        at = padded(scope, at, border, int(x.quant.zero_point[0]))
    scope.set(_windows(scope, x, at, (kernel[0], kernel[1]), (strides[0], strides[1])))


@importer("GlobalAveragePool")
def global_average_pool(scope: Scope) -> None:
    x = activation(scope)
    at = as_image(scope, x.at)
    _, h, w, _ = at.physical_shape
    scope.set(_windows(scope, x, at, (h, w), (1, 1)))


def _windows(scope: Scope, x: Dequantized, at: Placed, kernel: tuple[int, int], stride: tuple[int, int]) -> Average:
    shape = scope.shape()
    _, h, w, _ = at.physical_shape
    whole = kernel == (h, w)
    return Average(
        x=at,
        quant=x.quant,
        count=kernel[0] * kernel[1],
        kernel=None if whole else kernel,
        stride=None if whole else stride,
        axes=(1, 2),
        keep_dims=True,
        shape=shape,
        order=output_order(shape),
    )


@importer("ReduceMean")
def reduce_mean(scope: Scope) -> None:
    x = activation(scope)
    rank, shape = len(x.shape), scope.shape()
    axes = scope.listed("axes", 1, "the axes")
    if not axes:
        if scope.attribute("noop_with_empty_axes", 0):
            raise Rejected("a mean over no axes")
        axes = list(range(rank))
    scope.ignore("noop_with_empty_axes")  # there are some
    at, reduced = scope.unfolded(x.at), {axis % rank for axis in axes}
    keep = bool(scope.attribute("keepdims", 1))
    count = prod(x.shape[axis] for axis in reduced)
    physical, order = reduced_axes(at, reduced, keep)
    scope.set(Average(at, x.quant, count, None, None, physical, keep, shape, order))


def reduced_axes(at: Placed, axes: Collection[int], keep: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(axes of the IR value, order of the result's axes) of a reduction over some ONNX axes."""
    kept = [axis for axis in range(len(at.shape)) if keep or axis not in axes]
    order = tuple(kept.index(axis) for axis in at.order if axis in kept)
    return tuple(sorted(at.order.index(axis) for axis in axes)), order
