"""Depthwise convolution by Helium: the window in tiles of 4x4 taps, one instruction each (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from tinycompile.ir import Array, Signature, Site
from tinycompile.kernels.base import Constant, Deferred, Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, struct_call, window_fields, window_stem
from tinycompile.kernels.generic_overlap import ordered_distance
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.vector_requant import VectorRequant
from tinycompile.ops._spatial import Window
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.targets.core import Core

TILE = 4
"""Rows and columns of a tile: a vector holds 4 words, each of them 4 rows of a column."""

VECTOR = 16
"""Channels that are interleaved together."""

LARGEST_STRIP = 2560
"""Bytes of a strip's words beyond those of its shortest."""

LARGEST_OFFSET = 2**16
"""Outputs of a strip are stored at offsets of 16 bits."""


def tiled_taps(taps: Array) -> Array:
    """(C, kh, kw) as uint32: [C][row tiles][kw] words of 4 rows."""
    channels, height, width = taps.shape
    filled = np.pad(taps, ((0, 0), (0, -height % TILE), (0, 0))).astype(np.int8)
    words = filled.reshape(channels, -1, TILE, width).transpose(0, 1, 3, 2)
    return np.ascontiguousarray(words).ravel().view(np.uint32)


@dataclass(frozen=True, eq=False)
class Strips:
    """How output rows are divided.

    Attributes:
        band: output rows that share their loads: 1 or 2.
        rows: of a strip.
        in_place: whether all strips of 16 channels come before the next channels.
    """

    window: Window
    sig: Signature
    band: int
    rows: int
    in_place: bool

    @property
    def height(self) -> int:
        return self.sig.output.shape[1]

    @property
    def width(self) -> int:
        return self.sig.output.shape[2]

    @property
    def inputs(self) -> int:
        """Channels of the input."""
        return self.sig.input.shape[3]

    @property
    def channels(self) -> int:
        """Of the output."""
        return self.sig.output.shape[3]

    @property
    def row_tiles(self) -> int:
        return -(-(self.window.kernel[0] + (self.band - 1) * self.window.stride[0]) // TILE)

    @property
    def tiles(self) -> int:
        """Of 4 words, in a window; two at least where it has several rows of words: a single tile is columns alone."""
        return max(min(self.row_tiles, 2), -(-self.row_tiles * self.window.kernel[1] // TILE))

    @property
    def columns(self) -> int:
        """Of a band's words: as far as a window or a single tile reaches, whose last words have no taps."""
        wide = TILE if self.tiles == 1 else self.window.kernel[1]
        reach = (wide - 1) * self.window.dilation[1] + 1
        return max((self.width - 1) * self.window.stride[1] + reach, self.window.padding[2] + 1)

    @property
    def beside(self) -> int:
        """Columns that are interleaved together, where a vector holds those of all channels."""
        together = VECTOR // self.inputs if VECTOR % self.inputs == 0 else 1
        (_, _, width, _), inside = self.sig.input.shape, self.columns - self.window.padding[2]
        return together if width % together == 0 and inside >= width else 1

    @property
    def column_bytes(self) -> int:
        """Of its words: 4 rows of each channel."""
        return TILE * VECTOR // self.beside

    @property
    def count(self) -> int:
        """Strips; a last one of too few rows for a band belongs to the one before."""
        return max(1, (self.height - self.band) // self.rows + 1)

    @property
    def last_rows(self) -> int:
        return self.height - (self.count - 1) * self.rows

    def _bands(self, rows: int) -> Array:
        """The first output rows, from the strip's."""
        return np.minimum(np.arange(0, rows, self.band), rows - self.band)

    def blocks(self, rows: int) -> int:
        """Of 8 outputs, of a strip with so many rows."""
        return -(-self._bands(rows).size * self.width * self.band // 8)

    @property
    def longest(self) -> int:
        """Rows of the longest strip."""
        return max(self.rows, self.last_rows) if self.count > 1 else self.last_rows

    @property
    def word_bytes(self) -> int:
        return self._bands(self.longest).size * self.row_tiles * self.columns * self.column_bytes

    @property
    def scratch_bytes(self) -> int:
        taps = TILE * TILE * self.tiles * (2 + self.band) + TILE * self.window.kernel[1] if self.tiles > 1 else 0
        wide = min(VECTOR, self.inputs)
        kept = wide * self.window.padding[0] * self.sig.input.shape[2] if self.in_place and self.count > 1 else 0
        return 16 + self.word_bytes + taps + kept

    @property
    def fits(self) -> bool:
        """Whether the strips' offsets do."""
        return self.longest * self.width * self.channels <= LARGEST_OFFSET

    def _places(self, rows: int) -> Array:
        """`places` of `tc_mve_depthwise_block.h`, of a strip with so many rows."""
        bands, blocks = self._bands(rows), self.blocks(rows)
        band, column = (each.ravel() for each in np.mgrid[: bands.size, : self.width])
        several = 8 // self.band
        taken = (np.arange(blocks * several) % band.size).reshape(blocks, several)
        first = band[taken] * self.row_tiles * self.columns + column[taken] * self.window.stride[1]
        outputs = (bands[band[taken]] * self.width + column[taken]) * self.channels
        if self.band == 2:
            lanes = outputs[..., None] + np.array([0, self.width * self.channels])
        else:
            lanes = outputs.reshape(blocks, 2, 4).transpose(0, 2, 1)
        offsets = np.ascontiguousarray(lanes.reshape(blocks, 8).astype(np.uint16)).view(np.uint32)
        return np.concatenate([(first * self.column_bytes).astype(np.uint32), offsets], axis=1).ravel()

    def _words(self) -> Array:
        """Where several tiles have their words, row tile by row tile; those that fill up the last tile have no taps."""
        row, column = np.divmod(np.arange(TILE * self.tiles), self.window.kernel[1])
        words = (row * self.columns + column * self.window.dilation[1]) * self.column_bytes
        return np.where(row < self.row_tiles, words, 0).astype(np.uint32)

    def places(self) -> Array:
        """Of the words of several tiles, of a strip's outputs, then of the last one's if it has other rows."""
        words = [self._words()] if self.tiles > 1 else []
        return np.concatenate([*words, *(self._places(rows) for rows in self._different)])

    @property
    def _different(self) -> Sequence[int]:
        """Rows of the strips that have places of their own."""
        return tuple(dict.fromkeys([self.rows, self.last_rows] if self.count > 1 else [self.last_rows]))

    def _words_before(self, rows: int) -> int:
        """Of `places`, before those of a strip with so many rows; all of them, if there's none."""
        before = sum(self.blocks(each) for each in takewhile(lambda each: each != rows, self._different))
        return (TILE * self.tiles if self.tiles > 1 else 0) + before * (8 // self.band + 4)

    @property
    def place_words(self) -> int:
        return self._words_before(0)

    @property
    def fields(self) -> Fields:
        """Members of a `tc_mve_depthwise_shape`."""
        several = self.count > 1
        return {
            "in_place": int(self.in_place),
            "row_tiles": self.row_tiles,
            "tiles": self.tiles,
            "columns": self.columns,
            "beside": self.beside,
            "band_rows": self.band,
            "strip_rows": self.rows if several else self.last_rows,
            "last_rows": self.last_rows,
            "strips": self.count,
            "blocks": self.blocks(self.rows) if several else 0,
            "last_blocks": self.blocks(self.last_rows),
            "first_places": self._words_before(self.rows if several else self.last_rows),
            "last_places": self._words_before(self.last_rows),
        }

    def instructions(self, added: int) -> int:
        """Counted from the assembly; `added` per 8 outputs for the form of requantisation."""
        groups, channels = -(-self.inputs // VECTOR), self.channels
        alone = 30 if self.tiles == 1 and channels > self.inputs else 0
        total = 30 + (16 + self.word_bytes) // 8
        for rows, count in ((self.rows, self.count - 1), (self.last_rows, 1)):
            bands, blocks = self._bands(rows).size, self.blocks(rows)
            pack = bands * self.row_tiles * (75 + 14 * self.sig.input.shape[2] // self.beside)
            keep = self.window.padding[0] * self.sig.input.shape[2] * 12 if self.in_place and self.count > 1 else 0
            if self.tiles == 1:
                channel = 19 + alone + blocks * ((28 if self.band == 2 else 34) + added)
            else:
                tile = 15 if self.band == 2 else 20
                channel = 75 + (4 + 4 * self.band) * self.tiles + blocks * (tile * self.tiles + 24 + added)
            total += count * (groups * (60 + pack + keep) + channels * channel)
        return total

    def distance(self) -> int:
        """Input rows are read until the last channels of a strip are written."""
        (_, _, in_width, inputs), first = self.sig.input.shape, np.arange(self.count) * self.rows
        lowest = np.maximum(first * self.window.stride[0] - self.window.padding[0], 0)
        end = np.append(first[1:], self.height)
        return ordered_distance(lowest * in_width * inputs, end * self.width * self.channels)


def _choices(window: Window, sig: Signature) -> Iterator[Strips]:
    """Bands of one or two rows; strips of few rows and of as many as there's room for."""
    height = sig.output.shape[1]
    in_place = sig.input.shape == sig.output.shape and window.stride == (1, 1)
    pairs = window.dilation[0] == 1 and window.stride[0] < TILE and height > 1
    for band in (1, 2) if pairs else (1,):
        shortest = Strips(window, sig, band, band, in_place)
        for bands in range(1, -(-height // band) + 1):
            strips = Strips(window, sig, band, band * bands, in_place)
            if strips.fits and strips.word_bytes <= max(shortest.word_bytes, LARGEST_STRIP):
                yield strips


@kernel_for(DepthwiseConv2D, needs={"mve"})
def depthwise(site: Site, core: Core) -> Kernel | None:
    """Any depth multiplier."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, DepthwiseConv2D) or any(constant is None for constant in site.constants[1:]):
        return None
    layer = LinearLayer.of(site)
    requant = VectorRequant.of(layer)
    if requant is None:
        return None
    fused = requant.doubled(layer)
    requant, window = fused or requant, op.window_of(sig)
    added = 0 if fused else {"smmla": 2, "smmla_shift": 5, "smmla_signed": 7}[requant.plan.form]
    added += 2 * (requant.pre > 0) + 2 * ((requant.plan.low > -128) + (requant.plan.high < 127))
    strips = min(_choices(window, sig), key=lambda each: each.instructions(added), default=None)
    if strips is None:
        return None
    fields = {
        "window": window_fields(window, sig.input, sig.output),
        "channels": strips.inputs,
        "multiplier": strips.channels // strips.inputs,
        "input_zero_point": layer.zp_in,
        **strips.fields,
        "words": 1 + len(requant.constants),
    }
    width = window.kernel[1] if strips.tiles == 1 else TILE
    stride = window.stride[0] if strips.band == 2 else 0
    name = f"mve_depthwise_{strips.tiles}x{strips.band}_{width}s{stride}_{requant.suffix}"
    sizes = ", ".join(map(str, (strips.tiles, strips.band, width, stride, *requant.arguments)))
    parameters = ("const int8_t *input", "int8_t *output", "const uint32_t *taps", "const int32_t *requant")
    function = struct_call(
        f"depthwise_mve_{window_stem(window, sig.input, sig.output)}",
        "tc_mve_depthwise_s8",
        "tc_mve_depthwise.h",
        (*parameters, "const uint32_t *places", "void *scratch"),
        (Struct("tc_mve_depthwise_shape", fields),),
        "Depthwise convolution, 8 outputs of a channel at a time, 16 taps per instruction.",
        ("input", "output", "taps", "requant", "places", "scratch", name),
        (f"TC_MVE_DEPTHWISE({name}, {sizes})",),
    )
    taps = Deferred(
        layer.channels * -(-window.kernel[0] // TILE) * window.kernel[1],
        np.uint32,
        lambda: tiled_taps(layer.weights[..., 0]),
    )
    places = Deferred(strips.place_words, np.uint32, strips.places)
    words = Deferred((1 + len(requant.constants)) * layer.channels, np.int32, lambda: requant.per_channel)
    return Kernel(
        "depthwise_mve",
        function,
        (
            Constant("taps", "uint32_t", taps, "per channel: 4 rows of each column"),
            Constant("requant", "int32_t", words, "per channel: start, multiplier, offset, extra where it needs one"),
            Constant("places", "uint32_t", places, "per 8 outputs: where their inputs and they are", of_shapes=True),
        ),
        scratch_bytes=strips.scratch_bytes,
        instructions=strips.instructions(added),
        code_bytes=900 + 60 * strips.tiles,
        overlap={} if strips.in_place else {0: strips.distance()},
        in_place=strips.in_place,
        notes={"requantisation": requant.plan.form},
        requant=requant.shape_in_code,
    )
