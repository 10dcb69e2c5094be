"""Operators that move elements without computing: pieces, repetition, blocks, other element types."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType

import numpy as np

from tinycompile.frontend.tflite_axes import axis_of, operand_axis
from tinycompile.frontend.tflite_places import slice_at, strided_slice_at
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.frontend.tflite_shapes import strided_places
from tinycompile.ir import TensorType
from tinycompile.ops.batch_to_space import BatchToSpace
from tinycompile.ops.broadcast_to import BroadcastTo
from tinycompile.ops.cast import Cast
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.depth_to_space import DepthToSpace
from tinycompile.ops.mirror_pad import MirrorPad
from tinycompile.ops.pad import Pad
from tinycompile.ops.repeat import Repeat
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.slice import Slice
from tinycompile.ops.space_to_batch import SpaceToBatch
from tinycompile.ops.space_to_depth import SpaceToDepth

Shape = tuple[int, ...]

EMPTY = "its result has no elements"


def same_quantization(scope: Scope) -> None:
    """LiteRT refuses these operators where the result has another scale or zero point, instead of ignoring it."""
    quant = scope.input_type().quant
    for index in scope.operator.outputs:
        other = scope.values.type(index).quant
        if quant is not None and not quant.same_as(other):
            raise Rejected("input and output differ in scale or zero point, and the operator does not rescale")


def reshaped(scope: Scope, value: str, shape: Shape, suffix: str = "reshaped") -> str:
    """A value with another shape."""
    t = scope.values.builder.types[value]
    if t.shape == shape:
        return value
    result = scope.temporary(suffix, TensorType(shape, t.dtype, t.quant))
    scope.emit(Reshape(shape), [value], result)
    return result


def sliced(scope: Scope, op: Slice, shape: Shape, output: str) -> None:
    """A slice of operand `x` with the axes of `shape`, which are those of the slice but for ones."""
    x = scope.values.builder.types[value := scope.input(_sliced_operand(scope))]
    if op.size == shape:
        return scope.emit(op, [value], output)
    if op.size == x.shape and all(step == 1 for step in op.step):
        return scope.emit(Reshape(shape), [value], output)
    whole = scope.temporary("slice", TensorType(op.size, x.dtype, x.quant))
    scope.emit(op, [value], whole)
    return scope.emit(Reshape(shape), [whole], output)


def _sliced_operand(scope: Scope) -> int:
    return 1 if scope.operator.name == "SPLIT" else 0


@importer("SLICE", options=tflite.SliceOptions, versions=8)
def slice_op(scope: Scope) -> None:
    shape = scope.input_type().shape
    if scope.known(1) is None:
        return slice_at(scope, scope.integers(2, "the size"))
    begin, given = scope.integers(1, "the begin"), scope.integers(2, "the size")
    if not len(begin) == len(given) == len(shape):
        raise scope.fail(f"a begin of {len(begin)} and a size of {len(given)} for the shape {list(shape)}")
    size = [n - first if count == -1 else count for n, first, count in zip(shape, begin, given, strict=True)]
    if 0 in size:
        raise Rejected(EMPTY)
    return scope.emit(Slice(tuple(begin), tuple(size), (1,) * len(shape)), [scope.input()])


@importer("STRIDED_SLICE", options=tflite.StridedSliceOptions, versions=8)
def strided_slice(scope: Scope) -> None:
    shape = scope.input_type().shape
    if scope.known(1) is None:
        return strided_slice_at(scope)
    bounds = [scope.integers(1, "the begin"), scope.integers(2, "the end"), scope.integers(3, "the strides")]
    if len({len(given) for given in bounds}) != 1:
        raise scope.fail("begin, end and strides differ in length")
    op, result = _slice_of(scope, shape, strided_places(scope, shape, *bounds))
    return sliced(scope, op, result, scope.output())


def _slice_of(scope: Scope, shape: Shape, places: Sequence[int | slice | EllipsisType | None]) -> tuple[Slice, Shape]:
    """The slice behind an index of NumPy, and the shape of its result."""
    named = sum(1 for place in places if place is not None and place is not Ellipsis)
    if named > len(shape):
        raise scope.fail(f"{named} bounds for the shape {list(shape)}")
    rest = [slice(None)] * (len(shape) - named)
    filled = list[int | slice | None]()
    for place in places:
        filled += rest if isinstance(place, EllipsisType) else [place]
    if not any(isinstance(place, EllipsisType) for place in places):
        filled += rest
    bounds, result, sizes = list[tuple[int, int, int]](), list[int](), iter(shape)
    for place in filled:
        if place is None:
            result.append(1)
            continue
        length = next(sizes)
        bounds.append(_bounds(place, length))
        if isinstance(place, slice):
            result.append(bounds[-1][1])
    begin, size, step = zip(*bounds, strict=True) if bounds else ((), (), ())
    return Slice(begin, size, step), tuple(result)


def _bounds(place: int | slice, length: int) -> tuple[int, int, int]:
    """(first index, elements, step) of an axis."""
    if isinstance(place, int):
        if not -length <= place < length:
            raise Rejected(f"it reads index {place} of {length}")
        return place % length, 1, 1
    found = range(length)[place]
    if not found:
        raise Rejected(EMPTY)
    return found[0], len(found), found.step if len(found) > 1 else 1


@importer("SPLIT", options=tflite.SplitOptions, versions=5)
def split(scope: Scope) -> None:
    """Its first operand is the axis."""
    count, shape = scope.options.integer("NumSplits"), scope.input_type(1).shape
    axis = operand_axis(scope, 0, len(shape))
    if count < 1 or count != len(scope.operator.outputs) or shape[axis] % count:
        raise scope.fail(f"its option num_splits is {count} for axis {axis} of the shape {list(shape)}")
    _pieces(scope, shape, axis, [shape[axis] // count] * count)


@importer("SPLIT_V", options=tflite.SplitVOptions, versions=3)
def split_v(scope: Scope) -> None:
    count, shape = scope.options.integer("NumSplits"), scope.input_type().shape
    sizes, axis = scope.integers(1, "the sizes"), operand_axis(scope, 2, len(shape))
    if len(sizes) != count or sizes.count(-1) > 1:
        raise scope.fail(f"its option num_splits is {count} for the sizes {sizes}")
    rest = shape[axis] - sum(size for size in sizes if size != -1)
    sizes = [rest if size == -1 else size for size in sizes]
    if sum(sizes) != shape[axis] or min(sizes) < 0:
        raise scope.fail(f"axis {axis} of the shape {list(shape)} in pieces of {sizes}")
    _pieces(scope, shape, axis, sizes)


def _pieces(scope: Scope, shape: Shape, axis: int, sizes: Sequence[int]) -> None:
    """One slice per result: each is computed, or is its operand's memory, when its turn comes."""
    if 0 in sizes:
        raise Rejected(EMPTY)
    begin = 0
    for output, size in zip(scope.outputs(len(sizes)), sizes, strict=True):
        op = Slice.of_axis(shape, axis, begin, size)
        sliced(scope, op, op.size, output)
        begin += size


