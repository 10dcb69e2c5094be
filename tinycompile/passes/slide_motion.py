"""How values move when the model's input does: which rows of a value equal rows that it had one step before.

The window of an input advances by some rows a step. A value whose rows follow from rows of the input, by what each
operator reads (`Op.access`), then moves as well: most of its rows are the ones that were there a step ago, further on.
Not so rows whose computation meets the window's edge: padding stays where it is while everything else moves.

A *row* is all that a tensor has at one position along the axis that moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np

from tinycompile.access import Reach
from tinycompile.ir import Array, Graph, Node, Op, Signature, TensorType
from tinycompile.ops._elementwise import AlongChannels, Elementwise
from tinycompile.ops._spatial import SpatialOp
from tinycompile.ops.pad import Pad
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.slice import Slice
from tinycompile.ops.take import Take
from tinycompile.ops.transpose import Transpose


@dataclass(frozen=True)
class Motion:
    """How a value moves.

    Attributes:
        axis: the dimension of its tensor along which it moves. size: its rows.
        shift: by so many rows in each step; 0 where no row is one of the step before.
        valid: the rows i that equal row i + `shift` of the step before.
    """

    axis: int
    size: int
    shift: int
    valid: range

    @property
    def everything(self) -> range:
        return range(self.size)


@dataclass(frozen=True)
class Reading:
    """What a row of a node's output reads of an operand that moves."""

    motion: Motion
    reach: Reach

    def rows(self, rows: range) -> tuple[range, tuple[int, int]]:
        """(rows of the operand that some rows of the output read, rows of padding that they read before and after)."""
        hull, size = self.reach.hull(rows), self.motion.size
        inside = range(max(hull.start, 0), max(min(hull.stop, size), 0))
        return inside, (max(0, -hull.start), max(0, hull.stop - size))

    def is_the_same(self, row: int) -> bool:
        """Whether the rows under a window are those that were under the window one shift further a step before."""
        motion, inside = self.motion, self.motion.everything
        return all(
            tap in motion.valid if tap in inside else tap + motion.shift not in inside for tap in self.reach.taps(row)
        )


@dataclass(frozen=True, eq=False)
class Divided:
    """A node that can be computed for some rows of its output.

    Attributes:
        motion: of its output.
        readings: of each operand that moves, by its number.
        along: of each constant that has a row for each of the output's, by its number: the dimension.
    """

    node: Node
    motion: Motion
    readings: Mapping[int, Reading]
    along: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class Moving:
    """What moves in a graph.

    Attributes:
        motions: by value; what isn't there has no rows that move, and is computed as a whole.
        divided: by the value that each node computes.
        misfits: (node, its input's shift, its stride) where a step of the window is no whole step of a layer's output.
    """

    motions: Mapping[str, Motion]
    divided: Mapping[str, Divided]
    misfits: Sequence[tuple[str, int, int]]


def moving(graph: Graph, name: str, axis: int, step: int) -> Moving:
    """How everything moves when input `name` advances by `step` rows along dimension `axis` of its tensor."""
    size = graph.types[name].shape[axis]
    motions = {name: Motion(axis, size, step, range(size - step))}
    divided, misfits = dict[str, Divided](), list[tuple[str, int, int]]()
    for node in graph.nodes:
        found = _divided(graph, node, motions, misfits)
        if found is not None:
            divided[node.outputs[0]] = found
            motions[node.outputs[0]] = found.motion
    return Moving(motions, divided, misfits)


def part_of(op: Op, sig: Signature, axis: int, rows: int, padding: tuple[int, int]) -> Op | None:
    """The operator for so many rows of its output, which lie along dimension `axis`.

    Args:
        padding: rows before and after its operand that this part reads: in memory, unless `pads_itself`.

    Returns:
        None where there is no such operator.
    """
    match op:
        case Pad():
            return Pad((*op.amounts[:axis], padding, *op.amounts[axis + 1 :]), op.value)
        case Reshape():
            return Reshape((*op.shape[:axis], rows, *op.shape[axis + 1 :]))
        case Slice():
            begin = (*op.begin[:axis], 0, *op.begin[axis + 1 :])
            return Slice(begin, (*op.size[:axis], rows, *op.size[axis + 1 :]), op.step)
        case Take() if op.axis == axis:
            step = _step_of(op) or 1
            return Take(axis, tuple(range(0, rows * step, step)))
        case Transpose() | Take():
            return op
        case Elementwise() if _by_element(op, sig):
            return op
        case _:
            sizes = [rows if dimension == axis else None for dimension in range(1, len(sig.output.shape) - 1)]
            part = op.part(sig, sizes)
            return part.padded_along(axis - 1, padding) if isinstance(part, SpatialOp) else part


def moves_nothing(op: Op, x: TensorType, y: TensorType) -> bool:
    """Whether a part's result is its operand: nothing padded, everything sliced.

    Args:
        y: the type of the whole result; its shape doesn't matter.
    """
    if x.quant is not y.quant and not (x.quant is not None and x.quant.same_as(y.quant)):
        return False
    match op:
        case Pad():
            return not any(map(any, op.amounts))
        case Slice():
            return op.size == x.shape and set(op.step) == {1}
        case Take():
            return op.indices == tuple(range(x.shape[op.axis]))
        case _:
            return False


def pads_itself(op: Op) -> bool:
    """Whether a part of an operator has padding of its own."""
    return isinstance(op, SpatialOp | Pad)


