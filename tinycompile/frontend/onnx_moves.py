"""Operators that move elements without computing, and pooling by maximum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from tinycompile.dtypes import INT8, INT16
from tinycompile.frontend.onnx_linear import as_image, output_order, padding_of, spatial_attributes
from tinycompile.frontend.onnx_quantize import rounded
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import NHWC, NOT_ROUNDED, Scope
from tinycompile.frontend.onnx_values import (
    Arranged,
    Dequantized,
    Discrete,
    Known,
    Placed,
    Quantized,
    Real,
    Shape,
    Value,
    identity,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Quantization, bounded
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.pad import Pad
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.take import Take
from tinycompile.ops.transpose import Transpose

MAX_TAKEN = 1 << 20
"""Most elements along an axis of which some are picked."""


@importer("Identity")
def identity_op(scope: Scope) -> None:
    scope.set(scope.value())


@importer("Dropout")
def dropout(scope: Scope) -> None:
    """Every element is kept, and the mask says so."""
    if scope.has(2) and bool(scope.constant(2, "training_mode").any()):
        raise Rejected("training mode")
    scope.ignore("seed", 1)  # of training, as the ratio is
    scope.set(scope.value())
    if len(scope.node.output) > 1 and scope.node.output[1]:
        scope.set(Known(np.ones(scope.value().shape, np.bool_)), 1)


@importer("Transpose")
def transpose(scope: Scope) -> None:
    """Moves nothing: it is only the order of the axes that has another meaning."""

    rank = len(scope.value().shape)
    permutation = tuple(scope.attribute("perm", None) or range(rank)[::-1])
    if sorted(permutation) != list(range(rank)):
        raise Rejected(f"{list(permutation)} is no order of {rank} axes")

    def permuted(at: Placed) -> Placed:
        at = scope.unfolded(at)
        shape = tuple(at.shape[axis] for axis in permutation)
        return Placed(at.name, shape, tuple(permutation.index(axis) for axis in at.order))

    scope.moved(permuted)


@importer("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(scope: Scope) -> None:
    rank, axis = len(scope.value().shape), scope.attribute("axis", 1)
    if scope.kind == "Flatten" and not -rank <= axis <= rank:
        raise Rejected(f"axis {axis} of {rank} dimensions")
    if scope.kind == "Squeeze" and scope.has(1):
        _check_single(scope.value().shape, scope.constant(1, "the axes").reshape(-1).tolist())
    shape = scope.shape()
    scope.ignore("allowzero", 1)  # the inferred shape is what they say
    scope.moved(lambda at: reshaped_to(scope, at, shape))


def _check_single(shape: Shape, axes: Sequence[int]) -> None:
    """Raises Rejected: there is one with several elements, for which onnx infers no shape."""
    for axis in axes:
        if -len(shape) <= axis < len(shape) and shape[axis] != 1:
            raise Rejected(f"axis {axis} has {shape[axis]} elements, and only one with a single element can be removed")


def reshaped_to(scope: Scope, at: Placed, shape: Shape) -> Placed:
    """The same elements, in ONNX's order, with another shape; without moving them where that is possible."""
    if at.folded is not None and shape == at.shape:
        return at
    if not at.is_plain:
        kept = _kept_order(at, shape)
        if kept is not None:
            physical = tuple(shape[axis] for axis in kept)
            return scope.reshaped(at, physical, shape, kept)
        row = len(shape) == 2 and shape[0] == 1
        if row and at.folded is None:
            flat = scope.reshaped(at, shape, shape, identity(2))
            return Placed(flat.name, shape, identity(2), (at.shape, at.order))
    plain = scope.plain(at)
    return scope.reshaped(plain, shape, shape, identity(len(shape)))


def _kept_order(at: Placed, shape: Shape) -> tuple[int, ...] | None:
    """The order of the axes where a reshape only adds or drops axes of size 1."""
    if at.folded is not None or [n for n in at.shape if n != 1] != [n for n in shape if n != 1]:
        return None
    old = [axis for axis in range(len(at.shape)) if at.shape[axis] != 1]
    new = [axis for axis in range(len(shape)) if shape[axis] != 1]
    match = dict(zip(old, new, strict=True))
    order = [match[axis] for axis in at.order if axis in match]
    ones = [axis for axis in range(len(shape)) if shape[axis] == 1]
    return tuple([axis for axis in ones if axis == 0] + order + [axis for axis in ones if axis != 0])


def taken(scope: Scope, at: Placed, axis: int, indices: Sequence[int]) -> Placed:
    """Some elements along an ONNX axis."""
    at = scope.unfolded(at)
    if isinstance(indices, range) and indices == range(at.shape[axis]):
        return at
    if len(indices) > MAX_TAKEN:
        raise Rejected(f"it takes {len(indices)} elements of an axis, supported are {MAX_TAKEN}")
    if list(indices) == list(range(at.shape[axis])):
        return at
    shape = (*at.shape[:axis], len(indices), *at.shape[axis + 1 :])
    return scope.move(at, Take(at.order.index(axis), tuple(int(i) for i in indices)), shape, at.order)