@importer("UNPACK", options=tflite.UnpackOptions, versions=6)
def unpack(scope: Scope) -> None:
    same_quantization(scope)
    shape, count = scope.input_type().shape, scope.options.integer("Num")
    axis = axis_of(scope, scope.options.integer("Axis"), len(shape))
    if shape[axis] != count:
        raise scope.fail(f"its option num is {count} for axis {axis} of the shape {list(shape)}")
    for index, output in enumerate(scope.outputs(count)):
        sliced(scope, Slice.of_axis(shape, axis, index, 1), (*shape[:axis], *shape[axis + 1 :]), output)


@importer("PACK", options=tflite.PackOptions, versions=5)
def pack(scope: Scope) -> None:
    """A concatenation along an axis that the operands get for it."""
    count, shape = scope.options.integer("ValuesCount"), scope.input_type().shape
    if count != len(scope.operator.inputs):
        raise scope.fail(f"its option values_count is {count} for {len(scope.operator.inputs)} operands")
    if any(t.shape != shape for t in scope.input_types()):
        raise scope.fail("its operands have several shapes")
    axis = axis_of(scope, scope.options.integer("Axis"), len(shape) + 1)
    longer = (*shape[:axis], 1, *shape[axis:])
    scope.emit(Concatenation(axis), [reshaped(scope, value, longer, "operand") for value in scope.inputs()])


@importer("REVERSE_V2", options=tflite.ReverseV2Options, versions=4)
def reverse(scope: Scope) -> None:
    shape = scope.input_type().shape
    axes = {axis_of(scope, axis, len(shape)) for axis in scope.integers(1, "the list of axes")}
    begin = tuple(n - 1 if axis in axes else 0 for axis, n in enumerate(shape))
    scope.emit(Slice(begin, shape, tuple(-1 if axis in axes else 1 for axis in range(len(shape)))), [scope.input()])


@importer("TILE", options=tflite.TileOptions, versions=3)
def tile(scope: Scope) -> None:
    multiples = scope.integers(1, "the multiples")
    if 0 in multiples:
        raise Rejected(EMPTY)
    scope.emit(Repeat(tuple(multiples)), [scope.input()])


