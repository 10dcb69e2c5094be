"""Convolution by the byte-lane product: blocks of 4 or 3 pixels x 2 channels in registers (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tinycompile.ir import Array, Signature, Site
from tinycompile.kernels.base import CodeSize, Constant, Deferred, Function, Kernel, Sweeps, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, names_of, reach_fields, struct_call, window_stem
from tinycompile.kernels.hot_code import HotFunction
from tinycompile.kernels.lane import RECENT_FORMS, Lanes
from tinycompile.kernels.lane_straight import Straight
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.kernels.work import Work
from tinycompile.lazy import lazy
from tinycompile.ops._spatial import Padding, Pair, Window
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

SHORTEST_BY_ROWS = 16
"""Bytes of a window's row from which on it pays to expand windows row by row, straight from the image."""

RECENT_SHAPES = 64
"""Layers' shapes whose distances are known: several kernels of a layer divide it into the same blocks."""

Shape = tuple[int, ...]

BLOCKS = ("lane_block_4", "lane_block_3")
"""Kinds of block functions, in the order in which `tc_lane_conv2d_s8` takes them."""

BLOCK_BYTES = {4: 790, 3: 640}
"""Of these, by their pixels, where they aren't made for a layer."""


@dataclass(frozen=True)
class Blocks:
    """How the output pixels, in memory order, are divided.

    Attributes:
        fours, threes: blocks of 4 pixels, then of 3.
        rest: pixels of a last block of 3 that isn't full: with blocks of both sizes only 1, 2 and 5 pixels leave any.
    """

    fours: int
    threes: int
    rest: int

    @staticmethod
    def of(pixels: int, *, small: bool = False) -> Blocks:
        """`small`: no blocks of 4, which need more scratch."""
        threes = pixels // 3 if small else min(-pixels % 4, pixels // 3)
        if small:
            return Blocks(0, threes, pixels % 3)
        fours = (pixels - 3 * threes) // 4
        return Blocks(fours, threes, pixels - 4 * fours - 3 * threes)

    @property
    def sizes(self) -> list[int]:
        return [4] * self.fours + [3] * self.threes + ([self.rest] if self.rest else [])

    @property
    def count(self) -> int:
        return self.fours + self.threes + (1 if self.rest else 0)

    @property
    def counts(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(pixels, blocks of as many)."""
        return (4, self.fours), (3, self.threes + (1 if self.rest else 0))

    @property
    def largest(self) -> int:
        return 4 if self.fours else 3


def pair_order(channels: int) -> Array:
    """The channels in pairs: the last pair of an odd number repeats the channel before it (itself, if there is only
    one).
    """
    order = list(range(channels))
    if channels % 2:
        order[-1:] = [max(0, channels - 2), channels - 1]
    return np.array(order)


def pair_stream(lanes: Lanes) -> Deferred:
    """The weights in pairs of channels."""
    return lanes.stream(2, pair_order(lanes.layer.channels))


@kernel_for(Conv2D, needs={"dsp"})
def conv2d(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups."""
    return _kernel(site, core, "conv2d_lane")


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_straight(site: Site, core: Core) -> Kernel | None:
    """The same with block functions that are made for the layer, which take their place in flash."""
    return _kernel(site, core, "conv2d_lane_straight", straight=True)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_small(site: Site, core: Core) -> Kernel | None:
    """The same with blocks of 3 pixels only, which take three quarters of the scratch."""
    return _kernel(site, core, "conv2d_lane_small", small=True, shortest_by_rows=4)


@kernel_for(Conv2D, needs={"dsp"})
def conv2d_short_rows(site: Site, core: Core) -> Kernel | None:
    """Windows expanded row by row even where a row is short, so that only one row of them takes scratch."""
    if site.sig.inputs[1].shape[2] * site.sig.input.shape[3] >= SHORTEST_BY_ROWS:
        return None
    return _kernel(site, core, "conv2d_lane_short_rows", shortest_by_rows=4)


def _kernel(site: Site, core: Core, variant: str, **how: Any) -> Kernel | None:
    """`how`: as `Convolution.of` takes it."""
    conv = Convolution.of(site, core, **how)
    return None if conv is None else conv.kernel(variant)


PARAMETERS = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
WEIGHTS = "per pair of channels: starts, lane words, requantisation"


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution by the byte-lane product in blocks: what its function and its price follow from.

    Attributes:
        made: block functions that are made for the layer, by pixels.
        by_rows: windows are expanded row by row.
        gathers: a window isn't simply a pixel.
    """

    site: Site
    op: Conv2D
    lanes: Lanes
    blocks: Blocks
    made: Mapping[int, Straight]
    by_rows: bool
    gathers: bool
    core: Core

    @staticmethod
    @lru_cache(RECENT_FORMS)
    def of(
        site: Site,
        core: Core,
        *,
        small: bool = False,
        straight: bool = False,
        shortest_by_rows: int = SHORTEST_BY_ROWS,
    ) -> Convolution | None:
        """None where the layer can't be computed like that.

        Args:
            small: blocks of 3 pixels only.
            straight: with block functions that are made for the layer.
            shortest_by_rows: bytes of a window's row from which on windows are expanded row by row.
        """
        op, sig = site.node.op, site.sig
        if not isinstance(op, Conv2D) or site.constants[1] is None:
            return None
        if sig.input.shape[3] != sig.inputs[1].shape[3]:
            return None
        lanes = Lanes.of(LinearLayer.of(site))
        if lanes is None:
            return None
        return Convolution.of_lanes(
            site, core, lanes, small=small, straight=straight, shortest_by_rows=shortest_by_rows
        )

    @staticmethod
    def of_lanes(
        site: Site,
        core: Core,
        lanes: Lanes,
        *,
        small: bool = False,
        straight: bool = False,
        shortest_by_rows: int = SHORTEST_BY_ROWS,
    ) -> Convolution | None:
        """The same of a layer that the product can compute; its weights may be known only when it runs."""
        op, sig, layer = site.node.op, site.sig, lanes.layer
        if not isinstance(op, Conv2D):
            return None
        _, out_height, out_width, channels = sig.output.shape
        blocks = Blocks.of(out_height * out_width, small=small)
        made = Straight.of(blocks.counts, lanes.groups, channels) if straight else {}
        if straight and not made:
            return None
        gathers = (*layer.window, *op.stride) != (1, 1, 1, 1) or any(op.padding)
        segment = layer.window[1] * sig.input.shape[3]
        by_rows = segment % 4 == 0 and segment >= shortest_by_rows
        return Convolution(site, op, lanes, blocks, made, by_rows, gathers, core)

    @property
    def channels(self) -> int:
        """Of the output."""
        return self.site.sig.output.shape[3]

    @property
    def segment(self) -> int:
        """Bytes of a window's row."""
        return self.lanes.layer.window[1] * self.site.sig.input.shape[3]

    @property
    def spacing(self) -> int:
        """Bytes from a window to the next, in scratch."""
        return self.segment if self.by_rows else 4 * self.lanes.groups

    @lazy
    def scratch_bytes(self) -> int:
        """A block, then its windows or its results, which lie there where a block isn't written in place."""
        blocks, groups = self.blocks, self.lanes.groups
        window = max(blocks.largest * self.spacing, 4 * groups if blocks.rest else 0) if self.gathers else 0
        results = max(2, self.channels) * blocks.largest if blocks.rest or self.channels == 1 else 0
        return 8 * blocks.largest * groups + max(window, results)

    @lazy
    def shape(self) -> Fields:
        """The members of a `tc_lane_conv2d_shape`."""
        sig, blocks = self.site.sig, self.blocks
        pixel = {"input_channels": sig.input.shape[3], "output_channels": self.channels}
        window = window_shape(self.op, self.lanes.layer, sig, self.spacing, by_rows=self.by_rows)
        return {
            **(window if self.gathers else pixel),
            "groups": self.lanes.groups,
            "pair_words": 2 * self.lanes.record,
            "fours": blocks.fours,
            "threes": blocks.threes,
            "rest": blocks.rest,
        }

    @lazy
    def _functions(self) -> dict[str, tuple[str, str]]:
        """As `block_functions`."""
        return block_functions(self.lanes.requant, [self.blocks], self.core, self.made)

    @lazy
    def names(self) -> list[str]:
        """C names of what computes all blocks of 4 pixels, a block of 4, a block of 3; NULL for what isn't needed."""
        return ["NULL", *(self._functions[kind][0] if kind in self._functions else "NULL" for kind in BLOCKS)]

    @lazy
    def definitions(self) -> list[str]:
        """Of these functions."""
        return [definition for _, definition in self._functions.values()]

    @property
    def together(self) -> int:
        """Pairs of channels that are computed in a round."""
        return max((each.pairs for each in self.made.values()), default=1)

    @lazy
    def stem(self) -> str:
        return window_stem(self.op.window_of(self.site.sig), self.site.sig.input, self.site.sig.output)

    @lazy
    def edges(self) -> tuple[int, int]:
        """As `_edge_segments`."""
        if not self.gathers:
            return 0, 0
        op, (_, rows, columns, _) = self.op, self.site.sig.input.shape
        window = Window(self.lanes.layer.window, op.stride, op.dilation, op.padding)
        return _edge_segments(window, (rows, columns), self.site.sig.output.shape[2], self.blocks)

    @property
    def edge_cost(self) -> int:
        """Instructions for a row of a window that is copied on its own."""
        return 45 + self.segment * 5 // 2

    @lazy
    def expansions(self) -> int:
        """Instructions that expand all blocks once, and call what computes them."""
        rows = self.lanes.layer.window[0] if self.gathers else 0
        each = (
            count * (40 + expansion_cost(pixels, self.lanes.groups, rows, self.segment, by_rows=self.by_rows))
            for pixels, count in self.blocks.counts
        )
        return sum(self.edges) * self.edge_cost + sum(each)

    @lazy
    def work(self) -> Work:
        """Of the layer."""
        total = Work(0, 0) + (self.expansions + 60)
        for pixels, count in self.blocks.counts:
            product = pairs_cost(pixels, self.channels, self.lanes.groups, self.lanes.requant, self.core)
            if pixels in self.made:
                product = self.made[pixels].cost(self.lanes.requant, self.core)
            total += count * product
        return total

    @lazy
    def code_bytes(self) -> int:
        return (500 if self.gathers else 140) + sum(each.code_bytes for each in self.made.values())

    @lazy
    def shared_code(self) -> dict[str, int]:
        """Block functions that aren't made for the layer."""
        kinds = zip(BLOCKS, BLOCK_BYTES.items(), strict=True)
        sizes = {kind: size for kind, (pixels, size) in kinds if pixels not in self.made}
        return {name: sizes[kind] for kind, (name, _) in self._functions.items() if kind in sizes}

    @lazy
    def hot(self) -> tuple[HotFunction, ...]:
        """Block functions that are made for the layer."""
        made = ((self.made[pixels], count) for pixels, count in self.blocks.counts if pixels in self.made)
        return tuple(each.hot(self.lanes.requant, self.core, count) for each, count in made)

    @lazy
    def weights(self) -> Constant:
        """The constant array."""
        return Constant("weights", "int32_t", pair_stream(self.lanes), WEIGHTS)

    @property
    def distance(self) -> int:
        """As `blockwise_distance`."""
        sig = self.site.sig
        return blockwise_distance(self.op.stride, self.op.padding, sig.input.shape, sig.output.shape, self.blocks)

    def kernel(self, variant: str) -> Kernel:
        """All channels of a block, then the next block."""
        stem = f"conv2d_lane_{self.stem}"
        function = Function.later(
            stem,
            PARAMETERS,
            lambda: struct_call(
                stem,
                "tc_lane_conv2d_s8",
                "tc_lane_conv2d.h",
                PARAMETERS,
                (Struct("tc_lane_conv2d_shape", self.shape),),
                "Convolution by the byte-lane product, 4 or 3 pixels and 2 channels in registers.",
                (*names_of(PARAMETERS), *self.names[1:]),
                tuple(self.definitions),
            ),
        )
        work = self.work
        return Kernel(
            variant,
            function,
            (self.weights,),
            scratch_bytes=self.scratch_bytes,
            instructions=work.instructions,
            cycles=work.cycles_on(self.core),
            spared_by_rows=self.edges[1] * self.edge_cost,
            code_bytes=self.code_bytes,
            code=CodeSize(self.code_bytes, self.shared_code),
            hot=self.hot,
            sweeps=Sweeps(self.blocks.count, between=self.scratch_bytes),
            overlap={0: self.distance},
            notes={"requantisation": self.lanes.plan.form},
            requant=self.lanes.plan.shape_in_code,
        )


def window_shape(op: Conv2D, layer: LinearLayer, sig: Signature, spacing: int, *, by_rows: bool) -> Fields:
    """The members of a `tc_lane_conv2d_shape`: which inputs a window has, and where it is expanded to."""
    (_, height, width, depth), (_, _, out_width, channels) = sig.input.shape, sig.output.shape
    return {
        "input_height": height,
        "input_width": width,
        "input_channels": depth,
        "output_width": out_width,
        "output_channels": channels,
        **reach_fields(Window(layer.window, op.stride, op.dilation, op.padding)),
        "zero_point": layer.zp_in,
        "by_rows": int(by_rows),
        "spacing": spacing,
        "gathers": 1,
    }


def block_functions(
    requant: RequantBlock, blocks: Sequence[Blocks], core: Core, straight: Mapping[int, Straight] | None = None
) -> dict[str, tuple[str, str]]:
    """Names and definitions of those that compute the blocks, by kind; `straight`, by pixels, take others' places."""
    four, three = BLOCKS
    single, dual = core.issue.single_loads, core.issue.dual_issue
    found = dict[str, tuple[str, str]]()
    if any(each.fours for each in blocks):
        found[four] = (
            requant.name(four),
            requant.define("TC_LANE_BLOCK_4_SINGLE" if single else "TC_LANE_BLOCK_4", four),
        )
    if any(each.threes or each.rest for each in blocks):
        variant = "_SINGLE" if single else "_DUAL" if dual else ""
        found[three] = requant.name(three), requant.define(f"TC_LANE_BLOCK_3{variant}", three)
    made = {four if pixels == 4 else three: each.define(requant, core) for pixels, each in (straight or {}).items()}
    return {kind: made.get(kind, function) for kind, function in found.items()}


def pairs_cost(pixels: int, channels: int, groups: int, requant: RequantBlock, core: Core) -> Work:
    """Of a block function, counted from the assembly: per pair of channels, and per group of 4 inputs."""
    rounds = -(-max(0, groups - 1) // 4)
    per_output = 3 + (2 if requant.signed else 0) + requant.clamp_steps
    pair = (
        (12 if pixels == 4 else 10) + requant.start_steps + per_output * 2 * pixels + (3 if pixels == 4 else 2) * rounds
    )
    single = Work(28, 16) if pixels == 4 else Work(22, 12)
    group = single if core.issue.single_loads else Work(23, 21) if pixels == 4 else Work(19, 16)
    return -(-channels // 2) * (pair + group * groups)


def expansion_cost(pixels: int, groups: int, window_rows: int, segment: int, *, by_rows: bool) -> int:
    """Of the windows of a block; `window_rows` 0 where they are the pixels themselves."""
    expand = 30 + (20 if pixels == 4 else 15) * groups
    if window_rows and by_rows:
        return expand + window_rows * 50
    if window_rows:
        words = segment // 4 + (0, 1, 1, 2)[segment % 4]
        return expand + 40 + window_rows * (12 + 2 * pixels * words)
    return expand


@lru_cache(RECENT_SHAPES)
def _edge_segments(window: Window, image: Pair, out_width: int, blocks: Blocks) -> tuple[int, int]:
    """Rows of windows that are copied on their own: of blocks at the image's sides or in two rows of the output; of
    other blocks above and below the image.

    Args:
        image: its rows and columns.
    """
    (height, width), (kernel_height, kernel_width) = image, window.kernel
    sizes = np.array(blocks.sizes)
    y, x = np.divmod(np.cumsum(sizes) - sizes, out_width)
    left = x * window.stride[1] - window.padding[2]
    right = left + (sizes - 1) * window.stride[1] + (kernel_width - 1) * window.dilation[1]
    together = (x + sizes <= out_width) & (left >= 0) & (right < width) & (window.dilation[1] == 1)
    rows = (y * window.stride[0] - window.padding[0])[:, None] + np.arange(kernel_height) * window.dilation[0]
    outside = ((rows < 0) | (rows >= height)) & together[:, None]
    return int((sizes * ~together).sum()) * kernel_height, int((sizes[:, None] * outside).sum())


def blockwise_distance(stride: Pair, padding: Padding, x: Shape, y: Shape, blocks: Blocks) -> int:
    """The smallest distance from a convolution's output to its input at which no block writes what a later one reads.

    After each block: the first input byte that a later pixel reads, and the output bytes written so far.

    Args:
        x, y: shapes of the input and the output, channels last.
    """
    done, pending = _after_blocks(stride, padding, x[2], y[2], blocks)
    return int((done * y[3] - pending * x[3]).max()) if done.size else 0


@lru_cache(RECENT_SHAPES)
def _after_blocks(stride: Pair, padding: Padding, columns: int, width: int, blocks: Blocks) -> tuple[Array, Array]:
    """After each block but the last: output pixels that are written, the first input pixel that a later one reads.

    Args:
        columns: of the input. width: columns of the output.
    """
    done = np.cumsum(np.array(blocks.sizes[:-1], np.int64))
    later_y, later_x = np.divmod(done, width)
    first_row = np.maximum(0, later_y * stride[0] - padding[0])
    next_row = np.maximum(0, (later_y + 1) * stride[0] - padding[0])
    column = np.maximum(0, later_x * stride[1] - padding[2])
    return done, np.minimum(first_row * columns + column, next_row * columns)
