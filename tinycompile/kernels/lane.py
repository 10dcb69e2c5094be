"""The byte-lane product for matrix-like layers on cores with the DSP extension (docs/kernels.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Deferred, Function, Kernel, Sweeps, kernel_for, safe_distance
from tinycompile.kernels.generic_c import Fields, Struct, names_of, struct_call
from tinycompile.kernels.hot_code import HotFunction, nested
from tinycompile.kernels.linear_layer import RECENT_SITES, LinearLayer, has_wide_weights
from tinycompile.kernels.requant_block import RequantBlock
from tinycompile.kernels.work import Work
from tinycompile.lazy import lazy
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

SHORT_ROUND, LONG_ROUND = 2, 8
"""Groups of 4 inputs in a round of the fully connected block functions' loop."""

PRE = 8
"""The accumulators hold 256 times the sum."""

PART = 120
"""Groups of 4 inputs of which any weights make sums within 2^23: a whole number of rounds, as the C knows."""


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
    words: Array,
    plan: RequantPlan,
    together: int,
    order: Array | None = None,
    *,
    words_together: int = 1,
    starts: bool = True,
) -> Array:
    """int32 stream per `together` channels: their starts, their words interleaved, the parameters of each channel.

    Args:
        starts: whether it has them.
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
    return np.concatenate([*([start] if starts else []), body, parameters], axis=1).astype(np.int32).ravel()


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
        return _lanes_of(layer, direct)

    @lazy
    def groups(self) -> int:
        """Words of a channel: four taps each."""
        return -(-self.layer.taps // 4)

    @property
    def record(self) -> int:
        """Words of a channel with its start, if it is there, and its requantisation."""
        return (not self.requant.apart) + self.groups + (3 if self.requant.signed else 2)

    def stream(self, together: int, order: Array | None = None) -> Deferred:
        """`channel_stream` of the layer."""
        channels = self.layer.channels if order is None else order.size
        size = -(-channels // together) * together * self.record
        return Deferred(size, np.int32, lambda: self._stream(together, order))

    def _stream(self, together: int, order: Array | None) -> Array:
        return channel_stream(self.words, self.plan, together, order, starts=not self.requant.apart)

    @property
    def words(self) -> Array:
        """(C, groups): the weights, packed."""
        words = pack_words(_whole_words(self.layer), direct=self.direct)
        if words is None:
            raise ValueError("a lane leaves int16")
        return words


RECENT_LANES = 64
"""Layers whose lanes are known: those of the few layers that a dozen factories ask for, one after the other, and of
first channels that others repeat.
"""


RECENT_FORMS = 4 * RECENT_SITES
"""Ways to compute a layer that are known: several factories ask for each, for all of its weights and for tiles."""


@lru_cache(RECENT_LANES)
def _lanes_of(layer: LinearLayer, direct: bool) -> Lanes | None:
    """As `Lanes.of`."""
    if layer.repeats:
        known = _lanes_of(layer.first, direct)
        return None if known is None else replace(known, layer=layer, plan=known.plan.repeated(layer.rule))
    if not layer.fits(PRE) or not _fits_lanes(layer, direct):
        return None
    plan = layer.solve(PRE, lane_offset(layer.matrix, direct=direct))
    requant = RequantBlock.of(plan)
    if requant is None:
        return None
    return Lanes(layer, direct, plan, replace(requant, apart=True) if layer.adds_bias else requant)


@dataclass(frozen=True, eq=False)
class PartLanes(Lanes):
    """A layer with sums of 2^23 and more: the byte-lane product computes them in parts of `PART` groups.

    A part's sum is exact, 256 times what it is. It is shifted to the right until the layer's sums have room as well,
    and added to a total, from which the requantisation starts.
    """

    @staticmethod
    def of(layer: LinearLayer, *, direct: bool = False) -> PartLanes | None:
        """None where sums are small, or the byte-lane product can't compute the layer in parts either."""
        pre = next((shift for shift in range(PRE - 1, -1, -1) if layer.fits(shift)), None)
        if layer.fits(PRE) or pre is None or not _fits_lanes(layer, direct):
            return None
        plan = layer.solve(pre)
        requant = RequantBlock.of(plan)
        return None if requant is None else PartLanes(layer, direct, plan, requant)

    @property
    def right(self) -> int:
        """Bits that a part's sum is shifted by."""
        return PRE - self.plan.pre

    @property
    def parts(self) -> int:
        return -(-self.groups // PART)

    @property
    def first_part(self) -> int:
        """Groups of the first part; the others have `PART`."""
        return self.groups - (self.parts - 1) * PART

    @property
    def record(self) -> int:
        return super().record + self.parts

    @property
    def words(self) -> Array:
        """(C, parts + groups): each part's start, which takes out what inputs' representation adds, and its weights."""
        words = super().words
        borders = [0, *range(self.first_part, self.groups + 1, PART)]
        matrix = _whole_words(self.layer)
        starts = [-lane_offset(matrix[:, 4 * a : 4 * b], direct=self.direct) for a, b in pairwise(borders)]
        return np.insert(words, borders[:-1], np.stack(starts, axis=1), axis=1)


def _whole_words(layer: LinearLayer) -> Array:
    return padded(layer.matrix, layer.channels, -(-layer.taps // 4) * 4)


def _fits_lanes(layer: LinearLayer, direct: bool) -> bool:
    """Whether there are `pack_words`: without a weight of -128 always."""
    return layer.weight_range[0] > -128 or pack_words(_whole_words(layer), direct=direct) is not None


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
    short, long = (Rows.of(site, core, together=together) for together in (SHORT_ROUND, LONG_ROUND))
    if short is None or long is None:
        return None
    saved, more = short.work.instructions - long.work.instructions, long.code_bytes - short.code_bytes
    return long.kernel() if 2 * saved >= more else None


@kernel_for(FullyConnected, Conv2D, needs={"dsp"})
def fully_connected_direct(site: Site, core: Core) -> Kernel | None:
    """The same without scratch: inputs are expanded as they are read, for every 8 channels again."""
    return _rows_kernel(site, core, direct=True)


AROUND_BYTES = 60
"""Of a block function, in front of its loop over channels and behind it."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows times a matrix: what a layer's function and its price follow from.

    Attributes:
        rows, inputs, outputs: as in `as_rows`.
        direct: rows are expanded as they are read.
        together: groups of 4 inputs in a round of the block function's loop.
        whole: the last channels are a block of 8 like the others, even if there are 4 or fewer.
    """

    lanes: Lanes
    rows: int
    inputs: int
    outputs: int
    direct: bool
    together: int
    core: Core
    whole: bool = False

    @staticmethod
    @lru_cache(RECENT_FORMS)
    def of(
        site: Site, core: Core, *, direct: bool = False, together: int = SHORT_ROUND, whole: bool = False
    ) -> Rows | None:
        """None where the layer isn't of that kind."""
        if site.constants[1] is None or has_wide_weights(site):
            return None
        shape = as_rows(site)
        if shape is None:
            return None
        rows, inputs, outputs = shape
        if direct and inputs % 4:
            return None  # the last word would reach beyond the row
        layer = LinearLayer.of(site)
        lanes = Lanes.of(layer, direct=direct) or PartLanes.of(layer, direct=direct)
        return None if lanes is None else Rows(lanes, rows, inputs, outputs, direct, together, core, whole)

    @lazy
    def name(self) -> str:
        return "direct" if self.direct else "lane" if self.together == SHORT_ROUND else "long"

    @lazy
    def blocks(self) -> int:
        """Of 8 channels."""
        return -(-self.outputs // 8)

    @lazy
    def block_words(self) -> int:
        """Of the weights of a block."""
        return 8 * self.lanes.record

    @lazy
    def rest(self) -> int:
        """Channels of the last block, where it has fewer than 8 outputs: 4 if these do, and save their code's flash."""
        if self.whole or self.outputs % 8 not in (1, 2, 3, 4):
            return 8
        return 4 if self.outputs < 8 or 4 * 4 * self.lanes.record >= self._function_bytes(4) else 8

    @lazy
    def shape(self) -> Fields:
        """The members of a `tc_lane_fully_connected_shape`."""
        return {
            "rows": self.rows,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "block_words": self.block_words,
            "rest_words": self.rest * self.lanes.record,
            "round": self.together,
            "first_bytes": self._group_bytes * self._parts.first_part if self._parts else 0,
        }

    @property
    def _parts(self) -> PartLanes | None:
        return self.lanes if isinstance(self.lanes, PartLanes) else None

    @property
    def _group_bytes(self) -> int:
        """Of 4 inputs, as the block function reads them."""
        return 4 if self.direct else 8

    def _kind(self, channels: int) -> str:
        return "_".join(
            (
                "lane_row",
                *(["direct"] if self.direct else []),
                *(["long"] if self.name == "long" else []),
                *([f"parts{self._parts.right}"] if self._parts else []),
                *([str(channels)] if channels < 8 else []),
            )
        )

    @lazy
    def block_names(self) -> tuple[str, str]:
        """C names of the block functions for 8 channels and for the last ones."""
        first, rest = (self.lanes.requant.name(self._kind(channels)) for channels in self._channels)
        return first, rest

    @lazy
    def _channels(self) -> tuple[int, int]:
        return (8 if self.outputs >= 8 else self.rest), self.rest

    @lazy
    def definitions(self) -> tuple[str, ...]:
        """Of these functions."""
        single = self.core.issue.single_loads and not self.direct
        macro = (
            ("_DIRECT" if self.direct else "")
            + ("_SINGLE" if single else "")
            + ("_LONG" if self.name == "long" else "")
        )
        sizes = ("IN_PARTS", self._parts.right) if self._parts else ("AS_A_WHOLE", 0)
        return tuple(
            self.lanes.requant.define(f"TC_LANE_ROW{macro}", self._kind(channels), channels, *sizes)
            for channels in dict.fromkeys(self._channels)
        )

    @lazy
    def scratch_bytes(self) -> int:
        """An expanded row."""
        return 0 if self.direct else 8 * self.lanes.groups

    def _group(self, channels: int) -> Work:
        return group_work(channels, direct=self.direct, strict=self.core.strict, single=self.core.issue.single_loads)

    def _block(self, channels: int) -> Work:
        groups = self.lanes.groups
        work = 12 + 4 * channels + self._group(channels) * groups + -(-groups // self.together) * 3
        return work + channels + self._parts.parts * (12 + 2 * channels) if self._parts else work

    @lazy
    def work(self) -> Work:
        """Of the layer."""
        whole, rest = divmod(self.outputs, 8)
        row = 40 + self.scratch_bytes + whole * self._block(8)
        return 60 + self.rows * (row + self._block(self.rest) * min(rest, 1))

    def _function_bytes(self, channels: int) -> int:
        """Of the block function."""
        added = (14 + 10 * channels) if self._parts else 0
        return 100 + 16 * channels + 4 * self._group(channels).instructions * self.together + added

    @lazy
    def hot(self) -> tuple[HotFunction, ...]:
        """Block functions: a loop over channels, and inside of it one over rounds of groups."""
        turns, found = -(-self.lanes.groups // self.together), dict[str, HotFunction]()
        for channels, name in zip(self._channels, self.block_names, strict=True):
            size, blocks = self._function_bytes(channels), -(-self.outputs // 8) if channels == 8 else 1
            inner = 12 + 4 * self._group(channels).instructions * self.together
            found[name] = HotFunction(name, size, nested(inner, turns, size - AROUND_BYTES, self.rows * blocks))
        return tuple(found.values())

    @lazy
    def code_bytes(self) -> int:
        return 40 + sum(self._function_bytes(channels) for channels in dict.fromkeys(self._channels))

    @lazy
    def weights(self) -> Constant:
        """The constant array."""
        return Constant(
            "weights",
            "int32_t",
            self._stream,
            f"per 8 channels: starts, {'per part starts and ' if self._parts else ''}lane words, requantisation",
        )

    @property
    def _stream(self) -> Deferred:
        if len(set(self._channels)) == 1:
            return self.lanes.stream(self.rest)
        first, last = np.split(np.arange(self.outputs), [self.outputs // 8 * 8])
        streams = self.lanes.stream(8, first), self.lanes.stream(self.rest, last)
        size = sum(stream.size for stream in streams)
        return Deferred(size, np.int32, lambda: np.concatenate([stream.compute() for stream in streams]))

    def kernel(self) -> Kernel:
        """All channels of a row, then the next row."""
        parameters = ("const int8_t *input", "int8_t *output", "const int32_t *weights", "void *scratch")
        used = parameters[:3] if self.direct else parameters
        stem = f"fully_connected_{self.name}_{self.rows}x{self.inputs}_{self.outputs}"
        function = Function.later(
            stem,
            used,
            lambda: struct_call(
                stem,
                f"tc_lane_fully_connected{'_direct' if self.direct else ''}_s8",
                "tc_lane_fully_connected.h",
                used,
                (Struct("tc_lane_fully_connected_shape", self.shape),),
                "Fully connected layer by the byte-lane product, 8 channels in registers.",
                (*names_of(used), *self.block_names),
                self.definitions,
            ),
        )
        work, outputs = self.work, self.outputs
        return Kernel(
            f"fully_connected_{self.name}",
            function,
            (self.weights,),
            scratch_bytes=self.scratch_bytes,
            instructions=work.instructions,
            cycles=work.cycles_on(self.core),
            code_bytes=self.code_bytes,
            hot=self.hot,
            sweeps=Sweeps(self.rows, between=self.scratch_bytes or self.inputs),
            overlap={0: safe_distance(row_steps(self.rows, self.inputs, outputs, 8 if self.direct else outputs))},
            notes={"requantisation": self.lanes.plan.form},
            requant=self.lanes.plan.shape_in_code,
        )


@cache
def group_work(channels: int, *, direct: bool, strict: bool, single: bool) -> Work:
    """Of 4 inputs and 8 or 4 channels of `Rows`, on a core with `Core.strict` and `Issue.single_loads`."""
    if direct:
        load, two = (Work(10, 10) if strict else Work(4, 2)), Work(7, 5)
    else:
        load, two = (Work(2, 1), Work(8, 4)) if single else (Work(1, 1), Work(7, 5))
    return load + channels // 2 * two


def _rows_kernel(site: Site, core: Core, *, direct: bool, together: int = SHORT_ROUND) -> Kernel | None:
    layer = Rows.of(site, core, direct=direct, together=together)
    return None if layer is None else layer.kernel()


def row_steps(rows: int, inputs: int, outputs: int, together: int) -> Iterator[tuple[int, int]]:
    """What later rows still read when a row is written, and what this one's next `together` outputs read.

    Both grow evenly from row to row, so that the first and the last ones are furthest apart.
    """
    for row in sorted({0, max(0, rows - 2), rows - 1}):
        if outputs > together:
            yield row * inputs, row * outputs + (outputs - 1) // together * together
        if row + 1 < rows:
            yield (row + 1) * inputs, (row + 1) * outputs
