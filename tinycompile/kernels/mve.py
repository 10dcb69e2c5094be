"""Convolution and fully connected layers by Helium: 16 products per instruction (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.after import PATTERNS, After, kernel_and_after
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.block import is_dense, row_window
from tinycompile.kernels.cover import cover_for
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import blocks_distance, window_origins
from tinycompile.kernels.linear_layer import LinearLayer, has_wide_weights, padding_value
from tinycompile.kernels.mve_packed import BYTE, Packing
from tinycompile.kernels.vector_requant import VectorRequant
from tinycompile.ops._convolution import Convolution
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

VECTOR = 16
"""Bytes of a vector register."""

AFTER_BYTES = 448
"""Of results that wait for a sum after the layer, if that is more than two pixels."""

WELL_FILLED = 0.75
"""The share of its vectors' bytes that a window fills, below which the report says so."""

MOST_SINGLE_PIXELS = 31
"""Up to so many pixels, if odd, the last one is worth a block function for single pixels."""


@dataclass(frozen=True)
class Rows:
    """How the bytes of a window lie in the stream of weights, and in scratch where the window is copied.

    Attributes:
        rows: that are filled up to whole vectors, each on its own.
        bytes: of a row, that are the window's.
    """

    rows: int
    bytes: int

    @property
    def groups(self) -> int:
        """Vectors of a row."""
        return -(-self.bytes // VECTOR)

    @property
    def filled(self) -> int:
        """Bytes of a row, filled up."""
        return VECTOR * self.groups


def channel_stream(matrix: Array, rows: Rows, requant: VectorRequant, packing: Packing | None = None) -> Array:
    """(C, K) as int32, what `tc_mve_block.h` calls the stream."""
    channels, _ = matrix.shape
    above = ((0, -channels % 4),)
    taps = np.pad(matrix.reshape(channels, rows.rows, rows.bytes), (*above, (0, 0), (0, rows.filled - rows.bytes)))
    grouped = taps.reshape(-1, 4, rows.rows, rows.groups, VECTOR).transpose(0, 2, 3, 1, 4)
    start, *constants = (np.pad(each, above).reshape(-1, 4) for each in (requant.plan.start, *requant.constants))
    if packing is not None:
        return np.concatenate([packing.starts(start), packing.words(grouped), *constants], axis=1).ravel()
    words = np.ascontiguousarray(grouped.astype(np.int8)).reshape(len(grouped), -1).view(np.int32)
    order = [words, start, *constants] if requant.pre else [start, words, *constants]
    return np.concatenate(order, axis=1).ravel()


@dataclass(frozen=True, eq=False)
class _Plan:
    """A layer in blocks.

    Attributes:
        window: members of a `tc_window`.
        depth: input channels.
        in_image: windows inside the image are read there.
        packing: of weights; None for bytes.
    """

    layer: LinearLayer
    requant: VectorRequant
    window: Mapping[str, int]
    depth: int
    rows: Rows
    in_image: bool
    packing: Packing | None

    @staticmethod
    def of(
        layer: LinearLayer, requant: VectorRequant, window: Mapping[str, int], depth: int, packing: Packing | None
    ) -> _Plan:
        """The cheaper: windows read in the image row by row, or copied, so that their rows share vectors."""
        height, segment = window["kernel_height"], window["kernel_width"] * depth
        straight = window["kernel_width"] == 1 or window["dilation_x"] == 1
        copied = _Plan(layer, requant, window, depth, Rows(1, height * segment), straight and height == 1, packing)
        if height == 1 or not straight:
            return copied
        read = _Plan(layer, requant, window, depth, Rows(height, segment), True, packing)
        return min(read, copied, key=lambda plan: plan.instructions)

    @property
    def pixels(self) -> int:
        return self.window["output_height"] * self.window["output_width"]

    @property
    def blocks(self) -> int:
        """Of 4 channels."""
        return -(-self.layer.channels // 4)

    @property
    def block_words(self) -> int:
        """Of the stream."""
        group = 4 * 4 if self.packing is None else self.packing.group_words
        return group * self.rows.rows * self.rows.groups + 4 * (1 + len(self.requant.constants))

    @property
    def stream_words(self) -> int:
        return self.blocks * self.block_words

    @property
    def passes(self) -> int:
        """Over 8 channels of a single pixel."""
        worth = self.pixels % 2 and self.pixels <= MOST_SINGLE_PIXELS and self.rows.rows == 1
        return self.layer.channels // 8 if worth else 0

    @property
    def window_bytes(self) -> int:
        return self.rows.rows * self.rows.filled

    @property
    def scratch_bytes(self) -> int:
        """Two windows, and what short copies write behind them; none where all are read in the image."""
        inside, odd = self._inside(), self.window["output_width"] % 2 == 1
        copies = not np.all(inside) or (odd and (len(inside) > 1 or self.rows.rows > 1))
        return 2 * self.window_bytes + VECTOR if copies else 0

    @property
    def together(self) -> int:
        """Pixels, an even number, whose results wait for a sum after the layer."""
        return max(2, AFTER_BYTES // self.layer.channels // 2 * 2)

    def fields(self, padding: int, waits: bool) -> Fields:
        """Members of a `tc_mve_conv2d_shape`; results that are for a sum wait in scratch."""
        channels, passes = self.layer.channels, self.passes
        next_pixel, several = self.window["stride_x"] * self.depth, self.rows.rows > 1
        row = self.window["dilation_y"] * self.window["input_width"] * self.depth
        pair = [pixel * channels + channel for channel in range(4) for pixel in range(2)]
        lanes, end = {"lanes": 2 * channels}, {"output_advance": 2 * channels - 4 * self.blocks}
        image = {"step": row - self.rows.filled if several else 0, "advance": 2 * next_pixel}
        eight = [0, 4, 1, 5, 2, 6, 3, 7]
        rest = {"offsets": [i // 2 for i in range(8)], "lanes": 2 * (channels - 8 * passes)}
        return {
            "window": self.window,
            "input_channels": self.depth,
            "output_channels": channels,
            "input_zero_point": padding,
            "in_image": int(self.in_image),
            "row_bytes": self.rows.filled,
            "spacing": self.rows.filled if several else self.window["kernel_width"] * self.depth,
            "window_bytes": self.window_bytes,
            "results": self.scratch_bytes if waits else 0,
            "together": self.together if waits else 0,
            "passes": passes,
            "rest": 2 * passes * self.block_words,
            "image": {"offsets": pair, "next": next_pixel, **lanes, **image, **end},
            "copy": {"offsets": pair, "next": self.window_bytes, **lanes, **end},
            "row": {"offsets": eight, "next": 4 * self.block_words},
            "single": rest,
        }

    def block_functions(self) -> tuple[tuple[str, str], tuple[str, ...]]:
        """(arguments for pairs and for single pixels, their definitions)."""
        arguments, suffix = ", ".join(map(str, self.requant.arguments)), self.requant.suffix
        rows, groups, partial = self.rows.rows, self.rows.groups, int(self.layer.channels % 4 > 0)
        kind, macro, way = "", "", ""
        if self.packing is not None:
            kind, macro, way = f"_{self.packing.way.lower()}", "_PACKED", f"{self.packing.way}, "
        pairs = f"mve_pairs{kind}_{rows}x{groups}{'_partial' if partial else ''}_{suffix}"
        single = f"mve_row{kind}_{groups}_{suffix}"
        found = {
            pairs: f"TC_MVE_PAIRS{macro}({pairs}, {way}{rows}, {groups}, {partial}, {arguments})",
            single: f"TC_MVE_ROW{macro}({single}, {way}{groups}, {arguments})",
        }
        if not self.passes:
            del found[single]
        if self.pixels == 1 and self.layer.channels == 8 * self.passes:
            del found[pairs]
        names = (pairs if pairs in found else "NULL", single if single in found else "NULL")
        return names, tuple(found.values())

    @property
    def distance(self) -> int:
        return blocks_distance(self.window, self.depth, self.layer.channels, 2)

    def _inside(self) -> Array:
        """Per pixel, whether its window can be read in the image."""
        (top, left), window = window_origins(self.window), self.window
        bottom = top + (window["kernel_height"] - 1) * window["dilation_y"]
        rows = (top >= 0) & (bottom < window["input_height"])
        columns = (left >= 0) & (left + window["kernel_width"] <= window["input_width"])
        last = (bottom[:, None] * window["input_width"] + left) * self.depth + self.rows.filled
        end = window["input_height"] * window["input_width"] * self.depth
        return self.in_image & rows[:, None] & columns & (last <= end)

    @property
    def instructions(self) -> int:
        """Counted from the assembly; per pair of pixels 10, per block of 4 channels 19 and per 16 taps 14."""
        rows, groups, packing = self.rows.rows, self.rows.groups, self.packing
        extra = self.requant.extra_instructions + 2 * (self.layer.channels % 4 > 0)
        extra += packing.block_instructions if packing else 0
        pair, row = (14 + packing.pair_instructions, 17 + packing.row_instructions) if packing else (14, 17)
        loop = 1 + groups // 8 * 2 if groups > 12 and rows == 1 else 0
        between = 2 * (rows - 1) + (4 + 2 * rows if rows > 1 and rows * groups > 16 else 0)
        block = pair * rows * groups + loop + between + 20 + extra
        inside = self._inside()
        read = int(np.sum(inside.sum(axis=1) // 2)) if inside.shape[0] > 1 else int(inside.sum()) // 2
        pairs, single = divmod(self.pixels, 2)
        copy = self.window["kernel_height"] * (8 if self.rows.bytes <= VECTOR else 8 + self.rows.filled // 5)
        total = 60 * len(inside) + pairs * (10 + self.blocks * block) + (pairs - read) * (90 + 2 * copy)
        if single:
            others = -(-(self.layer.channels - 8 * self.passes) // 4)
            total += 60 + copy + self.passes * (row * groups + 26 + extra + loop) + others * block
        return total

    @property
    def reason(self) -> dict[str, str]:
        """For the report, why products are dearer than elsewhere."""
        share = self.layer.taps / self.window_bytes
        return {"reason": f"windows fill {share:.0%} of vectors of 16 bytes"} if share < WELL_FILLED else {}

    @property
    def kind(self) -> str:
        """Of weights with fewer bits, for the kernel's name."""
        return "" if self.packing is None else f"_{self.packing.bits}_bits"

    @property
    def of_bits(self) -> str:
        """The same in words."""
        return "" if self.packing is None else f" of {self.packing.bits} bits"

    @property
    def packed(self) -> dict[str, str]:
        """The same for the report."""
        return {} if self.packing is None else {"weights": f"{self.packing.bits} bits each, unpacked in registers"}

    @property
    def code_bytes(self) -> int:
        """Of the layer and its block functions."""
        rows, groups = self.rows.rows, self.rows.groups
        unrolled = groups if groups <= 12 or rows > 1 else 8 + groups % 8
        pairs = 200 + 56 * unrolled * (rows if rows * groups <= 16 else 1)
        single = 200 + 68 * unrolled
        layer = 100 if self.in_image and not self.scratch_bytes else 500
        return layer + pairs * (self.pixels > 1) + single * bool(self.passes)


@kernel_for(Conv2D, needs={"mve"})
def conv2d(site: Site, core: Core) -> Kernel | None:
    """Any window, without groups."""
    return _conv2d(site)


@kernel_for(Conv2D, needs={"mve"})
def conv2d_4_bits(site: Site, core: Core) -> Kernel | None:
    """The same with weights of 4 bits."""
    return _conv2d(site, bits=4)


@kernel_for(Conv2D, needs={"mve"})
def conv2d_2_bits(site: Site, core: Core) -> Kernel | None:
    """The same with weights of 2 bits."""
    return _conv2d(site, bits=2)


@cover_for(*PATTERNS, needs={"mve"})
def linear_and(site: Site, core: Core) -> Kernel | None:
    """A layer and the sum or function behind it."""
    return kernel_and_after(site, _conv2d, _fully_connected)


def _conv2d(site: Site, after: After | None = None, *, bits: int = BYTE) -> Kernel | None:
    op, sig = site.node.op, site.sig
    if not isinstance(op, Convolution) or not is_dense(site):
        return None
    window, (_, height, width, _) = op.window_of(sig), sig.output.shape
    depth = sig.input.shape[3]
    stem = f"conv2d_mve_{window_stem(window, sig.input, sig.output)}"
    fields = window_fields(window, sig.input, sig.output)
    if window.kernel == window.stride == (1, 1) and not any(window.padding):
        fields = row_window(height * width)
    return _kernel(site, stem, fields, depth, after, bits)


@kernel_for(FullyConnected, needs={"mve"})
def fully_connected(site: Site, core: Core) -> Kernel | None:
    """A pointwise convolution of its rows."""
    return _fully_connected(site)


@kernel_for(FullyConnected, needs={"mve"})
def fully_connected_4_bits(site: Site, core: Core) -> Kernel | None:
    """The same with weights of 4 bits."""
    return _fully_connected(site, bits=4)


@kernel_for(FullyConnected, needs={"mve"})
def fully_connected_2_bits(site: Site, core: Core) -> Kernel | None:
    """The same with weights of 2 bits."""
    return _fully_connected(site, bits=2)


def _fully_connected(site: Site, after: After | None = None, *, bits: int = BYTE) -> Kernel | None:
    if has_wide_weights(site):
        return None
    outputs, inputs = site.sig.inputs[1].shape
    rows = site.sig.input.elements // inputs
    return _kernel(site, f"fully_connected_mve_{rows}x{inputs}_{outputs}", row_window(rows), inputs, after, bits)


def _kernel(
    site: Site, stem: str, window: Mapping[str, int], depth: int, after: After | None, bits: int
) -> Kernel | None:
    if any(constant is None for constant in site.constants[1:]):
        return None
    layer = LinearLayer.of(site)
    packing = None if bits == BYTE else Packing.of(layer, bits)
    if bits != BYTE and packing is None:
        return None
    requant = VectorRequant.of(layer) if packing is None else packing.requant(layer)
    if requant is None:
        return None
    plan = _Plan.of(layer, requant, window, depth, packing)
    stem += f"_{bits}_bits" * (bits != BYTE)
    names, definitions = plan.block_functions()
    waits = after is not None and after.table is None
    shape = Struct("tc_mve_conv2d_shape", plan.fields(padding_value(site, layer), waits))
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *stream")
    waiting = [plan.scratch_bytes + 2 * layer.channels, plan.together * layer.channels] if waits else []
    scratch = max([plan.scratch_bytes, *waiting])
    parameters = (*parameters, "void *scratch") if scratch else parameters
    arguments = ["input", "output", "stream", "scratch" if scratch else "NULL"]
    callee, header = "tc_mve_conv2d_s8", "tc_mve_conv2d.h"
    comment = "2 pixels and 4 channels at a time, 16 products per instruction."
    if after is None:
        function = struct_call(stem, callee, header, parameters, (shape,), comment, [*arguments, *names], definitions)
    else:
        function = after.function(callee, stem, header, parameters, shape, comment, names, definitions)
    stream = Deferred(plan.stream_words, np.int32, lambda: channel_stream(layer.matrix, plan.rows, requant, packing))
    kernel = Kernel(
        ("fully_connected_mve" if isinstance(site.node.op, FullyConnected) else "conv2d_mve") + plan.kind,
        function,
        (
            Constant(
                "stream",
                "int32_t",
                stream,
                f"per 4 channels: starts, weights{plan.of_bits}, 16 taps of each at a time, requantisation",
            ),
        ),
        scratch_bytes=scratch,
        instructions=plan.instructions,
        code_bytes=plan.code_bytes,
        overlap={0: plan.distance},
        notes={"requantisation": requant.plan.form} | plan.reason | plan.packed,
        requant=requant.shape_in_code,
    )
    if after is None:
        return kernel
    # A run of pixels in the image ends with its row, whatever comes after.
    rows, elements = plan.window["output_height"], plan.pixels * layer.channels
    runs = max(rows, -(-plan.pixels // plan.together)) if waits else rows
    start, each = (25, 19 / 8 if after.clamps else 17 / 8) if waits else (12, 4 / VECTOR)
    added = 60 * (runs - rows) + start * runs + int(each * elements)
    return after.kernel(kernel, function, added, 2 * layer.channels)
