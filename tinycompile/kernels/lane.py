"""The byte-lane product for matrix-like layers on cores with the DSP extension (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for, safe_distance
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.linear_layer import LinearLayer, has_wide_weights
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.kernels.work import Work
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

SHORT_ROUND, LONG_ROUND = 2, 8
"""Groups of 4 inputs in a round of the fully connected block functions' loop."""

PRE = 8
"""The accumulators hold 256 times the sum."""


def pack_words(matrix: Array, *, direct: bool = False) -> Array | None:
    """Weights (C, K) with K a multiple of 4 as words (C, K / 4): lanes 256 w1 + w0 and 256 w3 + w2.

    Args:
        direct: for inputs that are expanded as they are read: lanes w1 - 256 w0 and w3 - 256 w2.

    None where a lane leaves int16, which takes a weight of -128.
    """
    w = matrix.reshape(matrix.shape[0], -1, 4).astype(np.int64)
    if direct:
        low, high = w[..., 1] - 256 * w[..., 0], w[..., 3] - 256 * w[..., 2]
    else:
        low, high = 256 * w[..., 1] + w[..., 0], 256 * w[..., 3] + w[..., 2]
    lanes = np.stack([low, high])
    if lanes.min(initial=0) < -(2**15) or lanes.max(initial=0) >= 2**15:
        return None
    return ((low & 0xFFFF) | ((high & 0xFFFF) << 16)).astype(np.uint32).view(np.int32)


def padded(array: Array, rows: int, columns: int) -> Array:
    """Filled up with zeros to (rows, columns)."""
    return np.pad(array, ((0, rows - array.shape[0]), (0, columns - array.shape[1])))


def lane_offset(matrix: Array, *, direct: bool = False) -> Array:
    """What the expanded inputs add to each accumulator beside 256 times the sum.

    -256 * 127 * (sum of the weights at odd positions), or 256 * 128 * (sum of those at even positions).
    """
    return 256 * 128 * matrix[:, 0::2].sum(axis=1) if direct else -256 * 127 * matrix[:, 1::2].sum(axis=1)


