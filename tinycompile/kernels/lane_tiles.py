"""The byte-lane product with output channels outside and pixels inside, for weights in a slow memory.

What a block of pixels saves by staying in scratch for all output channels, expanding it once, costs reading all
weights for every block. A cache that holds them makes that cheap. Where none does, this kernel copies the weights to
RAM tile by tile, and expands every block once per tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinycompile.ir import Site
from tinycompile.kernels.base import Beaten, Function, Kernel, Sweeps, tiling_for
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.lane_conv2d import PARAMETERS, Convolution
from tinycompile.kernels.lane_pointwise import Pointwise
from tinycompile.kernels.staged import LINE_SPARE, LINE_WORDS, copies_work, read_once
from tinycompile.kernels.work import Work
from tinycompile.lazy import lazy
from tinycompile.ops.conv2d import Conv2D
from tinycompile.targets.core import Core

TILES = (4096, 8192, 16384, 32768, 49152)
"""Bytes of weights that are in RAM at once, at most."""


def pairs_of_tile(channels: int, pair_bytes: int, room: int, together: int = 1) -> int | None:
    """Pairs of channels in a tile of at most `room` bytes, about as many in each tile; None where all fit, or not one.

    Args:
        together: pairs that a block function computes in a round.
    """
    total = (channels + 1) // 2
    most = room // pair_bytes // together * together
    if not 0 < most < total:
        return None
    tiles = -(-total // most)
    pairs = -(-total // (tiles * together)) * together
    return None if channels % 2 and (total - 1) % pairs == 0 else pairs  # nothing but the pair that repeats a channel


def bytes_of_tiles(count: int, together: int, each: int) -> list[int]:
    """Of each tile, where so many of `count` are in one, but for the last."""
    return [each * min(together, count - first) for first in range(0, count, together)]


@tiling_for(Conv2D, needs={"dsp"})
def conv2d_tiles(site: Site, core: Core, places: int, beaten: Beaten) -> Iterator[Kernel]:
    """Any window, without groups, two output channels at least; with the block functions of the fastest kernel."""
    blockwise = Convolution.of(site, core, straight=True) or Convolution.of(site, core)
    layer = Pointwise.of(site, core) or blockwise
    if layer is None or layer.channels < 2:
        return
    known = set[int]()
    for room in TILES:
        pairs = pairs_of_tile(layer.channels, 8 * layer.lanes.record, room // places, layer.together)
        if pairs is not None and pairs not in known:
            known.add(pairs)
            found = [_Tiles(layer, pairs, places)]
            if blockwise is not None and pairs % blockwise.together == 0:
                found.append(_Tiles(blockwise, pairs, places, keeps=True))
            yield from (tiles.kernel() for tiles in found if not tiles.are(beaten))


def tiles_kernel(layer: Convolution | Pointwise, pairs: int, places: int, *, keeps: bool = False) -> Kernel:
    """Args:
    pairs: of channels in a tile, as `pairs_of_tile` finds them.
    places: for tiles in scratch: 1, or 2 where one is filled while the other is read.
    keeps: all blocks stay expanded, which `Pointwise` can't do.
    """
    return _Tiles(layer, pairs, places, keeps).kernel()


@dataclass(frozen=True, eq=False)
class _Tiles:
    """As `tiles_kernel`: what it costs, then the kernel."""

    layer: Convolution | Pointwise
    pairs: int
    places: int
    keeps: bool = False

    @property
    def _record(self) -> int:
        """Words of a pair."""
        return 2 * self.layer.lanes.record

    @property
    def _total(self) -> int:
        """Pairs of the layer."""
        return (self.layer.channels + 1) // 2

    @property
    def _count(self) -> int:
        return -(-self._total // self.pairs)

    @lazy
    def _copy(self) -> int:
        """Words in front of the tiles."""
        layer, blocks = self.layer, self.layer.blocks
        kept = 8 * layer.lanes.groups * (sum(pixels * count for pixels, count in blocks.counts) - blocks.largest)
        return -(-(layer.scratch_bytes + self.keeps * max(0, kept)) // 8) * 2

    @property
    def _room(self) -> int:
        """Words of a place for a tile."""
        return -(-self.pairs * self._record // LINE_WORDS) * LINE_WORDS

    @lazy
    def _work(self) -> Work:
        layer, count = self.layer, self._count
        again = 10 * layer.blocks.count if self.keeps else layer.expansions
        work = layer.work + ((count - 1) * (60 + again) + count * 40)
        if isinstance(layer, Pointwise):
            work += count * layer.blocks.fours * 40  # a call for each block
        return work + copies_work(self._total, self.pairs, 4 * self._record)

    @lazy
    def _scratch_bytes(self) -> int:
        return 4 * (self._copy + self.places * self._room) + LINE_SPARE

    @property
    def _code_bytes(self) -> int:
        return self.layer.code_bytes + 160

    def are(self, beaten: Beaten) -> bool:
        """Whether nobody wants them."""
        flash = self.layer.weights.bytes + self._code_bytes
        return beaten(self._work.on(self.layer.core), self._scratch_bytes, flash)

    def kernel(self) -> Kernel:
        layer, places, keeps, work, count = self.layer, self.places, self.keeps, self._work, self.layer.blocks.count
        expanded = f"{count} blocks of pixels inside, expanded {'once' if keeps else 'for each tile'}"
        return Kernel(
            ("conv2d_lane_tiles" if isinstance(layer, Convolution) else "conv2d_pointwise_tiles") + "_kept" * keeps,
            _function(layer, self.pairs, self._copy, self._room if places == 2 else 0, keeps=keeps),
            (layer.weights,),
            scratch_bytes=self._scratch_bytes,
            instructions=work.instructions,
            cycles=work.cycles_on(layer.core),
            code_bytes=self._code_bytes,
            hot=layer.hot,
            sweeps=Sweeps(1),
            copies=Sweeps(count, 4 * self.pairs * self._record, layer.scratch_bytes),
            ahead=places == 2,
            notes={
                "requantisation": layer.lanes.plan.form,
                "loops": f"{self._count} tiles of output channels outside, {expanded}",
                "weights": read_once(4 * places * self._room, places),
            },
            requant=layer.lanes.plan.shape_in_code,
        )


def _function(layer: Convolution | Pointwise, pairs: int, copy: int, spacing: int, *, keeps: bool) -> Function:
    """Args:
    copy: words in front of the tiles. spacing: words from one place for a tile to the other.
    """
    stem, tiles = f"conv2d_tiles_{layer.stem}", -(-((layer.channels + 1) // 2) // pairs)
    shape = {"pairs": pairs, "copy": copy, "spacing": spacing, "keeps": int(keeps)}
    return Function.later(
        stem,
        PARAMETERS,
        lambda: struct_call(
            stem,
            "tc_lane_tiles_s8",
            "tc_lane_tiles.h",
            PARAMETERS,
            (Struct("tc_lane_tiles_shape", {"conv": layer.shape, **shape}),),
            f"Convolution by the byte-lane product, output channels in {tiles} tiles whose weights are copied to RAM.",
            (*names_of(PARAMETERS), *layer.names),
            tuple(layer.definitions),
        ),
    )
