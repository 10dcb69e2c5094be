"""Depthwise convolution with windows of up to 3x3 from vertical pairs, weights in registers for several rows.

For cores with the DSP extension; the technique is in docs/kernels.md. Block functions are made for a shape: distances
in memory are immediates, and the last column and row of odd sizes have blocks of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Function, Half, Kernel, Sweeps, kernel_for
from tinycompile.kernels.depthwise_frame import Frame, pairs
from tinycompile.kernels.for_halves import channels_for, of_channels
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.hot_code import HotFunction, Loop
from tinycompile.kernels.lane_straight import LARGEST_CODE
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

WINDOW = 3

LDRD_REACH, LDR_REACH, STRB_REACH = 1020, 4095, 4095
"""Largest offsets of these instructions."""

LONGEST_ROW = 8
"""Blocks of two columns: rows of so many have no loop."""

LARGEST_ROUND = 6
"""Blocks of a round of that loop."""

SHARE = 16
"""With stride 1 scratch is at most the input's size by this, or what few strips need: a layer in place is hardly where
a model needs the most memory."""

SMALLER_SHARE, SMALL = 64, 1280
"""With stride 2, where one often is: at most the size of input and output by this, or so many bytes, or two bands."""

MOST_STRIPS = 8
"""Of two output rows at a time; more save hardly anything."""


@dataclass(frozen=True)
class Walk:
    """How a block function goes along a row, and how it reaches the bands and the lower output row.

    Attributes:
        unrolled: blocks of two columns per round, or of the whole row.
        bias: bytes from the first band to the address that offsets count from.
        far: bytes to the lower output row that an addition takes; 0 where STRB reaches it.
        third_by_words: whether the third band, of stride 2, is out of LDRD's reach.
    """

    unrolled: int
    bias: int
    far: int
    third_by_words: bool = False

    @staticmethod
    def of(frame: Frame, bands: Bands, *, dual: bool, third_by_words: bool = False) -> Walk | None:
        """The longest rounds that are possible. None where a row is too long.

        Args:
            dual: whether columns are loaded one by one, by LDR, which reaches further.
            third_by_words: whether the third band's are.
        """
        reach = bands.pitch if third_by_words else bands.reach
        _, _, width, pixel = frame.output_shape
        for unrolled in _rounds(width // 2):
            rounds, rest = divmod(width // 2, unrolled)
            straight = width // 2 + width % 2 if rounds <= 1 else max(unrolled, rest + width % 2)
            last = 32 * frame.stride * straight
            bias = _bias(reach, last, dual=dual)
            furthest = (2 * straight - 1) * pixel
            far = 0 if width * pixel + furthest <= STRB_REACH else _leading(width * pixel)
            if bias is None or furthest + width * pixel - far > STRB_REACH or bands.reach + last + 4 - bias > LDR_REACH:
                continue
            walk = Walk(unrolled, bias, far, third_by_words)
            if _block_function_bytes(frame, bands, walk, dual=dual) <= LARGEST_CODE:
                return walk
        return None


def _rounds(blocks: int) -> list[int]:
    """Blocks per round that are worth a try, best first."""
    whole = [max(1, blocks)] if blocks <= LONGEST_ROW else []
    return whole + sorted(range(1, LARGEST_ROUND + 1), key=lambda unrolled: (blocks // unrolled, blocks % unrolled))


def _leading(value: int) -> int:
    """The largest number of 8 bits followed by zeros that isn't larger: an addition takes it."""
    zeros = max(0, value.bit_length() - 8)
    return value >> zeros << zeros


def _bias(bands: int, last: int, *, dual: bool) -> int | None:
    """Such that LDRD takes the offsets from -bias to `bands` + `last` - bias; None if there is none."""
    if dual:
        return 0 if bands + last + 4 <= STRB_REACH else None
    if bands + last <= LDRD_REACH:
        return 0
    bias = bands + last - LDRD_REACH
    return bias if bias <= LDRD_REACH else None


