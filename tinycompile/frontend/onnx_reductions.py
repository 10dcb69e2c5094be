"""Means, sums and extremes over windows and over axes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod

from tinycompile.dtypes import BOOL
from tinycompile.frontend.onnx_discrete import discrete, is_discrete
from tinycompile.frontend.onnx_linear import as_image, output_order, padding_of, summed
from tinycompile.frontend.onnx_moves import chosen_by_size, padded, pool_window
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Average, Dequantized, Placed
from tinycompile.ops.reduce_all import ReduceAll
from tinycompile.ops.reduce_any import ReduceAny
from tinycompile.ops.reduce_max import ReduceMax
from tinycompile.ops.reduce_min import ReduceMin


@importer("AveragePool")
def average_pool(scope: Scope) -> None:
    x = summed(scope, scope.value())
    kernel, strides, pads = pool_window(scope, x.shape)
    at = as_image(scope, x.at)
    if scope.attribute("count_include_pad", 0) and any(pads):
        counted = _counted(scope, x.shape[2:], kernel, strides, pads)
        border = [(0, 0), (0, 0), (counted[0], counted[2]), (counted[1], counted[3])]
        at = padded(scope, at, border, int(x.quant.zero_point[0]))
        pads = [pad - count for pad, count in zip(pads, counted, strict=True)]
    found = _windows(scope, x, at, (kernel[0], kernel[1]), (strides[0], strides[1]))
    scope.set(replace(found, padding=(pads[0], pads[2], pads[1], pads[3])) if any(pads) else found)


def _counted(
    scope: Scope, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int]
) -> list[int]:
    """What of the padding that windows reach the attributes name: that of `ceil_mode` counts for nothing."""
    rank = len(size)
    given = padding_of(scope, size, kernel[:rank], strides[:rank], [1] * rank)
    given = given if rank == len(kernel) else [given[0], 0, given[1], 0]
    return [min(pad, wanted) for pad, wanted in zip(pads, given, strict=True)]


@importer("GlobalAveragePool")
def global_average_pool(scope: Scope) -> None:
    x = summed(scope, scope.value())
    at = as_image(scope, x.at)
    _, h, w, _ = at.physical_shape
    scope.set(_windows(scope, x, at, (h, w), (1, 1)))


def _windows(scope: Scope, x: Dequantized, at: Placed, kernel: tuple[int, int], stride: tuple[int, int]) -> Average:
    shape = scope.shape()
    _, h, w, _ = at.physical_shape
    whole = kernel == (h, w) and shape[2:] in ((1,), (1, 1))
    return Average(
        x=at,
        quant=x.quant,
        product=Fraction(float(x.quant.scale[0])) / (kernel[0] * kernel[1]),
        kernel=None if whole else kernel,
        stride=None if whole else stride,
        axes=(1, 2),
        keep_dims=True,
        shape=shape,
        order=output_order(shape),
    )


@importer("ReduceMean", "ReduceSum")
def reduce_sum(scope: Scope) -> None:
    axes, keep = axes_and_keeping(scope)
    if not axes:
        scope.set(scope.value())
        return
    x = summed(scope, scope.value())
    at, step = scope.unfolded(x.at), Fraction(float(x.quant.scale[0]))
    is_mean = scope.kind == "ReduceMean"
    product = step / prod(x.shape[axis] for axis in axes) if is_mean else step
    physical, order = reduced_axes(at, axes, keep)
    scope.set(Average(at, x.quant, product, None, None, physical, keep, scope.shape(), order, is_mean=is_mean))


@importer("ReduceMax", "ReduceMin")
def reduce_extreme(scope: Scope) -> None:
    axes, keep = axes_and_keeping(scope)
    if not axes:
        scope.set(scope.value())
        return
    is_max, value = scope.kind == "ReduceMax", scope.value()
    extreme, of_truth = (ReduceMax, ReduceAny) if is_max else (ReduceMin, ReduceAll)

    def chosen(at: Placed) -> Placed:
        at = scope.unfolded(at)
        physical, order = reduced_axes(at, axes, keep)
        t = scope.state.type_of(at)
        op = (of_truth if t.dtype == BOOL else extreme)(physical, keep)
        return Placed(scope.state.emit(op, [at.name], scope.name, t.quant), scope.shape(), order)

    if is_discrete(value):
        found = discrete(scope, value)
        scope.set(replace(found, at=chosen(found.at)))
    else:
        chosen_by_size(scope, chosen)


def axes_and_keeping(scope: Scope) -> tuple[set[int], bool]:
    """(ONNX axes of a reduction, none where it changes nothing; whether they stay with size 1)."""
    rank, keep = len(scope.value().shape), bool(scope.attribute("keepdims", 1))
    axes = scope.listed("axes", 1, "the axes")
    if not axes and scope.attribute("noop_with_empty_axes", 0):
        return set(), keep
    scope.ignore("noop_with_empty_axes")  # there are some
    return {axis % rank for axis in axes or range(rank)}, keep


def reduced_axes(at: Placed, axes: Collection[int], keep: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(axes of the IR value, order of the result's axes) of a reduction over some ONNX axes."""
    kept = [axis for axis in range(len(at.shape)) if keep or axis not in axes]
    order = tuple(kept.index(axis) for axis in at.order if axis in kept)
    return tuple(sorted(at.order.index(axis) for axis in axes)), order
