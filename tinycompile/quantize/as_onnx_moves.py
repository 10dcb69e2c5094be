"""How operators that only move elements, and resizing, are written (`as_onnx_writer.py`)."""

from __future__ import annotations

import numpy as np

from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Node, Signature
from tinycompile.ops.broadcast_to import BroadcastTo
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.depth_to_space import DepthToSpace
from tinycompile.ops.identity import Identity
from tinycompile.ops.mirror_pad import MirrorPad
from tinycompile.ops.pad import Pad
from tinycompile.ops.repeat import Repeat
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.resize_bilinear import ResizeBilinear
from tinycompile.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from tinycompile.ops.slice import Slice
from tinycompile.ops.space_to_depth import SpaceToDepth
from tinycompile.ops.take import Take
from tinycompile.ops.transpose import Transpose
from tinycompile.quantize.as_onnx_writer import FIRST, FROM_FIRST, LAST, Writer, exports, position


@exports(Transpose)
def transpose(writer: Writer, node: Node, sig: Signature) -> None:
    """Between channels first and last it is the same value in the other order."""
    op, x = node.op, node.inputs[0]
    if not isinstance(op, Transpose):
        raise TypeError(f"{op.kind} is no transposition")
    if x not in writer.graph.constants and op.permutation == FROM_FIRST:
        return writer.same(node.outputs[0], FIRST, writer.read(x))
    if x not in writer.graph.constants and op.permutation == FIRST:
        return writer.same(node.outputs[0], LAST, writer.read(x, FIRST))
    return writer.node("Transpose", [writer.read(x)], [writer.result(node)], perm=list(op.permutation))


@exports(Reshape)
def reshape(writer: Writer, node: Node, sig: Signature) -> None:
    """An image of one pixel has the same elements in both orders, and so has one of one channel."""
    x, shape = node.inputs[0], sig.input.shape
    flat = writer.is_first(x) and (shape[3] == 1 or shape[1] == shape[2] == 1)
    target = writer.integers(f"{node.outputs[0]}_shape", sig.output.shape)
    writer.node("Reshape", [writer.read(x, FIRST if flat else LAST), target], [writer.result(node)])


@exports(Identity)
def identity(writer: Writer, node: Node, sig: Signature) -> None:
    order = writer.order(node, sig)
    writer.node("Identity", [writer.read(node.inputs[0], order)], [writer.result(node, order)])


@exports(Concatenation)
def concatenation(writer: Writer, node: Node, sig: Signature) -> None:
    op, order = node.op, writer.order(node, sig)
    if not isinstance(op, Concatenation):
        raise TypeError(f"{op.kind} is no concatenation")
    operands = [writer.read(value, order) for value in node.inputs]
    writer.node("Concat", operands, [writer.result(node, order)], axis=position(op.axis, order))


@exports(Pad, MirrorPad)
def pad(writer: Writer, node: Node, sig: Signature) -> None:
    op, order, y = node.op, writer.order(node, sig), node.outputs[0]
    if not isinstance(op, Pad | MirrorPad) or (isinstance(op, MirrorPad) and op.mode != "reflect"):
        raise Rejected("it repeats the outermost elements")
    amounts = [op.amounts[axis] for axis in order] if order == FIRST else list(op.amounts)
    operands = [writer.integers(f"{y}_pads", [*(a for a, _ in amounts), *(b for _, b in amounts)])]
    if isinstance(op, Pad):
        operands.append(writer.constant(f"{y}_fill", np.float32(op.value)))
    mode = "constant" if isinstance(op, Pad) else "reflect"
    writer.node("Pad", [writer.read(node.inputs[0], order), *operands], [writer.result(node, order)], mode=mode)


@exports(Take)
def take(writer: Writer, node: Node, sig: Signature) -> None:
    """A slice, or a gather where its indices have no common distance."""
    op, order = node.op, writer.order(node, sig)
    if not isinstance(op, Take):
        raise TypeError(f"{op.kind} takes nothing")
    x, y, axis = writer.read(node.inputs[0], order), writer.result(node, order), position(op.axis, order)
    steps = np.unique(np.diff(op.indices))
    if steps.size > 1 or not np.all(steps):
        return writer.node("Gather", [x, writer.integers(f"{y}_indices", op.indices)], [y], axis=axis)
    step, first = int(steps[0]) if steps.size else 1, op.indices[0]
    return _slice(writer, x, y, [(first, len(op.indices), step, axis)])


@exports(Slice)
def slice_(writer: Writer, node: Node, sig: Signature) -> None:
    op, order = node.op, writer.order(node, sig)
    if not isinstance(op, Slice):
        raise TypeError(f"{op.kind} is no slice")
    x, y = writer.read(node.inputs[0], order), writer.result(node, order)
    parts = zip(op.begin, op.size, op.step, strict=True)
    _slice(writer, x, y, [(*part, position(axis, order)) for axis, part in enumerate(parts)])


def _slice(writer: Writer, x: str, y: str, parts: list[tuple[int, int, int, int]]) -> None:
    """(first, count, step, axis) each; an end before the first element is what ONNX has for none."""
    ends = [end if (end := first + count * step) >= 0 else -(2**31) for first, count, step, _ in parts]
    lists = [p[0] for p in parts], ends, [p[3] for p in parts], [p[2] for p in parts]
    writer.node("Slice", [x, *(writer.integers(f"{y}_slice", values) for values in lists)], [y])


@exports(Repeat, BroadcastTo)
def repeat(writer: Writer, node: Node, sig: Signature) -> None:
    op, y = node.op, node.outputs[0]
    kind, numbers = ("Tile", op.multiples) if isinstance(op, Repeat) else ("Expand", sig.output.shape)
    writer.node(kind, [writer.read(node.inputs[0]), writer.integers(f"{y}_{kind}", numbers)], [writer.result(node)])


@exports(DepthToSpace, SpaceToDepth)
def blocks(writer: Writer, node: Node, sig: Signature) -> None:
    """TFLite's order of a block's channels is ONNX's DCR, its default."""
    op = node.op
    if not isinstance(op, DepthToSpace | SpaceToDepth):
        raise TypeError(f"{op.kind} moves no blocks")
    x, y = writer.read(node.inputs[0], FIRST), writer.result(node, FIRST)
    writer.node("DepthToSpace" if isinstance(op, DepthToSpace) else "SpaceToDepth", [x], [y], blocksize=op.block)


@exports(ResizeBilinear, ResizeNearestNeighbor)
def resize(writer: Writer, node: Node, sig: Signature) -> None:
    """The nearest element lies below the coordinate, or half a step further where elements have centres."""
    op = node.op
    if not isinstance(op, ResizeBilinear | ResizeNearestNeighbor):
        raise TypeError(f"{op.kind} doesn't resize")
    aligned, centred = op.align_corners, op.half_pixel_centers
    attributes = {
        "mode": "linear" if isinstance(op, ResizeBilinear) else "nearest",
        "coordinate_transformation_mode": "align_corners" if aligned else "half_pixel" if centred else "asymmetric",
    }
    if isinstance(op, ResizeNearestNeighbor):
        attributes["nearest_mode"] = "round_prefer_ceil" if aligned or centred else "floor"
    sizes = writer.integers(f"{node.outputs[0]}_sizes", [sig.output.shape[axis] for axis in FIRST])
    x, y = writer.read(node.inputs[0], FIRST), writer.result(node, FIRST)
    writer.node("Resize", [x, "", "", sizes], [y], **attributes)