@importer("Split")
def split(scope: Scope) -> None:
    axis = int(scope.attribute("axis", 0)) % len(scope.value().shape)
    scope.ignore("num_outputs", 1)  # the inferred shapes are what they say
    first = 0
    for output in range(len(scope.node.output)):
        if scope.set_empty(output):
            continue
        last = first + scope.shape(output)[axis]
        scope.moved(partial(taken, scope, axis=axis, indices=range(first, last)), output)
        first = last


@importer("Slice")
def slice_op(scope: Scope) -> None:
    rank = len(scope.value().shape)
    starts, ends = scope.integers(1, "the starts"), scope.integers(2, "the ends")
    axes = scope.integers(3, "the axes") if scope.has(3) else list(range(len(starts)))
    steps = scope.integers(4, "the steps") if scope.has(4) else [1] * len(starts)

    def sliced(at: Placed) -> Placed:
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            # Python's slices clamp as ONNX's do; an end before the first element of a negative step is None.
            stop = None if step < 0 and end < -at.shape[axis % rank] else end
            at = taken(scope, at, axis % rank, range(at.shape[axis % rank])[start:stop:step])
        return at

    scope.shape()
    scope.moved(sliced)


@importer("Pad")
def pad(scope: Scope) -> None:
    value, mode = scope.value(), scope.attribute("mode", "constant")
    if mode != "constant":
        pad_by_copies(scope, mode)
        return
    amounts = pad_amounts(scope, len(value.shape))
    fill = scope.constant(2, "the fill").ravel()[0] if scope.has(2) else 0
    if isinstance(value, Real):
        scope.set(Real(padded(scope, value.at, amounts, float(fill))))
    elif isinstance(value, Quantized):
        scope.set(Quantized(padded(scope, value.at, amounts, int(fill) - value.shift), value.dtype))
    else:
        scope.set(_padded_description(scope, value, amounts, np.float32(fill)))


def _padded_description(scope: Scope, value: Value, amounts: Sequence[tuple[int, int]], fill: np.float32) -> Value:
    """A border of what `fill` is rounded to."""

    def bordered(places: Sequence[Placed], quant: Quantization) -> Placed:
        return padded(scope, places[0], amounts, rounded(fill, quant, scope.state.type_of(places[0]).dtype))

    if isinstance(value, Dequantized) and value.function is None:
        steps = rounded(fill, value.quant, value.dtype) - int(value.quant.zero_point[0])
        if np.float32(steps) * value.quant.scale[0] == fill:
            return replace(value, at=bordered([value.at], value.quant))
    return Arranged((value,), bordered, scope.shape(), "none")


def pad_amounts(scope: Scope, rank: int) -> list[tuple[int, int]]:
    """(before, after) per axis; may be negative."""
    pads = scope.listed("pads", 1, "the padding")
    if pads is None:
        raise Rejected("the padding is missing")
    axes = [a % rank for a in scope.integers(3, "the axes")] if scope.has(3) else list(range(rank))
    amounts = [(0, 0)] * rank
    for index, axis in enumerate(axes):
        amounts[axis] = pads[index], pads[index + len(axes)]
    return amounts


def padded(scope: Scope, at: Placed, amounts: Sequence[tuple[int, int]], fill: float) -> Placed:
    """With a border; negative amounts cut off."""
    at = scope.unfolded(at)
    for axis, (before, after) in enumerate(amounts):
        size = at.shape[axis]
        at = taken(scope, at, axis, range(max(0, -before), size - max(0, -after)))
    positive = [(max(0, before), max(0, after)) for before, after in amounts]
    if not any(map(sum, positive)):
        return at
    shape = tuple(n + sum(pair) for n, pair in zip(at.shape, positive, strict=True))
    return scope.move(at, Pad(tuple(positive[axis] for axis in at.order), fill), shape, at.order)


def pad_by_copies(scope: Scope, mode: str) -> None:
    """Modes edge, reflect and wrap repeat elements."""
    if mode not in ("edge", "reflect", "wrap"):
        raise Rejected(f"mode {mode!r}")
    scope.ignore(2)  # the fill of mode "constant"
    amounts_of_axes = pad_amounts(scope, len(scope.value().shape))

    def copied(at: Placed) -> Placed:
        for axis, (before, after) in enumerate(amounts_of_axes):
            size = at.shape[axis]
            kept = np.arange(max(0, -before), size - max(0, -after))
            amounts = max(0, before), max(0, after)
            bounded((kept.size + sum(amounts),), 64)
            at = taken(scope, at, axis, np.pad(kept, amounts, mode=mode).tolist())  # pyright: ignore[reportArgumentType]
        return at

    scope.moved(copied)


