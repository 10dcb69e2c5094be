"""What the depthwise kernels on vertical pairs have in common: which columns they pack and how blocks walk them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Deferred
from tinycompile.kernels.depthwise_pairs import requantized
from tinycompile.kernels.lane import Epilogue
from tinycompile.kernels.linear import LinearLayer
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
    """

    layer: LinearLayer
    plan: RequantPlan
    epilogue: Epilogue
    window: tuple[int, int]
    stride: int
    columns: int
    needed: int
    op: DepthwiseConv2D
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @staticmethod
    def of(site: Site) -> Frame | None:
        """None where the layer isn't of that kind, or has no short requantisation."""
        op, sig = site.node.op, site.sig
        if not isinstance(op, DepthwiseConv2D) or site.constants[1] is None:
            return None
        depth, (_, _, out_width, channels) = sig.input.shape[3], sig.output.shape
        if op.stride not in ((1, 1), (2, 2)) or depth != channels or channels < 4:
            return None
        layer = LinearLayer.of(site)
        plan = requantized(layer)
        epilogue = None if plan is None else Epilogue.of(plan)
        if plan is None or epilogue is None:
            return None
        height, width = layer.weights.shape[1:3]
        reach = (height - 1) * op.dilation[0] + 1, (width - 1) * op.dilation[1] + 1
        columns = (max(2, out_width) - 1) * op.stride[0] + reach[1]
        columns += columns % 2
        needed = min(sig.input.shape[2], columns - op.padding[2])
        if needed <= 0:
            return None
        return Frame(layer, plan, epilogue, reach, op.stride[0], columns, needed, op, sig.input.shape, sig.output.shape)

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
    def strips(self) -> int:
        """Rows of blocks."""
        return -(-self.output_shape[1] // self.rows)

    @property
    def parameters(self) -> int:
        """Words of a channel's requantisation."""
        return 4 if self.epilogue.signed else 3

    @property
    def requantisation(self) -> Array:
        """Per channel: start, multiplier, offset and, in the signed form, the sign step; int64 (C, 3 or 4)."""
        fields = [self.plan.start, self.plan.multiplier, self.plan.offset]
        return np.stack([*fields, *([self.plan.sign_step] if self.epilogue.signed else [])], axis=1).astype(np.int64)

    def records(self, words: int, compute: Callable[[], Array]) -> Deferred:
        """int32 per channel: `words` of weights, which `compute` packs as int64 (C, words), then the requantisation."""
        size = self.layer.channels * (words + self.parameters)
        return Deferred(size, np.int32, lambda: int32_stream(np.concatenate([compute(), self.requantisation], axis=1)))

    @property
    def compact_words(self) -> int:
        """Of a channel's `compact_records`, without the requantisation."""
        return -(-self.window[0] * self.window[1] // 4)

    @property
    def compact_records(self) -> Deferred:
        """int32 per channel: the taps as bytes, row by row, filled up to whole words, then the requantisation."""

        def words() -> Array:
            taps = self.taps.reshape(self.layer.channels, -1)
            filled = np.pad(taps, ((0, 0), (0, -taps.shape[1] % 4))).astype(np.int8)
            return filled.view(np.int32).astype(np.int64)

        return self.records(self.compact_words, words)

    @property
    def works_in_place(self) -> bool:
        """Whether the output is as large as the input and no row is overwritten before it is packed."""
        return self.stride == 1 and self.input_shape == self.output_shape and self.op.padding[0] < self.window[0]

    def values(self, plane_words: int) -> dict[str, object]:
        """What the templates of these kernels want."""
        (_, height, width, channels), (_, out_height, out_width, _) = self.input_shape, self.output_shape
        end = 8 * self.stride * max(1, out_width // 2)
        return {
            "image": {
                "row_bytes": width * channels,
                "channels": channels,
                "plane_bytes": 4 * plane_words,
                "even_bytes": 4 * (self.needed - self.needed % 2),
                "height": height,
                "columns": self.needed,
                "zero_point": self.layer.zp_in,
            },
            "columns": self.columns,
            "zero_point": self.layer.zp_in,
            "channels": channels,
            "padding_top": self.op.padding[0],
            "padding_left": self.op.padding[2],
            "output_height": out_height,
            "output_row": out_width * channels,
            "step": channels if out_width > 1 else 0,
            "end": end,
            "last_end": end + (4 * self.stride if out_width % 2 and out_width > 1 else 0),
            "rows": self.rows,
            "height": self.window[0],
            "width": self.window[1],
            "pre": self.plan.pre,
            "constants": self.parameters,
            "packed": self.compact_words + self.parameters,
        }

    def instructions(self, bands: int, per_block: int, per_row: int) -> int:
        """Packing `bands` bands in all per 4 channels, and per channel all blocks of all strips.

        Args:
            per_block: without what the signed form and a clamp add.
            per_row: for each channel of a strip.
        """
        sums = 2 * self.rows
        per_block += sums * (2 * self.epilogue.signed + len(self.epilogue.clamp))
        channels, blocks = self.output_shape[3], -(-self.output_shape[2] // 2)
        packing = -(-channels // 4) * (60 + bands * (35 + 12 * self.needed))
        return 80 + packing + channels * self.strips * (per_row + per_block * blocks)


def int32_stream(words: Array) -> Array:
    """int64 words, of which the low 32 bits count, as an int32 vector."""
    return (words & 0xFFFFFFFF).astype(np.uint32).view(np.int32).ravel()


def pairs(low: Array, high: Array, pre: int) -> Array:
    """Words of two int16 weights, times 2^pre."""
    return ((low << pre) & 0xFFFF) | (((high << pre) & 0xFFFF) << 16)
