"""What the depthwise kernels on vertical pairs have in common: which columns they pack and how blocks walk them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Deferred, Function
from tinycompile.kernels.depthwise_pairs import requantized
from tinycompile.kernels.generic_c import Fields, Struct, names_of, struct_call
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D


@dataclass(frozen=True, eq=False)
class Frame:
    """A depthwise layer with stride 1 or 2 and at least 4 channels, seen as blocks of 2 output columns.

    Attributes:
        window: (height, width), with the holes of a dilated one.
        columns: words per plane of pairs, padding included; an even number.
        needed: columns of the image among them.
        rows: output rows per block: 2 with stride 1, else 1.
        multiplier: output channels of an input channel.
    """

    layer: LinearLayer
    plan: RequantPlan
    requant: RequantBlock
    window: tuple[int, int]
    stride: int
    columns: int
    needed: int
    op: DepthwiseConv2D
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @staticmethod
    def of(site: Site, *, multiplied: bool = False) -> Frame | None:
        """None where the layer isn't of that kind, or has no short requantisation.

        Args:
            multiplied: whether an input channel may have several output channels.
        """
        op, sig = site.node.op, site.sig
        if not isinstance(op, DepthwiseConv2D) or site.constants[1] is None:
            return None
        depth, (_, _, out_width, channels) = sig.input.shape[3], sig.output.shape
        if op.stride not in ((1, 1), (2, 2)) or depth < 4 or (depth != channels and not multiplied):
            return None
        layer = LinearLayer.of(site)
        plan = requantized(layer)
        requant = None if plan is None else RequantBlock.of(plan)
        if plan is None or requant is None:
            return None
        height, width = layer.window
        reach = (height - 1) * op.dilation[0] + 1, (width - 1) * op.dilation[1] + 1
        columns = (max(2, out_width) - 1) * op.stride[0] + reach[1]
        columns += columns % 2
        needed = min(sig.input.shape[2], columns - op.padding[2])
        if needed <= 0:
            return None
        return Frame(layer, plan, requant, reach, op.stride[0], columns, needed, op, sig.input.shape, sig.output.shape)

    @property
    def taps(self) -> Array:
        """Weights (C, height, width) of the window, with zeros where a dilated one has holes."""
        taps = np.zeros((self.layer.channels, *self.window), np.int64)
        taps[:, :: self.op.dilation[0], :: self.op.dilation[1]] = self.layer.weights[..., 0]
        return taps

    @property
    def rows(self) -> int:
        return 2 if self.stride == 1 else 1

    @property
    def multiplier(self) -> int:
        return self.output_shape[3] // self.input_shape[3]

    @property
    def strips(self) -> int:
        """Rows of blocks."""
        return -(-self.output_shape[1] // self.rows)

    @property
    def parameters(self) -> int:
        """Words of a channel's requantisation."""
        return 4 if self.requant.signed else 3

    @property
    def requantisation(self) -> Array:
        """Per channel: start, multiplier, offset and, in the signed form, the sign step; int64 (C, 3 or 4)."""
        return np.stack([self.plan.start, *self.plan.parameters], axis=1).astype(np.int64)

    def records(self, words: int, compute: Callable[[], Array]) -> Deferred:
        """int32 per channel: `words` of weights, which `compute` packs as int64 (C, words), then the requantisation."""
        size = self.layer.channels * (words + self.parameters)
        return Deferred(size, np.int32, lambda: int32_stream(np.concatenate([compute(), self.requantisation], axis=1)))

    @property
    def compact_words(self) -> int:
        """Of a channel's `compact_records`, without the requantisation."""
        return -(-self.window[0] * self.window[1] * self.tap_bits // 32)

    @property
    def tap_bits(self) -> int:
        """Of a weight in `compact_records`: 8, or as few as it has."""
        return next((bits for bits in (2, 4) if self.layer.fits_bits(bits)), 8)

    @property
    def compact_records(self) -> Deferred:
        """int32 per channel: the taps row by row, `tap_bits` each, filled up to words, then the requantisation."""

        def words() -> Array:
            bits, taps = self.tap_bits, self.taps.reshape(self.layer.channels, -1)
            filled = np.pad(taps, ((0, 0), (0, 32 // bits * self.compact_words - taps.shape[1])))
            shared = (filled & (1 << bits) - 1).reshape(self.layer.channels, -1, 8 // bits)
            both = (shared << bits * np.arange(8 // bits)).sum(axis=2).astype(np.uint8)
            return both.view(np.int32).astype(np.int64)

        return self.records(self.compact_words, words)

    @property
    def packed_note(self) -> dict[str, str]:
        """For the report, of `compact_records`."""
        return (
            {}
            if self.tap_bits == 8
            else {"weights": f"{self.tap_bits} bits each, unpacked for four channels at a time"}
        )

    @property
    def works_in_place(self) -> bool:
        """Whether the output is as large as the input and no row is overwritten before it is packed."""
        return self.stride == 1 and self.input_shape == self.output_shape and self.op.padding[0] < self.window[0]

    @property
    def place_by_rows(self) -> int | None:
        """Where the output may be in the memory of an input whose rows are as long: bytes from it to the input; None
        where it may not. When two rows are written, the two below them are packed, but for those that are padded above.

        Without padding above, it ends where the input ends: in front of what comes of new rows is room for kept ones.
        """
        (_, height, *row), (_, out_height, *out_row) = self.input_shape, self.output_shape
        above = self.op.padding[0]
        if self.stride != 1 or row != out_row or out_height > height or above > 2:
            return None
        return -min(2, height - out_height) * row[0] * row[1] if above == 0 else 0

    def image(self, plane_words: int, columns: int) -> Fields:
        """Members of a `tc_depthwise_image`.

        Args:
            plane_words: from a channel's plane to the next.
            columns: of the image, as far as they are needed.
        """
        _, height, width, channels = self.input_shape
        return {
            "row_bytes": width * channels,
            "channels": channels,
            "plane_bytes": 4 * plane_words,
            "even_bytes": 4 * (columns - columns % 2),
            "height": height,
            "columns": columns,
            "zero_point": self.layer.zp_in,
        }

    @property
    def place(self) -> Fields:
        """What all shapes of these kernels begin with."""
        _, out_height, out_width, _ = self.output_shape
        return {
            "output_height": out_height,
            "output_width": out_width,
            "stride": self.stride,
            "padding_top": self.op.padding[0],
            "padding_left": self.op.padding[2],
        }

    def weights(self, words: int, *, packed: bool) -> Fields:
        """What they end with: the record of a channel takes `words` words where it isn't packed."""
        window = {"packed_words": self.compact_words + self.parameters, "kernel_height": self.window[0]}
        window |= {"kernel_width": self.window[1], "bits": self.tap_bits, "pre": self.plan.pre}
        return {"record_words": words, **(window if packed else {})}

    def function(
        self, stem: str, kind: str, image: Fields, shape: Fields, comment: str, unrolled: tuple[int, ...] = ()
    ) -> Function:
        """A call of `tc_depthwise_<kind>_s8`.

        Args:
            kind: "rows", "tiles" or "bands".
            image, shape: members of its structs.
            unrolled: width and bands of the window, which the block functions of "bands" are made for.
        """
        header = "bands" if kind == "bands" else "rows"
        window = "w{}b{}".format(*unrolled) if unrolled else "3x3"
        block = f"depthwise_{window}s{self.stride}"
        parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
        return struct_call(
            stem,
            f"tc_depthwise_{kind}_s8",
            f"tc_depthwise_{header}.h",
            parameters,
            (Struct("tc_depthwise_image", image, "image"), Struct(f"tc_depthwise_{header}_shape", shape)),
            comment,
            (*names_of(parameters), self.requant.name(block)),
            (self.requant.define(f"TC_DEPTHWISE_{header.upper()}_BLOCK_S{self.stride}", block, *unrolled),),
        )

    def instructions(self, bands: int, per_block: int, per_row: int) -> int:
        """Packing `bands` bands in all per 4 channels, and per channel all blocks of all strips.

        Args:
            per_block: without what the signed form and a clamp add.
            per_row: for each channel of a strip.
        """
        sums = 2 * self.rows
        per_block += sums * (2 * self.requant.signed + self.requant.clamp_steps)
        channels, blocks = self.output_shape[3], -(-self.output_shape[2] // 2)
        packing = -(-self.input_shape[3] // 4) * (60 + bands * (35 + 12 * self.needed))
        return 80 + packing + channels * self.strips * (per_row + per_block * blocks)


def int32_stream(words: Array) -> Array:
    """int64 words, of which the low 32 bits count, as an int32 vector."""
    return (words & 0xFFFFFFFF).astype(np.uint32).view(np.int32).ravel()


def pairs(low: Array, high: Array, pre: int) -> Array:
    """Words of two int16 weights, times 2^pre."""
    return ((low << pre) & 0xFFFF) | (((high << pre) & 0xFFFF) << 16)