@importer("DepthToSpace", "SpaceToDepth")
def depth_to_space(scope: Scope) -> None:
    block = int(scope.attribute("blocksize", 1))
    shape = scope.shape()
    column_row_depth = scope.attribute("mode", "DCR") == "CRD"
    if column_row_depth and scope.kind == "SpaceToDepth":
        raise Rejected("mode 'CRD'")

    def rearranged(at: Placed) -> Placed:
        at = scope.image(at)
        n, h, w, c = at.physical_shape
        if scope.kind == "SpaceToDepth":
            split: Shape = (n, h // block, block, w // block, block, c)
            permutation = (0, 1, 3, 2, 4, 5)
        elif column_row_depth:
            split, permutation = (n, h, w, c // block**2, block, block), (0, 1, 4, 2, 5, 3)
        else:
            split, permutation = (n, h, w, block, block, c // block**2), (0, 1, 3, 2, 4, 5)
        blocks = scope.move(at, Reshape(split), split)
        moved = scope.move(blocks, Transpose(permutation), tuple(split[axis] for axis in permutation))
        return scope.reshaped(moved, tuple(shape[axis] for axis in NHWC), shape, NHWC)

    scope.moved(rearranged)


@importer("MaxPool")
def max_pool(scope: Scope) -> None:
    kernel, strides, pads = pool_window(scope, scope.value().shape)
    padding = (pads[0], pads[2], pads[1], pads[3])

    def chosen(at: Placed) -> Placed:
        return _largest(scope, as_image(scope, at), (kernel[0], kernel[1]), (strides[0], strides[1]), padding)

    chosen_by_size(scope, chosen)


@importer("GlobalMaxPool")
def global_max_pool(scope: Scope) -> None:
    def chosen(at: Placed) -> Placed:
        at = as_image(scope, at)
        _, h, w, _ = at.physical_shape
        return _largest(scope, at, (h, w), (1, 1), (0, 0, 0, 0))

    chosen_by_size(scope, chosen)


def _largest(
    scope: Scope, at: Placed, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int]
) -> Placed:
    """Of each window of an NHWC image."""
    t = scope.state.type_of(at)
    op = MaxPool2D(kernel, stride, padding, INT16.range if t.dtype == INT16 else INT8.range)
    return pooled(scope, scope.state.emit(op, [at.name], scope.name, t.quant))


def chosen_by_size(scope: Scope, how: Callable[[Placed], Placed]) -> None:
    """The result is the largest or the smallest of some elements of operand 0: before or after increasing functions, of
    which rounding is one.
    """
    value = scope.value()
    if isinstance(value, Real | Discrete | Known):
        raise Rejected(NOT_ROUNDED)
    if isinstance(value, Quantized) or (
        isinstance(value, Dequantized) and value.is_increasing and value.channel is None
    ):
        scope.moved(how)
    else:
        scope.set(Arranged((value,), lambda places, _: how(places[0]), scope.shape(), "increasing"))


def pool_attributes(scope: Scope, rank: int) -> tuple[list[int], list[int], list[int]]:
    """(kernel, strides, dilations) of a pool over `rank` axes."""
    scope.ignore("storage_order")  # of indices, which aren't computed
    scope.ignore("ceil_mode")  # it is in the inferred shape
    kernel, strides, dilations = spatial_attributes(scope, [1] * rank)
    same = scope.attribute("auto_pad", "NOTSET").startswith("SAME")
    if same and any(d > 1 and k > 1 for d, k in zip(dilations, kernel, strict=True)):
        # The specification has ceil(size / stride) windows; onnxruntime leaves dilations out and makes fewer.
        raise Rejected(f"auto_pad SAME with dilations {dilations}: runtimes disagree on the shape of its result")
    return kernel, strides, dilations


def pooled(scope: Scope, name: str) -> Placed:
    """The NHWC result of a pooling operator as its ONNX tensor, which may be 1-D."""
    shape = scope.shape()
    order = output_order(shape)
    return scope.reshaped(Placed(name, shape, order), tuple(shape[axis] for axis in order), shape, order)


def pool_window(scope: Scope, x: Shape) -> tuple[list[int], list[int], list[int]]:
    """(kernel, strides, pads) for two axes; with `ceil_mode` the pads are what the last windows need."""
    if len(x) not in (3, 4):
        raise Rejected(f"its operand has {len(x)} dimensions, supported are 1-D and 2-D pooling")
    kernel, strides, dilations = pool_attributes(scope, len(x) - 2)
    if any(d != 1 for d in dilations):
        raise Rejected(f"dilations {dilations}")
    pads, size, out = padding_of(scope, x[2:], kernel, strides, dilations), x[2:], scope.shape()[2:]
    rank = len(size)
    for axis in range(rank):
        needed = (out[axis] - 1) * strides[axis] + kernel[axis] - size[axis] - pads[axis]
        if needed > pads[rank + axis] or needed < pads[rank + axis] - strides[axis]:
            pads[rank + axis] = max(needed, 0)
    if rank == 1:
        return [*kernel, 1], [*strides, 1], [pads[0], 0, pads[1], 0]
    return kernel, strides, pads
