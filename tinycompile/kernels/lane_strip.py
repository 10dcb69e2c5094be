"""Convolution by the byte-lane product of images with few channels: windows read from a padded strip of the image.

A window's row is a few bytes there. Copying windows together costs more than the products of a small layer, and most
windows of a small image reach into the padding; in a strip that has the padding every word of a window is one load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Kernel, Sweeps, kernel_for
from tinycompile.kernels.generic_c import Struct, names_of, struct_call, window_stem
from tinycompile.kernels.hot_code import HotFunction, nested
from tinycompile.kernels.lane import Lanes
from tinycompile.kernels.lane_conv2d import (
    BLOCKS,
    Blocks,
    block_functions,
    blockwise_distance,
    pair_stream,
    pairs_cost,
    window_shape,
)
from tinycompile.kernels.lane_straight import AROUND_EXPANDED, GROUP_BYTES, LARGEST_CODE, Straight, product_bytes
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.kernels.work import Work
from tinycompile.lazy import lazy
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

LONGEST_ROW = 32
"""Bytes of a window's row: longer ones are better read from the image itself."""

LDR_REACH = 4095
"""Largest offset of a load."""


@dataclass(frozen=True)
class Order:
    """In which order the bytes of a window are taken.

    Attributes:
        rows: of a window. segment: bytes of a row.
        words: that a row has of its own; the last may reach one byte beyond the row.
        after: bytes of a row beyond these, 0 to 2, which share words with other rows.
    """

    rows: int
    segment: int

    @property
    def words(self) -> int:
        return (self.segment + 1) // 4

    @property
    def shared(self) -> int:
        """Words that the rows share."""
        return -(-self.rows * self.after // 4)

    @property
    def after(self) -> int:
        return max(0, self.segment - 4 * self.words)

    def taken(self) -> Array:
        """Indices into a window's bytes, row by row, with -1 for what has no weight; whole words."""
        rows = np.pad(np.arange(self.rows * self.segment).reshape(self.rows, -1), ((0, 0), (0, 4)), constant_values=-1)
        whole, rest = rows[:, : 4 * self.words], rows[:, 4 * self.words : 4 * self.words + self.after]
        return np.concatenate([whole.ravel(), rest.ravel(), np.full(-rest.size % 4, -1)])

    def arrange(self, layer: LinearLayer) -> LinearLayer:
        """The layer with its weights in this order; what was solved for it holds all the same."""
        taken = self.taken()
        weights = np.where(taken < 0, 0, layer.matrix[:, taken])[:, None, None, :]
        return replace(layer, stored=weights)


@dataclass(frozen=True)
class Strip:
    """The rows of the padded image that are held at once: those that a block needs and one step more.

    Attributes:
        rows: of it. pitch: bytes from one to the next.
        left, inner: bytes of a row that are padding, and those after them that are the image's.
        skip: bytes of the image's rows in front of these, where the padding is negative.
        moves: whether there are more rows than fit.
    """

    rows: int
    pitch: int
    left: int
    inner: int
    skip: int
    moves: bool

    @staticmethod
    def of(site: Site, op: Conv2D, pixels: int) -> Strip:
        """For blocks of so many pixels in memory order."""
        (_, _, width, depth), (_, out_height, out_width, _) = site.sig.input.shape, site.sig.output.shape
        kernel_height, kernel_width = site.sig.inputs[1].shape[1:3]
        window_rows = (kernel_height - 1) * op.dilation[0] + 1
        columns = (out_width - 1) * op.stride[1] + kernel_width
        left = max(0, op.padding[2])
        skip = max(0, -op.padding[2])
        inner = max(0, min(columns - left, width - skip))
        pitch = -(-columns * depth // 4) * 4
        later = -(-(pixels - 1) // out_width)
        needed = window_rows + op.stride[0] * min(later, out_height - 1)
        every = window_rows + op.stride[0] * (out_height - 1)
        rows = min(every, needed + op.stride[0])
        return Strip(rows, pitch, left * depth, inner * depth, skip * depth, rows < every)

    @property
    def bytes(self) -> int:
        """With a word behind it."""
        return self.rows * self.pitch + 4


@dataclass(frozen=True)
class Row:
    """A function made for the shape that computes a row of the output: TC_LANE_STRIP_ROW.

    Attributes:
        step, pitch: bytes from a window to the next, from a row of a window to the next.
    """

    order: Order
    step: int
    pitch: int
    product: Straight

    @staticmethod
    def of(site: Site, op: Conv2D, order: Order, strip: Strip, product: Straight, core: Core) -> Row | None:
        """None where blocks of 4 windows may lie in two rows of the output, or a window's bytes out of reach.

        Nor where only aligned words may be read and windows begin at odd addresses: it has a way for these that is
        several times as long.
        """
        found = Row(order, op.stride[1] * site.sig.input.shape[3], op.dilation[0] * strip.pitch, product)
        last = (order.rows - 1) * found.pitch + 3 * found.step + order.segment
        in_reach = last <= LDR_REACH and found.code_bytes(core) <= LARGEST_CODE
        aligned = not core.strict or found.step % 4 == 0
        return found if site.sig.output.shape[2] % 4 == 0 and in_reach and aligned else None

    def define(self, requant: RequantBlock, core: Core) -> tuple[str, str]:
        """Name and macro call."""
        sizes = (self.order.rows, self.order.words, self.order.after, self.step, self.pitch)
        kind = "lane_strip_row_{}x{}a{}_{}_{}_{}".format(*sizes, self.product.channels)
        macro = "TC_LANE_STRIP_ROW_SINGLE" if core.issue.single_loads else "TC_LANE_STRIP_ROW"
        product = (self.product.groups, self.product.unrolled, self.product.channels)
        return requant.name(kind), requant.define(macro, kind, *sizes, *product)

    @property
    def expansion(self) -> int:
        """Instructions for a block."""
        order = self.order
        shared = 4 * (2 * order.rows - order.shared) + 13 * order.shared if order.after else 0
        return 17 * order.rows * order.words + shared

    def code_bytes(self, core: Core) -> int:
        groups = GROUP_BYTES[4, core.issue.single_loads] * self.product.groups
        return 240 + 4 * self.expansion + self.product.pairs * (120 + groups)

    def hot(self, requant: RequantBlock, core: Core, blocks: int) -> HotFunction:
        """For so many blocks: each is expanded, then its products follow in a loop."""
        product, expansion = product_bytes(self.product, requant, core), 4 * self.expansion
        rounds = -(-self.product.channels // (2 * self.product.pairs))
        loops = nested(product, rounds, product + expansion, blocks)
        return HotFunction(self.define(requant, core)[0], AROUND_EXPANDED + expansion + product, loops)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_strip(site: Site, core: Core) -> Kernel | None:
    """Windows with short rows and no gaps between their columns."""
    return _kernel(site, core, straight=False)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_strip_straight(site: Site, core: Core) -> Kernel | None:
    """The same with functions that are made for the layer, which take their place in flash."""
    return _kernel(site, core, straight=True)


def _kernel(site: Site, core: Core, *, straight: bool) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, Conv2D) or site.constants[1] is None or op.dilation[1] != 1:
        return None
    _, kernel_height, kernel_width, depth = sig.inputs[1].shape
    if sig.input.shape[3] != depth or kernel_height * kernel_width == 1 or kernel_width * depth > LONGEST_ROW:
        return None
    layer = LinearLayer.of(site)
    order = Order(kernel_height, kernel_width * depth)
    lanes = Lanes.of(order.arrange(layer))
    if lanes is None:
        return None
    _, out_height, out_width, channels = sig.output.shape
    blocks = Blocks.of(out_height * out_width)
    made = Straight.of(blocks.counts, lanes.groups, channels) if straight else {}
    if straight and not made:
        return None
    strip = Strip.of(site, op, blocks.largest)
    row = Row.of(site, op, order, strip, made[4], core) if 4 in made else None
    comment = "per pair of channels: starts, lane words, requantisation"
    result_bytes = max(2, channels) * blocks.largest if blocks.rest or channels == 1 else 0
    layout = _Layout(site, op, lanes, blocks, strip, order, made, row, core)
    return Kernel(
        "conv2d_strip_straight" if straight else "conv2d_strip",
        layout.function(),
        (Constant("weights", "int32_t", pair_stream(lanes), comment),),
        scratch_bytes=8 * blocks.largest * lanes.groups + strip.bytes + result_bytes,
        instructions=layout.work.instructions,
        cycles=layout.work.cycles_on(core),
        spared_by_rows=layout.moved,
        sweeps=Sweeps(len(blocks.sizes), between=8 * blocks.largest * lanes.groups),
        code_bytes=900 + (row.code_bytes(core) if row else sum(each.code_bytes for each in made.values())),
        hot=layout.hot,
        overlap={0: blockwise_distance(op.stride, op.padding, sig.input.shape, sig.output.shape, blocks)},
        notes={"requantisation": lanes.plan.form},
        requant=lanes.plan.shape_in_code,
    )


@dataclass(frozen=True)
class _Layout:
    """What a layer's function and its price follow from.

    Attributes:
        made, row: functions that are made for the layer, if any.
    """

    site: Site
    op: Conv2D
    lanes: Lanes
    blocks: Blocks
    strip: Strip
    order: Order
    made: Mapping[int, Straight]
    row: Row | None
    core: Core

    def function(self) -> Function:
        sig, strip, order = self.site.sig, self.strip, self.order
        conv = {
            **window_shape(self.op, self.lanes.layer, sig, 0, by_rows=False),
            "kernel_height": order.rows,
            "kernel_width": sig.inputs[1].shape[2],
            "groups": self.lanes.groups,
            "pair_words": 2 * self.lanes.record,
            "fours": self.blocks.fours,
            "threes": self.blocks.threes,
            "rest": self.blocks.rest,
        }
        shape = {
            "conv": conv,
            "rows": strip.rows,
            "pitch": strip.pitch,
            "left": strip.left,
            "inner": strip.inner,
            "skip": strip.skip,
            "moves": int(strip.moves),
            "words": order.words,
            "after": order.after,
        }
        blocks_by_kind = block_functions(self.lanes.requant, [self.blocks], self.core, self.made)
        functions = [blocks_by_kind.get(kind, ("NULL", "")) for kind in BLOCKS]
        if self.row:
            functions = [self.row.define(self.lanes.requant, self.core)]
        parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
        return struct_call(
            f"conv2d_strip_{window_stem(self.op.window_of(sig), sig.input, sig.output)}",
            "tc_lane_strip_made_s8" if self.row else "tc_lane_strip_s8",
            "tc_lane_strip_made.h" if self.row else "tc_lane_strip.h",
            parameters,
            (Struct("tc_lane_strip_shape", shape),),
            "Convolution by the byte-lane product, windows read from a padded strip of the image.",
            (*names_of(parameters), *(name for name, _ in functions)),
            tuple(definition for _, definition in functions if definition),
        )

    @property
    def hot(self) -> tuple[HotFunction, ...]:
        requant = self.lanes.requant
        if self.row:
            return (self.row.hot(requant, self.core, self.blocks.fours),)
        counts = [(pixels, count) for pixels, count in self.blocks.counts if pixels in self.made]
        return tuple(self.made[pixels].hot(requant, self.core, count) for pixels, count in counts)

    @lazy
    def moved(self) -> int:
        """Instructions to make room for more rows in the strip."""
        strip, order, stride = self.strip, self.order, self.op.stride[0]
        if not strip.moves:
            return 0
        window_rows = (order.rows - 1) * self.op.dilation[0] + 1
        fresh = max(stride, (strip.rows - window_rows) // stride * stride)
        turns = -(-self.site.sig.input.shape[1] // fresh)
        return turns * (60 + max(0, strip.rows - stride) * strip.pitch // 6)

    @lazy
    def work(self) -> Work:
        """Counted from GCC's assembly."""
        strip, order = self.strip, self.order
        copied = self.site.sig.input.shape[1] * (
            30 + (strip.inner // 6 if strip.inner % 4 == 0 else strip.inner * 3 // 4)
        )
        total = Work(0, 0) + 100 + strip.rows * strip.pitch + copied + self.moved
        for pixels, count in self.blocks.counts:
            shared = order.shared * pixels * (8 if order.after == 2 else 13)
            expanded = 45 + 6 * pixels * order.rows * order.words + order.rows * 3 + shared + 30
            product = pairs_cost(pixels, self.lanes.layer.channels, self.lanes.groups, self.lanes.requant, self.core)
            if pixels in self.made:
                product = self.made[pixels].cost(self.lanes.requant, self.core)
            total += count * (product + (self.row.expansion + 4 if self.row else expanded))
        return total