def channel_stream(
    words: Array, plan: RequantPlan, together: int, order: Array | None = None, *, words_together: int = 1
) -> Array:
    """int32 stream per `together` channels: their starts, their words interleaved, the parameters of each channel.

    Args:
        order: the channels in the order of the stream; None for all, as they are.
        words_together: so many words of a channel before the next channel's, a divisor of each one's number.
    """
    fields = plan.parameters
    taken: Array = np.arange(len(words)) if order is None else order
    blocks = -(-taken.size // together)
    rows = blocks * together
    start = padded(plan.start[taken, None], rows, 1).reshape(blocks, -1)
    body = padded(words[taken], rows, words.shape[1]).reshape(blocks, together, -1, words_together)
    body = body.transpose(0, 2, 1, 3).reshape(blocks, -1)
    parameters = padded(np.stack(fields, axis=1)[taken], rows, len(fields)).reshape(blocks, -1)
    return np.concatenate([start, body, parameters], axis=1).astype(np.int32).ravel()


@dataclass(frozen=True, eq=False)
class Lanes:
    """A layer that the byte-lane product computes; its weights are packed when somebody reads them.

    Attributes:
        direct: as in `pack_words`.
    """

    layer: LinearLayer
    direct: bool
    plan: RequantPlan
    requant: RequantBlock

    @staticmethod
    def of(layer: LinearLayer, *, direct: bool = False) -> Lanes | None:
        """None where the byte-lane product can't compute the layer."""
        if not layer.fits(PRE) or not _fits_lanes(layer, direct):
            return None
        plan = layer.solve(PRE, lane_offset(layer.matrix, direct=direct))
        requant = RequantBlock.of(plan)
        return None if requant is None else Lanes(layer, direct, plan, requant)

    @property
    def groups(self) -> int:
        """Words of a channel: four taps each."""
        return -(-self.layer.taps // 4)

    @property
    def record(self) -> int:
        """Words of a channel with its start and its requantisation."""
        return 1 + self.groups + (3 if self.requant.signed else 2)

    def stream(self, together: int, order: Array | None = None) -> Deferred:
        """`channel_stream` of the layer."""
        channels = self.layer.channels if order is None else order.size
        size = -(-channels // together) * together * self.record
        return Deferred(size, np.int32, lambda: channel_stream(self.words, self.plan, together, order))

    @property
    def words(self) -> Array:
        """(C, groups): the weights, packed."""
        words = pack_words(_whole_words(self.layer), direct=self.direct)
        if words is None:
            raise ValueError("a lane leaves int16")
        return words


def _whole_words(layer: LinearLayer) -> Array:
    return padded(layer.matrix, layer.channels, -(-layer.taps // 4) * 4)


def _fits_lanes(layer: LinearLayer, direct: bool) -> bool:
    """Whether there are `pack_words`: without a weight of -128 always."""
    return layer.lowest_weight > -128 or pack_words(_whole_words(layer), direct=direct) is not None


def as_rows(site: Site) -> tuple[int, int, int] | None:
    """(rows, inputs, outputs) of a layer that multiplies each of its input's rows by a matrix; None if it doesn't.

    A convolution does where its window is one pixel or, once, the whole image.
    """
    op, (x, w), y = site.node.op, site.sig.inputs[:2], site.sig.output
    inputs, outputs = w.elements // w.shape[0], w.shape[0]
    if isinstance(op, Conv2D):
        pointwise = w.shape[1:] == (1, 1, x.shape[3]) and op.stride == (1, 1)
        whole = w.shape[1:] == x.shape[1:] and op.dilation == (1, 1)
        if any(op.padding) or not (pointwise or whole):
            return None
    return y.elements // outputs, inputs, outputs


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """1 row x 8 channels in registers; the whole row is expanded first."""
    return _rows_kernel(site, core, direct=False)


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_long(site: Site, core: Core) -> Kernel | None:
    """The same with a longer loop, where that saves an instruction for every two bytes that it has more."""
    short, long = (_rows_kernel(site, core, direct=False, together=together) for together in (SHORT_ROUND, LONG_ROUND))
    if short is None or long is None:
        return None
    saved, more = short.instructions - long.instructions, long.code_bytes - short.code_bytes
    return long if 2 * saved >= more else None


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_direct(site: Site, core: Core) -> Kernel | None:
    """The same without scratch: inputs are expanded as they are read, for every 8 channels again."""
    return _rows_kernel(site, core, direct=True)


def _rows_kernel(site: Site, core: Core, *, direct: bool, together: int = SHORT_ROUND) -> Kernel | None:
    """`together`: groups of 4 inputs in a round of the loop."""
    if site.constants[1] is None or has_wide_weights(site):
        return None
    shape = as_rows(site)
    if shape is None:
        return None
    rows, inputs, outputs = shape
    if direct and inputs % 4:
        return None  # the last word would reach beyond the row
    layer = LinearLayer.of(site)
    lanes = Lanes.of(layer, direct=direct)
    if lanes is None:
        return None
    groups, requant, stream = lanes.groups, lanes.requant, lanes.stream(8)
    blocks = -(-outputs // 8)
    suffix, single = "_direct" if direct else "", core.issue.single_loads and not direct
    name = "direct" if direct else "lane" if together == SHORT_ROUND else "long"
    macro = suffix.upper() + ("_SINGLE" if single else "") + ("_LONG" if name == "long" else "")
    block_kind = f"lane_row{suffix}" + ("_long" if name == "long" else "")
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
    used = parameters[:3] if direct else parameters
    words = stream.size // blocks
    shape = {"rows": rows, "inputs": inputs, "outputs": outputs, "block_words": words, "round": together}
    function = struct_call(
        f"fully_connected_{name}_{rows}x{inputs}_{outputs}",
        f"tc_lane_fully_connected{suffix}_s8",
        "tc_lane_fully_connected.h",
        used,
        (Struct("tc_lane_fully_connected_shape", shape),),
        "Fully connected layer by the byte-lane product, 8 channels in registers.",
        (*names_of(used), requant.name(block_kind)),
        (requant.define(f"TC_LANE_ROW{macro}", block_kind),),
    )
    expand = 0 if direct else 8 * groups
    group = Work(34, 17) if single else Work(29, 21)
    if direct:
        group = Work(38, 30) if core.strict else Work(32, 22)
    work = 60 + rows * (40 + expand + blocks * (44 + group * groups + -(-groups // together) * 3))
    return Kernel(
        f"fully_connected_{name}",
        function,
        (Constant("weights", "int32_t", stream, "per 8 channels: starts, lane words, requantisation"),),
        scratch_bytes=0 if direct else 8 * groups,
        instructions=work.instructions,
        cycles=work.cycles_on(core),
        code_bytes=270 + 4 * group.instructions * together,
        overlap={0: safe_distance(row_steps(rows, inputs, outputs, 8 if direct else outputs))},
        notes={"requantisation": lanes.plan.form},
        requant=lanes.plan.shape_in_code,
    )


def row_steps(rows: int, inputs: int, outputs: int, together: int) -> Iterator[tuple[int, int]]:
    """What later rows still read when a row is written, and what this one's next `together` outputs read.

    Both grow evenly from row to row, so that the first and the last ones are furthest apart.
    """
    for row in sorted({0, max(0, rows - 2), rows - 1}):
        if outputs > together:
            yield row * inputs, row * outputs + (outputs - 1) // together * together
        if row + 1 < rows:
            yield (row + 1) * inputs, (row + 1) * outputs
