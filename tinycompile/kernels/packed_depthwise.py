"""Depthwise convolution with two outputs to a word, for cores without SIMD (docs/kernels.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Half, Kernel, Sweeps, kernel_for
from tinycompile.kernels.for_halves import channels_for, of_channels
from tinycompile.kernels.generic_c import Fields, Struct, names_of, struct_call, window_fields, window_stem
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.packed_pixels import LARGEST_SUM
from tinycompile.kernels.scalar_requant import ScalarRequant
from tinycompile.ops._spatial import Window
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

WIDEST_WINDOW = 7
"""Taps of a row: a block function writes them out."""

FARTHEST_WORD = 31
"""Words from a pointer that Thumb-1's loads reach."""

SCRATCH_BYTES = 1024
"""For rows of words and of sums, or as many as the image has: what saves calls may cost."""

MULTIPLIED = {"reason": "two outputs to a word: lanes take a depth multiplier in windows of up to 3x3 only"}
"""For the report, where the core has lanes."""


@dataclass(frozen=True)
class Axes:
    """The loops over an image: rows outside, and inside of each its columns, or the other way round.

    Attributes:
        window: as the loops see it.
        size, output: outer and inner size of input and output.
        turned: rows are the image's columns.
    """

    window: Window
    size: tuple[int, int]
    output: tuple[int, int]
    turned: bool

    @staticmethod
    def of(site: Site, window: Window, *, turned: bool) -> Axes:
        (_, height, width, _), (_, out_height, out_width, _) = site.sig.input.shape, site.sig.output.shape
        if not turned:
            return Axes(window, (height, width), (out_height, out_width), turned)
        top, bottom, left, right = window.padding
        turned_window = replace(
            window,
            kernel=window.kernel[::-1],
            stride=window.stride[::-1],
            dilation=window.dilation[::-1],
            padding=(left, right, top, bottom),
        )
        return Axes(turned_window, (width, height), (out_width, out_height), turned)

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns from a window's first tap to its last one."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.window.kernel, self.window.dilation, strict=True))  # pyright: ignore[reportReturnType]

    @property
    def pairs(self) -> int:
        """Of outputs, of a row."""
        return -(-self.output[1] // 2)

    @property
    def lead(self) -> int:
        """Words before the first column's: the first input is the second one of a word so far to the left."""
        return max(0, self.window.stride[1] - self.window.padding[2])

    @property
    def needed(self) -> int:
        """Words that blocks read, from the first column's on."""
        return 2 * (self.pairs - 1) * self.window.stride[1] + self.reach[1]

    @property
    def columns(self) -> int:
        """Of the input that are in these."""
        return min(self.size[1], self.needed + self.window.stride[1] - self.window.padding[2])

    @property
    def pitch(self) -> int:
        """Words of a row."""
        return self.lead + max(self.needed, self.window.padding[2] + self.columns)

    @property
    def is_possible(self) -> bool:
        """Whether the block functions can be written out, and windows lie where the words are."""
        (_, width), (_, stride), (_, dilation) = self.window.kernel, self.window.stride, self.window.dilation
        far = (width - 1) * dilation + 2 * stride
        return width <= WIDEST_WINDOW and stride <= 2 and far <= FARTHEST_WORD and self.columns > 0

    def plane_rows(self, rows: int) -> int:
        """Of inputs, for so many rows of outputs."""
        return (rows - 1) * self.window.stride[0] + self.reach[0]

    def work_bytes(self, rows: int) -> int:
        return 4 * self.plane_rows(rows) * self.pitch + 8 * rows * self.pairs

    @property
    def rows(self) -> int:
        """Of outputs at a time."""
        room = max(SCRATCH_BYTES, self.size[0] * self.size[1])
        fitting = [rows for rows in range(1, self.output[0] + 1) if self.work_bytes(rows) <= room]
        return max(fitting, default=1)

    @property
    def in_place(self) -> bool:
        """Whether all inputs up to the rows that are written have been read; sizes are equal."""
        return self.size == self.output and self.window.padding[0] < self.reach[0]

    @property
    def plane(self) -> tuple[int, int]:
        """Rows and columns that windows read."""
        strides, outputs = self.window.stride, self.output
        return tuple((n - 1) * s + r for n, s, r in zip(outputs, strides, self.reach, strict=True))  # pyright: ignore[reportReturnType]

    def placement(self, site: Site) -> Fields:
        """Members of a shape: the window, how far rows, columns and results are from each other, channels."""
        (_, _, width, channels), (_, _, out_width, outputs) = site.sig.input.shape, site.sig.output.shape
        steps, out_steps = (width * channels, channels), (out_width * outputs, outputs)
        if self.turned:
            steps, out_steps = steps[::-1], out_steps[::-1]
        window = dict(window_fields(self.window, site.sig.input, site.sig.output))
        window |= {"input_height": self.size[0], "input_width": self.size[1]}
        window |= {"output_height": self.output[0], "output_width": self.output[1]}
        return {
            "window": window,
            "input_step_y": steps[0],
            "input_step_x": steps[1],
            "output_step_y": out_steps[0],
            "output_step_x": out_steps[1],
            "output_channels": outputs,
            "multiplier": outputs // channels,
        }

    def fields(self, site: Site) -> Fields:
        """Members of a `tc_packed_depthwise_shape`, without the last ones."""
        return {
            **self.placement(site),
            "rows": self.rows,
            "pitch": self.pitch,
            "lead": self.lead,
            "columns": self.columns,
        }


def longest_groups(weights: Array) -> Array:
    """How many taps beside each other a channel's groups can have, from a row's first tap on.

    Args:
        weights: int64 (C, rows, columns).

    Returns:
        (C,)
    """
    channels, _, width = weights.shape
    found = np.zeros(channels, np.int64)
    for group in range(1, width + 1):
        cuts = list(range(0, width, group))
        positive = np.add.reduceat(np.maximum(weights, 0), cuts, axis=2)
        negative = np.add.reduceat(np.maximum(-weights, 0), cuts, axis=2)
        larger = 127 * (positive + negative) + np.maximum(positive, negative)
        found = np.where(np.all(larger <= LARGEST_SUM, axis=(1, 2)), group, found)
    return found


def groups_of(weights: Array) -> tuple[int, int, Array]:
    """(taps of the longer groups, of the shorter ones, which channels have the shorter ones) with the fewest groups."""
    longest, width = longest_groups(weights), weights.shape[2]
    shorter = int(longest.min())
    options = [shorter, *(group for group in range(shorter + 1, width + 1))]

    def all_groups(longer: int) -> int:
        return sum(-(-width // (longer if each >= longer else shorter)) for each in longest.tolist())

    longer = min(options, key=all_groups)
    return longer, shorter, longest < longer


@kernel_for(DepthwiseConv2D, unless={"dsp"})
def depthwise(site: Site, core: Core) -> Kernel | None:
    """Rows of the image one after the other, each of them two pairs of outputs at a time."""
    return _kernel(site, core, turned=False)


@kernel_for(DepthwiseConv2D, unless={"dsp"})
def depthwise_turned(site: Site, core: Core) -> Kernel | None:
    """Likewise its columns: where these are the longer ones, or even."""
    return _kernel(site, core, turned=True)


@channels_for(DepthwiseConv2D, unless={"dsp"})
def depthwise_channels(site: Site, core: Core, channels: range) -> Half | None:
    """`depthwise` for some channels."""
    return _of_channels(site, core, channels, turned=False)


@channels_for(DepthwiseConv2D, unless={"dsp"})
def depthwise_turned_channels(site: Site, core: Core, channels: range) -> Half | None:
    """`depthwise_turned` for some channels."""
    return _of_channels(site, core, channels, turned=True)


def _of_channels(site: Site, core: Core, channels: range, *, turned: bool) -> Half | None:
    """Each output channel has an input channel of its own."""
    same = site.sig.input.shape[3] == site.sig.output.shape[3]
    kernel = _kernel(site, core, turned=turned, computed=channels) if same else None
    return kernel and of_channels(kernel, site, channels)


@kernel_for(DepthwiseConv2D, needs={"dsp"})
def depthwise_multiplied(site: Site, core: Core) -> Kernel | None:
    """Beside kernels with lanes of 16 bits, which take several outputs of a channel in windows of up to 3 x 3 only."""
    return _multiplied(site, core, turned=False)


@kernel_for(DepthwiseConv2D, needs={"dsp"})
def depthwise_multiplied_turned(site: Site, core: Core) -> Kernel | None:
    """Likewise its columns."""
    return _multiplied(site, core, turned=True)


def _multiplied(site: Site, core: Core, *, turned: bool) -> Kernel | None:
    op = site.node.op
    if not isinstance(op, DepthwiseConv2D) or op.multiplier(site.sig) == 1:
        return None
    kernel = _kernel(site, core, turned=turned)
    return kernel and replace(kernel, notes=kernel.notes | MULTIPLIED)


def _kernel(site: Site, core: Core, *, turned: bool, computed: range | None = None) -> Kernel | None:
    """`computed`: channels; None for all."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or any(constant is None for constant in site.constants[1:]):
        return None
    if site.latitude is not None:
        return None  # where weights can be replaced, their groups can't be known
    axes = Axes.of(site, op.window_of(sig), turned=turned)
    layer = LinearLayer.of(site)
    requant = ScalarRequant.of(layer, core, 0) if axes.is_possible else None
    if requant is None:
        return None
    weights = layer.weights[..., 0].transpose(0, 2, 1) if turned else layer.weights[..., 0]
    longer, shorter, short = groups_of(weights)
    fields = {**axes.fields(site), "input_zero_point": layer.zp_in, "requant": requant.fields}
    fields |= {"computed": len(computed)} if computed else {}
    mine = computed or range(layer.channels)
    (_, width), (_, stride), (_, dilation) = axes.window.kernel, axes.window.stride, axes.window.dilation
    names = {group: f"packed_depthwise_{width}d{dilation}s{stride}_by_{group}" for group in (longer, shorter)}
    blocks = [f"TC_PACKED_DEPTHWISE({name}, {width}, {dilation}, {stride}, {group})" for group, name in names.items()]
    finish, definition = requant.packed_finish
    parameters = ("const int8_t *input", "int8_t *output", "const int8_t *weights", "const int32_t *channels")
    parameters += ("void *scratch",)
    function = struct_call(
        f"depthwise_packed_{'turned_' if turned else ''}{window_stem(op.window_of(sig), sig.input, sig.output)}"
        + (f"_of_{len(mine)}" if computed else ""),
        "tc_packed_depthwise_s8",
        "tc_packed_depthwise.h",
        parameters,
        (Struct("tc_packed_depthwise_shape", fields),),
        "Depthwise convolution channel by channel, two outputs to a word.",
        (*names_of(parameters), finish, f"&{names[longer]}", f"&{names[shorter]}"),
        (definition, *blocks),
    )
    stream = np.column_stack([short, weights.reshape(layer.channels, -1)]).astype(np.int8).ravel()
    return Kernel(
        "depthwise_packed",
        function,
        (Constant("weights", "int8_t", stream, "per channel: whether its groups are the shorter ones; taps"),)
        + (requant.channels(),),
        scratch_bytes=-(-(4 * layer.taps + axes.work_bytes(axes.rows)) // 8) * 8,
        instructions=_instructions(
            *(axes, len(mine), longer, shorter, int(short[mine.start : mine.stop].sum()), requant, core)
        ),
        code_bytes=1200,
        sweeps=Sweeps(1),
        in_place=sig.input.shape == sig.output.shape and axes.in_place,
        notes={"requantisation": requant.form},
    )


def _instructions(
    axes: Axes, channels: int, longer: int, shorter: int, short: int, requant: ScalarRequant, core: Core
) -> int:
    """Rows of words, windows of one or two pairs, and results; calls for as many rows as are computed at a time."""
    (height, width), (rows, columns) = axes.window.kernel, axes.output
    batches = -(-rows // axes.rows)

    product = 1 if core.has("multiply_accumulate") else 2

    def windows(group: int) -> int:
        groups = -(-width // group)
        two = 20 + height * (3 + (3 + 2 * product) * width + 7 * groups)
        one = 17 + height * (3 + (2 + product) * width + 3 * groups)
        return axes.pairs // 2 * two + axes.pairs % 2 * one + 12

    kept = max(0, axes.plane_rows(axes.rows) - axes.rows * axes.window.stride[0])
    packed = axes.plane_rows(rows) * (12 + 8 * axes.columns) + (batches - 1) * kept * axes.pitch * 6
    contiguous = not axes.turned and columns % 2 == 0
    finish = (
        rows * columns * requant.packed_instructions + (batches if contiguous else rows) * 45 + columns % 2 * rows * 14
    )
    each = 60 + 7 * height * width + packed + batches * 110 + finish
    return channels * each + rows * ((channels - short) * windows(longer) + short * windows(shorter))
