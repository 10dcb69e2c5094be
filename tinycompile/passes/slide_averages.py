"""Averages over the axis that moves, by sums of rows: those of rows that stay in the window are kept, not the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tinycompile.dtypes import INT16, INT32
from tinycompile.ir import Graph, Node, TensorType
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.mean import Mean
from tinycompile.passes.slide_motion import Motion, Moving
from tinycompile.passes.split_averages import is_global


@dataclass(frozen=True, eq=False)
class Average:
    """A global average of int8 rows that move.

    The window's rows are the first ones, then `chunks` of as many rows as one step brings, then the last ones. In the
    next step a chunk is where the one behind it is in this step: its sum has moved, and the last rows begin with a new
    chunk. Sums of integers don't depend on their order.

    Attributes:
        average: for an image. source: the image: (1, rows, columns, channels) of what is averaged.
        motion: of what is averaged.
        chunks: at least 1.
    """

    node: Node
    average: AveragePool2D | Mean
    source: TensorType
    motion: Motion
    chunks: int

    @property
    def first(self) -> range:
        """The rows before the chunks."""
        return range(self.motion.valid.stop - self.chunks * self.motion.shift)

    @property
    def last(self) -> range:
        """The rows behind the chunks."""
        return range(self.motion.valid.stop, self.motion.size)

    @property
    def entering(self) -> range:
        """The rows that are the last chunk of the next step."""
        return self.last[: self.motion.shift]

    @property
    def read(self) -> set[int]:
        """The rows that are summed in a step."""
        return {*self.first, *self.last}

    def sum_of(self, rows: int) -> TensorType:
        """What holds sums of so many rows for long: they are at least -128 times their values."""
        _, height, width, channels = self.source.shape
        values = rows * height * width // self.motion.size
        return TensorType((1, 1, 1, channels), INT16 if values <= 1 << 8 else INT32)

    @property
    def sums(self) -> TensorType:
        """Of all chunks."""
        one = self.sum_of(self.motion.shift)
        return replace(one, shape=(1, self.chunks, 1, one.shape[3]))

    @property
    def bytes(self) -> int:
        """That are kept."""
        return self.sums.bytes


def averages_of(graph: Graph, moving: Moving) -> Mapping[str, Average]:
    """By the name of the result."""
    return {node.outputs[0]: found for node in graph.nodes if (found := _average(graph, node, moving)) is not None}


def _average(graph: Graph, node: Node, moving: Moving) -> Average | None:
    motion = moving.motions.get(node.inputs[0]) if isinstance(node.op, AveragePool2D | Mean) else None
    if motion is None or not motion.valid:
        return None
    op, sig = node.op, graph.signature(node)
    source = sig.input
    if isinstance(op, Mean) and op.axes == (1,) and len(source.shape) == 3:
        # A signal is an image of one column.
        op = Mean((1, 2), keep_dims=op.keep_dims, rule=op.rule)
        source = TensorType((*source.shape[:2], 1, source.shape[2]), source.dtype, source.quant)
    if not isinstance(op, AveragePool2D | Mean) or not isinstance(op.rule, TfliteRequant | None):
        return None
    if not 1 <= motion.axis < len(sig.input.shape) - 1:
        return None  # channels move, of which each has an average of its own
    chunks = len(motion.valid) // motion.shift
    as_image = type(sig)((source,), sig.outputs)
    return Average(node, op, source, motion, chunks) if chunks and is_global(op, as_image) else None