@importer("BROADCAST_TO", options=tflite.BroadcastToOptions, versions=4)
def broadcast_to(scope: Scope) -> None:
    scope.emit(BroadcastTo(tuple(scope.integers(1, "the shape"))), [scope.input()])


@importer("FILL", options=tflite.FillOptions, versions=5)
def fill(scope: Scope) -> None:
    """Its first operand is the shape."""
    shape, value = tuple(scope.integers(0, "the shape")), scope.input_type(1)
    if value.elements != 1:
        raise scope.fail(f"the value has the shape {list(value.shape)}")
    if value.quant is not None and not value.quant.same_as(scope.output_type().quant):
        raise Rejected("value and output differ in scale or zero point, and the operator does not rescale")
    if 0 in shape:
        raise Rejected(EMPTY)
    scope.emit(BroadcastTo(shape), [reshaped(scope, scope.input(1), ())])


@importer("ZEROS_LIKE", options=tflite.ZerosLikeOptions, versions=1)
def zeros_like(scope: Scope) -> None:
    x = scope.input_type()
    zero = scope.derived("zero", TensorType((), x.dtype), np.zeros((), x.dtype.carrier))
    scope.emit(BroadcastTo(x.shape), [zero])


@importer("MIRROR_PAD", options=tflite.MirrorPadOptions, versions=3)
def mirror_pad(scope: Scope) -> None:
    same_quantization(scope)
    modes = {tflite.MirrorPadMode.REFLECT: "reflect", tflite.MirrorPadMode.SYMMETRIC: "symmetric"}
    mode = scope.options.integer("Mode")
    if mode not in modes:
        raise Rejected(f"its option mode is {mode}, supported are REFLECT and SYMMETRIC")
    amounts = _pairs(scope, 1, "the padding")
    scope.emit(MirrorPad(amounts, "symmetric" if modes[mode] == "symmetric" else "reflect"), [scope.input()])


def _pairs(scope: Scope, operand: int, what: str) -> tuple[tuple[int, int], ...]:
    """A constant operand of shape (n, 2)."""
    values = scope.integers(operand, what)
    if len(values) % 2:
        raise scope.fail(f"{what} has {len(values)} values")
    return tuple(zip(values[::2], values[1::2], strict=True))


def _block(scope: Scope) -> int:
    block = scope.options.integer("BlockSize")
    if block < 1:
        raise scope.fail(f"its option block_size is {block}")
    return block


@importer("SPACE_TO_DEPTH", options=tflite.SpaceToDepthOptions, versions=2)
def space_to_depth(scope: Scope) -> None:
    scope.emit(SpaceToDepth(_block(scope)), [scope.input()])


@importer("DEPTH_TO_SPACE", options=tflite.DepthToSpaceOptions, versions=2)
def depth_to_space(scope: Scope) -> None:
    scope.emit(DepthToSpace(_block(scope)), [scope.input()])


@importer("SPACE_TO_BATCH_ND", versions=4)
def space_to_batch(scope: Scope) -> None:
    """Pads with the zero point, then moves."""
    same_quantization(scope)
    block, pairs = tuple(scope.integers(1, "the block")), _pairs(scope, 2, "the padding")
    x, value = scope.input_type(), scope.input()
    if len(block) != len(pairs) or len(block) >= len(x.shape):
        raise scope.fail(f"a block of {list(block)} and {len(pairs)} pairs for the shape {list(x.shape)}")
    if any(n for pair in pairs for n in pair):
        amounts = ((0, 0), *pairs, *((0, 0),) * (len(x.shape) - len(pairs) - 1))
        shape = tuple(n + sum(pair) for n, pair in zip(x.shape, amounts, strict=True))
        padded = scope.temporary("padded", TensorType(shape, x.dtype, x.quant))
        fill = x.zero_point if x.quant is not None and x.quant.is_per_tensor else 0
        if scope.runtime == "tflm":  # whatever the type and the zero point: what was in the arena before it began
            raise Rejected("TFLM pads with a value that it never sets; --match litert pads right")
        scope.emit(Pad(amounts, fill), [value], padded)
        value = padded
    scope.emit(SpaceToBatch(block), [value])


@importer("BATCH_TO_SPACE_ND", versions=4)
def batch_to_space(scope: Scope) -> None:
    same_quantization(scope)
    block, crops = tuple(scope.integers(1, "the block")), _pairs(scope, 2, "the crops")
    scope.emit(BatchToSpace(block, crops), [scope.input()])


@importer("CAST", options=tflite.CastOptions, versions=9)
def cast(scope: Scope) -> None:
    scope.options.without_effect("InDataType", "OutDataType")  # the tensors' own types count
    scope.emit(Cast(scope.output_type().dtype), [scope.input()])