@dataclass(frozen=True)
class Bands:
    """The bands in scratch.

    Attributes:
        columns: of a band, padding included.
        slots: bands that are held at once.
        total: of the image.
        rows: of the output that these suffice for.
        stride: of the layer.
    """

    columns: int
    slots: int
    total: int
    rows: int
    stride: int

    @staticmethod
    def of(frame: Frame, *, single: bool = False, most: int = MOST_STRIPS) -> Bands:
        """With stride 2 there may be room for single rows only; `single` asks for that.

        Args:
            most: strips of two output rows.
        """
        _, out_height, out_width, _ = frame.output_shape
        # The blocks read three columns whatever the window's width; those beyond it count nothing but must exist.
        columns = (out_width - 1) * frame.stride + WINDOW
        columns += columns % 2
        each = frame.stride  # bands that a strip of two output rows adds
        total = (out_height if each == 2 else -(-out_height // 2)) + 1
        read, written = int(np.prod(frame.input_shape)), int(np.prod(frame.output_shape))
        room = read // SHARE if each == 1 else max(SMALL, (read + written) // SMALLER_SHARE)
        strips = min(most, (room // (16 * columns) - 1) // each)
        strips = max(3, strips) if each == 1 else 0 if single else strips
        slots = each * strips + 1 if strips > 0 else 2
        if slots >= total and not single:
            return Bands(columns, total, total, out_height, each)
        return Bands(columns, slots, total, 2 * strips if strips > 0 else 1, each)

    @property
    def single(self) -> bool:
        """Whether there is room for single rows of the output only."""
        return self.rows == 1

    @property
    def reach(self) -> int:
        """Bytes from the first band that a block reads to the last one."""
        return self.pitch * (2 if self.rows > 1 and self.stride == 2 else 1)

    @property
    def pitch(self) -> int:
        """Bytes of a band."""
        return 16 * self.columns


def records(frame: Frame) -> Deferred:
    """int32 per channel: what `tc_depthwise_strips_block.h` wants of the weights, then the requantisation."""

    def words() -> Array:
        taps = np.zeros((frame.layer.channels, WINDOW, WINDOW), np.int64)
        taps[:, : frame.window[0], : frame.window[1]] = frame.taps
        first, pre = pairs(taps[:, 0], taps[:, 1], frame.plan.pre), frame.plan.pre
        if frame.stride == 1:
            return np.concatenate([first, pairs(taps[:, 1], taps[:, 2], pre)], axis=1)
        last = np.pad(taps[:, 2], ((0, 0), (0, 1)))
        return np.concatenate([first, pairs(last[:, 0::2], last[:, 1::2], pre)], axis=1)

    return frame.records(6 if frame.stride == 1 else 5, words)


AROUND_BYTES = 120
"""Of the block function, in front of its loop and behind it."""


@kernel_for(DepthwiseConv2D, needs={"dsp"})
def depthwise_strips(site: Site, core: Core) -> Kernel | None:
    """Depth multiplier 1, stride 1 or 2 in both directions, at least 4 channels."""
    return _kernel(site, core)


@channels_for(DepthwiseConv2D, needs={"dsp"})
def depthwise_strips_of_channels(site: Site, core: Core, channels: range) -> Half | None:
    """The same for some groups of 4 channels: a smaller one would pack others' again."""
    kernel = None if channels.start % 4 or len(channels) % 4 else _kernel(site, core, len(channels))
    return kernel and of_channels(kernel, site, channels)


def _kernel(site: Site, core: Core, computed: int = 0) -> Kernel | None:
    """`computed`: channels; 0 for all."""
    frame = Frame.of(site)
    if frame is None or max(frame.window) > WINDOW or min(frame.op.padding) < 0:
        return None
    bands, dual = Bands.of(frame), core.issue.single_loads
    walk = Walk.of(frame, bands, dual=dual)
    if walk is None and frame.stride == 2 and not bands.single:  # such large bands are as few as possible
        bands = Bands.of(frame, most=1)
        walk = Walk.of(frame, bands, dual=dual, third_by_words=True)
    if walk is None and frame.stride == 2:
        bands = Bands.of(frame, single=True)
        walk = Walk.of(frame, bands, dual=dual)
    needed = min(frame.input_shape[2], bands.columns - frame.op.padding[2])
    packing = Packing.of(frame, bands, needed)
    if walk is None or packing is None:
        return None
    stream = records(frame)
    return Kernel(
        "depthwise_strips",
        _function(frame, bands, walk, packing, stream.size // frame.layer.channels, computed, dual=dual),
        (Constant("weights", "int32_t", stream, "per channel: pairs of taps, requantisation"),),
        scratch_bytes=bands.slots * bands.pitch,
        instructions=_instructions(frame, bands, walk, packing, computed or frame.layer.channels, dual=dual),
        code_bytes=_code_bytes(frame, bands, walk, packing, dual=dual),
        hot=(_hot(frame, bands, walk, dual=dual),),
        sweeps=Sweeps(
            -(-frame.output_shape[1] // bands.rows), 16 * (stream.size // frame.layer.channels), 8 * bands.pitch
        ),
        operand_sweeps=-(-frame.layer.channels // 4),
        result_sweeps=frame.layer.channels,
        in_place=frame.place_by_rows is not None,
        in_place_at=frame.place_by_rows or 0,
        notes={"requantisation": frame.plan.form},
        requant=frame.plan.shape_in_code,
    )


@dataclass(frozen=True)
class Packing:
    """The functions that pack bands.

    Attributes:
        needed: columns of the image that are packed.
        second: 1 where the first of them is the second of its two columns.
        kinds: "both", and "upper" or "lower" where there are bands that have only that row.
        unrolled: twos of columns per round, of "both" and of the others.
    """

    needed: int
    second: int
    kinds: tuple[str, ...]
    unrolled: tuple[int, int]

    @staticmethod
    def of(frame: Frame, bands: Bands, needed: int) -> Packing | None:
        """None where nothing of the image is needed, or a pixel is longer than a load reaches."""
        _, height, _, channels = frame.input_shape
        top, left = frame.op.padding[0], frame.op.padding[2]
        second = left % 2
        unrolled = [Packing.longest(needed - second, second, channels, most) for most in (5, 2)]
        if needed <= 0 or None in unrolled:
            return None
        kinds = ["both"] if (top + 1) // 2 < min(bands.total, (height + top) // 2) else []
        kinds += ["upper"] if (height + top) % 2 and (height + top) // 2 < bands.total else []
        kinds += ["lower"] if top % 2 else []
        return Packing(needed, second, tuple(kinds), (unrolled[0] or 1, unrolled[1] or 1))

    @staticmethod
    def longest(columns: int, second: int, channels: int, most: int) -> int | None:
        """Twos of columns per round, up to `most`, whose loads are in reach; None if there is none."""
        for unrolled in range(most, 0, -1):
            rounds, rest = divmod(columns // 2, unrolled)
            straight = columns if rounds <= 1 else max(2 * unrolled, 2 * rest + columns % 2)
            if (second + straight - 1) * channels <= STRB_REACH:
                return unrolled
        return None

    def instructions(self, kind: str) -> int:
        """Of a band, without calling the function."""
        twos, rest = divmod(self.needed - self.second, 2)
        load = 4 if kind == "both" else 3
        rounds = twos // self.unrolled[kind != "both"]
        loop = 3 + (5 if kind == "both" else 4) * rounds if rounds > 1 else 0
        return 8 + twos * (2 * load + 9) + (self.second + rest) * (load + 8) + loop

    def preamble(self, kind: str, frame: Frame, pitch: int, *, dual: bool) -> tuple[str, str]:
        """Name and definition of a packing function."""
        _, _, width, channels = frame.input_shape
        unrolled = self.unrolled[kind != "both"]
        at = "s" if self.second else ""
        name = f"depthwise_pack_{kind}_{self.needed}{at}_of_{width}x{channels}_{pitch}"
        sizes = (self.needed, width, channels, pitch, self.second, unrolled)
        store = "pairs" if dual else "words"
        return name, f"TC_DEPTHWISE_PACK_{kind.upper()}({', '.join(map(str, (name, store, *sizes)))})"


def _function(
    frame: Frame, bands: Bands, walk: Walk, packing: Packing, record: int, computed: int, *, dual: bool
) -> Function:
    (_, height, width, channels), (_, out_height, out_width, _) = frame.input_shape, frame.output_shape
    shape = {
        "height": height,
        "row_bytes": width * channels,
        "channels": channels,
        "zero_point": frame.layer.zp_in,
        "padding_top": frame.op.padding[0],
        "padding_left": frame.op.padding[2],
        "output_height": out_height,
        "output_row": out_width * channels,
        "stride": frame.stride,
        "columns": bands.columns,
        "slots": bands.slots,
        "rows": bands.rows,
        "record_words": record,
        **({"computed": computed} if computed else {}),
    }
    sizes = (out_width, channels, bands.pitch, walk.unrolled, walk.bias, walk.far, _rows(frame, bands))
    block = _block_name(frame, bands)
    packs = {kind: packing.preamble(kind, frame, bands.pitch, dual=dual) for kind in packing.kinds}
    parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
    return struct_call(
        f"depthwise_strips_{frame.window[0]}x{frame.window[1]}s{frame.stride}_{height}x{width}x{channels}"
        + (f"_of_{computed}" if computed else ""),
        "tc_depthwise_strips_s8",
        "tc_depthwise_strips.h",
        parameters,
        (Struct("tc_depthwise_strips_shape", shape),),
        "Depthwise convolution, one channel of 2 x 2 outputs in registers, several rows with the same weights.",
        (
            *names_of(parameters),
            frame.requant.name(block),
            *(packs[kind][0] if kind in packs else "NULL" for kind in ("both", "upper", "lower")),
        ),
        (
            frame.requant.define(
                f"TC_DEPTHWISE_STRIPS_BLOCK_S{frame.stride}", block, "singles" if dual else "pairs", *sizes
            ),
            *(definition for _, definition in packs.values()),
        ),
    )


def _rows(frame: Frame, bands: Bands) -> str:
    """How many rows of the output a block function may be asked for."""
    return "one" if bands.single else "any" if frame.output_shape[1] % 2 else "even"


def _block_name(frame: Frame, bands: Bands) -> str:
    """Of the block function, without its requantisation."""
    (_, _, width, channels) = frame.output_shape
    return f"depthwise_strips_{width}x{channels}s{frame.stride}_{bands.pitch}_{_rows(frame, bands)}"


def _block(frame: Frame, rows: int, columns: int, walk: Walk, *, dual: bool) -> int:
    """Instructions of a block, counted from the assembly."""
    requant, stride = frame.requant, frame.stride
    outputs, bands = rows * columns, 2 if stride == 1 else rows + 1
    taps = WINDOW + stride * (columns - 1)  # columns of a band
    by_words = bands if dual else 1 if walk.third_by_words and rows == 2 else 0
    loads = by_words * taps + (bands - by_words) * -(-taps // 2)
    products = 6 * outputs  # of two taps or one
    start = (1 if stride == 1 else 0) + requant.signed
    finish = outputs * (3 + 2 * requant.signed + requant.clamp_steps) + 1 + 2 * requant.signed + requant.clamp_steps
    return start + loads + products + finish + (1 if walk.far and rows == 2 else 0)


def _instructions(frame: Frame, bands: Bands, walk: Walk, packing: Packing, channels: int, *, dual: bool) -> int:
    """Counted from the assembly; what GCC makes of the layer around it is about 30 per call."""
    (_, in_height, _, _), (_, height, width, _) = frame.input_shape, frame.output_shape
    rounds = width // 2 // walk.unrolled
    row = (6 + 6 * rounds if rounds > 1 else 4) + 2

    def outputs(rows: int) -> int:
        twos, one = (_block(frame, rows, columns, walk, dual=dual) for columns in (2, 1))
        return row + width // 2 * twos + width % 2 * one

    turns = -(-height // bands.rows)
    singles = height if bands.single else height % 2
    channel = (
        turns * (22 + 2 * frame.requant.signed) + (height - singles) // 2 * outputs(2) + singles * (3 + outputs(1))
    )
    inside = max(0, min(bands.total, (in_height + frame.op.padding[0]) // 2) - (frame.op.padding[0] + 1) // 2)
    edges = sum(25 + packing.instructions(kind) for kind in packing.kinds if kind != "both")
    calls = turns * (85 + bands.columns * 3) + inside * packing.instructions("both") + edges
    return 60 + bands.slots * bands.columns * 2 + -(-channels // 4) * calls + channels * channel


def _block_function_bytes(frame: Frame, bands: Bands, walk: Walk, *, dual: bool) -> int:
    """Nearly all instructions have 4 bytes."""
    _, height, width, _ = frame.output_shape
    rounds, rest = divmod(width // 2, walk.unrolled)
    straight = width // 2 if rounds <= 1 else walk.unrolled + rest
    blocks = 0
    for rows in (1,) if bands.single else (2, 1)[: 1 + height % 2]:
        twos, one = (_block(frame, rows, columns, walk, dual=dual) for columns in (2, 1))
        blocks += straight * twos + width % 2 * one
    return 260 + 4 * blocks


def _hot(frame: Frame, bands: Bands, walk: Walk, *, dual: bool) -> HotFunction:
    """The block function: nearly all of it is a loop over the rows of each channel, one or two at once."""
    size = _block_function_bytes(frame, bands, walk, dual=dual)
    _, height, _, channels = frame.output_shape
    rounds = channels * -(-height // (1 if bands.single else 2))
    return HotFunction(frame.requant.name(_block_name(frame, bands)), size, (Loop(size - AROUND_BYTES, rounds),))


def _code_bytes(frame: Frame, bands: Bands, walk: Walk, packing: Packing, *, dual: bool) -> int:
    twos, rest = divmod(packing.needed - packing.second, 2)
    packed = 0
    for kind in packing.kinds:
        unrolled = packing.unrolled[kind != "both"]
        straight = twos if twos // unrolled <= 1 else unrolled + twos % unrolled
        packed += 22 + (13 if kind == "both" else 12) * (packing.second + rest) + 17 * straight
    return 240 + _block_function_bytes(frame, bands, walk, dual=dual) + 4 * packed