def _divided(
    graph: Graph, node: Node, motions: Mapping[str, Motion], misfits: list[tuple[str, int, int]]
) -> Divided | None:
    """None where a node has to be computed as a whole."""
    moved = {i: motions[name] for i, name in enumerate(node.inputs) if name in motions}
    if not moved or len(node.outputs) != 1:
        return None
    sig = graph.signature(node)
    axis = _output_axis(node.op, sig, moved)
    if axis is None:
        return None
    readings, along, steady = dict[int, Reading](), dict[int, int](), True
    for operand, name in enumerate(node.inputs):
        reach, dimension = _read(node.op, sig, operand, axis)
        if operand in moved:
            if reach is None or not reach.stride or reach.up != 1 or dimension != moved[operand].axis:
                return None
            leaves = reach.leaves(sig.output.shape[axis], moved[operand].size)
            if leaves and not pads_itself(node.op) and node.op.access(sig, operand).fill is None:
                return None
            readings[operand] = Reading(moved[operand], reach)
        elif name in graph.constants:
            if reach is not None and reach.stride:
                if reach != Reach():
                    return None
                along[operand] = dimension
                steady &= _alike(graph.constants[name], dimension)
        elif reach is None or not reach.stride:
            steady = False  # of the whole window, so another one in every step
        else:
            return None
    size = sig.output.shape[axis]
    if part_of(node.op, sig, axis, 1, (0, 0)) is None:
        return None
    motion = _motion(node, axis, size, tuple(readings.values()), misfits) if steady else None
    return Divided(node, motion or Motion(axis, size, 0, range(0)), readings, along)


def _output_axis(op: Op, sig: Signature, moved: Mapping[int, Motion]) -> int | None:
    """The dimension of the output along which it moves, or could; None if there is none."""
    first, motion = next(iter(moved.items()))
    match op:
        case Reshape():
            return _reshaped(sig.input.shape, sig.output.shape, motion.axis)
        case Transpose():
            return op.permutation.index(motion.axis)
        case Slice():
            return motion.axis if op.step[motion.axis] > 0 else None
        case Take():
            return motion.axis if op.axis != motion.axis or _step_of(op) else None
        case Elementwise() if _by_element(op, sig):  # whatever the axis: an ONNX file's QuantizeLinear has time last
            return motion.axis
        case _:
            axis = motion.axis - op.access(sig, first).first_axis + 1
            shape = sig.output.shape
            return axis if len(shape) >= 3 and shape[0] == 1 and 1 <= axis < len(shape) - 1 else None


def _reshaped(before: Sequence[int], after: Sequence[int], axis: int) -> int | None:
    """Where a dimension is after a RESHAPE, if that leaves it whole."""
    outside = prod(before[:axis])
    places = (i for i, n in enumerate(after) if n == before[axis] and prod(after[:i]) == outside)
    return next(places, None)


def _read(op: Op, sig: Signature, operand: int, axis: int) -> tuple[Reach | None, int]:
    """(what a row of the output reads of an operand, the dimension of the operand's rows)."""
    match op:
        case Reshape():
            found = _reshaped(sig.output.shape, sig.input.shape, axis)
            return (None, 0) if found is None else (Reach(), found)
        case Transpose():
            return Reach(), op.permutation[axis]
        case Slice():
            return Reach(stride=op.step[axis], before=-op.begin[axis]), axis
        case Take():
            return Reach(stride=_step_of(op) or 1, before=-op.indices[0]) if op.axis == axis else Reach(), axis
        case Elementwise() if _by_element(op, sig):
            return Reach(), axis
        case _:
            access = op.access(sig, operand)
            # A constant of fewer dimensions broadcasts to the last ones.
            missing = len(sig.output.shape) - len(sig.inputs[operand].shape)
            return access.along(axis - 1), axis - 1 + access.first_axis - missing


def _by_element(op: Elementwise, sig: Signature) -> bool:
    """Whether an element of the output depends on the same one of the only operand, so that rows lie along any axis."""
    return len(sig.inputs) == 1 and not isinstance(op, AlongChannels)


def _step_of(op: Take) -> int | None:
    """Rows from one index to the next, if that is always as many; 1 of a single one."""
    steps = {after - before for before, after in pairwise(op.indices)} or {1}
    return next(iter(steps)) if len(steps) == 1 and min(steps) > 0 else None


def _alike(values: Array, axis: int) -> bool:
    """Whether all rows of a constant are the same."""
    return bool(np.all(values == np.take(values, [0], axis)))


def _motion(
    node: Node, axis: int, size: int, readings: Sequence[Reading], misfits: list[tuple[str, int, int]]
) -> Motion | None:
    """None where no row of the output is one that was there a step before."""
    shifts = set[int]()
    for reading in readings:
        stride, shift = reading.reach.stride, reading.motion.shift
        if not reading.motion.valid or (size - 1) * stride < shift:
            return None
        if shift % stride:
            misfits.append((node.name, shift, stride))
            return None
        shifts.add(shift // stride)
    if len(shifts) != 1:
        return None
    (shift,) = shifts
    runs = runs_of([row for row in range(size - shift) if all(reading.is_the_same(row) for reading in readings)])
    return Motion(axis, size, shift, max(runs, key=len)) if runs else None


def runs_of(rows: Sequence[int]) -> list[range]:
    """Ascending numbers as runs of neighbours."""
    found = list[range]()
    for row in rows:
        if found and found[-1].stop == row:
            found[-1] = range(found[-1].start, row + 1)
        else:
            found.append(range(row, row + 1))
    return found
