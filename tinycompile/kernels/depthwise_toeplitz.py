"""Depthwise convolution of images of a few columns, each output row a sum of Toeplitz matrices times rows of the image.

Pairs of pixels lie beside each other, so that windows which reach beyond the image cost what lies inside
(docs/kernels.md). Only for cores with the DSP extension.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.depthwise_frame import Frame, int32_stream, pairs
from tinycompile.kernels.depthwise_strips import STRB_REACH
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.hot_code import HotFunction, Loop
from tinycompile.kernels.lane_straight import LARGEST_CODE
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

MOST_SUMS, MOST_PAIRS, MOST_WORDS = 4, 4, 4
"""Outputs, pairs of pixels and pairs of weights that registers hold at once."""

SMALLEST_WINDOW = 4
"""Columns or rows. With fewer there are 5/3 of the weights of `depthwise_strips` and nearly as many instructions."""


@dataclass(frozen=True)
class Columns:
    """Outputs of a row that are computed together, a pair of pixels from each to the next.

    Output i multiplies pair j of a row's pixels by pair j - i - first of a row of the window.

    Attributes:
        sums: outputs.
        edge: column of the window that output 0 multiplies pixel 0 by.
        first: j - i where the window's first pair meets the pixels; it may be negative.
        words: pairs of weights in a row of the window.
    """

    sums: int
    edge: int
    first: int
    words: int

    @staticmethod
    def of(sums: int, edge: int, columns: int, pixels: int) -> Columns:
        """For windows of so many columns and rows of so many pairs of pixels."""
        first = max(-((1 + edge) // 2), 1 - sums)
        last = min((columns - 1 - edge) // 2, pixels - 1)
        return Columns(sums, edge, first, max(1, last - first + 1))

    def products(self, width: int) -> Iterator[tuple[int, int]]:
        """(i, j) that are multiplied, in images of this width."""
        for j, i in np.ndindex(-(-width // 2), self.sums):
            number = j - i - self.first
            # A last column has no second pixel, which is all that a pair's first weight beside the window leaves.
            if 0 <= number < self.words and not (2 * j + 1 == width and 2 * (j - i) + self.edge == -1):
                yield i, j

    def weights(self, taps: Array) -> Array:
        """Int64 (C, height, words, 2) of taps (C, height, width): the pairs in the order of their numbers."""
        width = taps.shape[2]
        columns = 2 * (self.first + np.arange(self.words))[:, None] + self.edge + np.arange(2)
        inside = (columns >= 0) & (columns < width)
        return np.where(inside, taps[:, :, np.clip(columns, 0, width - 1)], 0)


@dataclass(frozen=True)
class Toeplitz:
    """A layer in the kernel's terms.

    Attributes:
        classes: with stride 1 the even output columns and the odd ones, else all.
    """

    frame: Frame
    classes: tuple[Columns, ...]

    @staticmethod
    def of(frame: Frame) -> Toeplitz | None:
        """None where something doesn't fit the registers, or is out of reach."""
        (_, _, width, channels), (_, _, out_width, _) = frame.input_shape, frame.output_shape
        pixels, left = -(-width // 2), frame.op.padding[2]
        if max(frame.window) < SMALLEST_WINDOW or pixels > MOST_PAIRS or min(frame.op.padding) < 0:
            return None
        if (out_width - 1) * channels > STRB_REACH:
            return None
        starts = [(out_width, left)]
        if frame.stride == 1:
            starts = [(-(-out_width // 2), left), (out_width // 2, left - 1)]
        classes = tuple(Columns.of(sums, edge, frame.window[1], pixels) for sums, edge in starts if sums)
        if any(each.sums > MOST_SUMS or each.words > MOST_WORDS for each in classes):
            return None
        found = Toeplitz(frame, classes)
        return found if 4 * found.channel <= LARGEST_CODE - 200 else None

    @property
    def pixels(self) -> int:
        """Pairs in a row of the image."""
        return -(-self.frame.input_shape[2] // 2)

    @property
    def words(self) -> int:
        """Of a channel's pairs of weights."""
        return self.frame.window[0] * sum(each.words for each in self.classes)

    def rows(self, y: int) -> int:
        """Of the image under the window of output row y."""
        first = y * self.frame.stride - self.frame.op.padding[0]
        return max(0, min(self.frame.input_shape[1], first + self.frame.window[0]) - max(0, first))

    @property
    def channel(self) -> int:
        """Instructions for a channel, which have no loop."""
        (_, _, width, channels), (_, out_height, out_width, _) = self.frame.input_shape, self.frame.output_shape
        requant = self.frame.requant
        total = 14 + 2 * requant.signed
        for y in range(out_height):
            far = y * out_width * channels + (out_width - 1) * channels > STRB_REACH
            for each in self.classes:
                finish = 2 + far + requant.signed + requant.clamp_steps
                finish += each.sums * (3 + 2 * requant.signed + requant.clamp_steps)
                products = len(list(each.products(width)))
                total += 2 + -(-each.sums // 2) + self.rows(y) * (2 + products) + finish
        return total

    @property
    def records(self) -> Deferred:
        """int32 per channel: of each class the pairs, row by row of the window, then start and requantisation."""
        frame = self.frame

        def stream() -> Array:
            taps, requantisation = frame.taps, frame.requantisation
            packed = [each.weights(taps).reshape(len(taps), -1, 2) for each in self.classes]
            words = np.concatenate(packed, axis=1)
            # Pixels are less the zero point, so that the padding is 0.
            requantisation[:, 0] += frame.layer.zp_in * taps.sum((1, 2)) << frame.plan.pre
            return int32_stream(
                np.concatenate([pairs(words[..., 0], words[..., 1], frame.plan.pre), requantisation], axis=1)
            )

        return Deferred(len(frame.plan.start) * (self.words + frame.parameters), np.int32, stream)


@kernel_for(DepthwiseConv2D, needs={"dsp"})
def depthwise_toeplitz(site: Site, core: Core) -> Kernel | None:
    """Depth multiplier 1, stride 1 or 2, at least 4 channels, images of at most 8 columns, windows larger than 3x3."""
    frame = Frame.of(site)
    toeplitz = None if frame is None else Toeplitz.of(frame)
    if frame is None or toeplitz is None:
        return None
    (_, height, width, channels), (_, out_height, out_width, _) = frame.input_shape, frame.output_shape
    stream = toeplitz.records
    numbers = [number for each in toeplitz.classes for number in (each.sums, each.edge, each.first, each.words)]
    size = 4 * toeplitz.channel
    numbers += [0] * (8 - len(numbers))
    sizes = (height, width, out_height, out_width, frame.window[0], frame.stride, frame.op.padding[0], channels)
    kind = f"{frame.window[0]}x{frame.window[1]}s{frame.stride}_{height}x{width}x{channels}"
    block = f"depthwise_toeplitz_{kind}_{frame.op.padding[0]}_{frame.op.padding[2]}"
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
    shape = {
        "height": height,
        "width": width,
        "channels": channels,
        "zero_point": frame.layer.zp_in,
        "record_words": stream.size // channels,
    }
    function = struct_call(
        f"depthwise_toeplitz_{kind}",
        "tc_depthwise_toeplitz_s8",
        "tc_depthwise_toeplitz.h",
        parameters,
        (Struct("tc_depthwise_toeplitz_shape", shape),),
        "Depthwise convolution of an image of a few columns, each output row from pairs of pixels beside each other.",
        (*names_of(parameters), frame.requant.name(block)),
        (frame.requant.define("TC_DEPTHWISE_TOEPLITZ_BLOCK", block, *sizes, *numbers),),
    )
    return Kernel(
        "depthwise_toeplitz",
        function,
        (Constant("weights", "int32_t", stream, "per channel: pairs of taps, start, requantisation"),),
        scratch_bytes=16 * height * toeplitz.pixels,
        instructions=60 + -(-channels // 4) * (30 + 22 * height * toeplitz.pixels) + channels * toeplitz.channel,
        code_bytes=400 + 4 * toeplitz.channel,
        hot=(HotFunction(frame.requant.name(block), size, (Loop(size, channels),)),),
        in_place=frame.input_shape == frame.output_shape,
        notes={"requantisation": frame.plan.form},
        requant=frame.plan.shape_in_code,
    )
