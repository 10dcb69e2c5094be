"""Rows times a matrix with output channels outside: weights come from a slow memory tile by tile, each byte once.

A single row reads each weight once anyway. There is something to gain then where the next tile is fetched by DMA while
the core works on one, which streams at the memory's full rate and hides the work behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinycompile.ir import Site
from tinycompile.kernels.base import Beaten, Function, Kernel, Sweeps, safe_distance, tiling_for
from tinycompile.kernels.generic_c import Struct, names_of, struct_call
from tinycompile.kernels.lane import LONG_ROUND, SHORT_ROUND, Rows, row_steps
from tinycompile.kernels.lane_conv2d import PARAMETERS
from tinycompile.kernels.staged import LINE_SPARE, LINE_WORDS, copies_work, read_once
from tinycompile.kernels.work import Work
from tinycompile.lazy import lazy
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.targets.core import Core

TILES = (1024, 2048, 4096, 8192, 16384, 32768)
"""Bytes of weights that are in RAM at once, at most."""


def _tiles(site: Site, core: Core, places: int, beaten: Beaten) -> Iterator[Kernel]:
    """Several rows, or one whose next weights are fetched meanwhile."""
    known = set[int]()
    for together in (SHORT_ROUND, LONG_ROUND):
        layer = Rows.of(site, core, together=together, whole=True)
        if layer is None or (layer.rows == 1 and places == 1):
            return
        known.clear()
        for room in TILES:
            blocks = room // places // (4 * layer.block_words)
            if 0 < blocks < layer.blocks and blocks not in known:
                known.add(blocks)
                tiles = _RowTiles(layer, blocks, places)
                if not tiles.are(beaten):
                    yield tiles.kernel()


@tiling_for(FullyConnected, needs={"dsp"})
def fully_connected_tiles(site: Site, core: Core, places: int, beaten: Beaten) -> Iterator[Kernel]:
    """A fully connected layer."""
    yield from _tiles(site, core, places, beaten)


@tiling_for(Conv2D, needs={"dsp"})
def conv2d_row_tiles(site: Site, core: Core, places: int, beaten: Beaten) -> Iterator[Kernel]:
    """A convolution that is one."""
    yield from _tiles(site, core, places, beaten)


def row_tiles_kernel(layer: Rows, blocks: int, places: int) -> Kernel:
    """Args:
    blocks: of 8 channels in a tile.
    places: for tiles in scratch: 1, or 2 where one is filled while the other is read.
    """
    return _RowTiles(layer, blocks, places).kernel()


@dataclass(frozen=True, eq=False)
class _RowTiles:
    """As `row_tiles_kernel`: what it costs, then the kernel."""

    layer: Rows
    blocks: int
    places: int

    @property
    def _copy(self) -> int:
        """Words of an expanded row."""
        return -(-self.layer.scratch_bytes // 8) * 2

    @property
    def _room(self) -> int:
        """Words of a place for a tile."""
        return -(-self.blocks * self.layer.block_words // LINE_WORDS) * LINE_WORDS

    @property
    def _count(self) -> int:
        return -(-self.layer.blocks // self.blocks)

    @lazy
    def _work(self) -> Work:
        layer, count = self.layer, self._count
        again = layer.rows * (40 + layer.scratch_bytes) if layer.rows > 1 else 30
        copies = copies_work(layer.blocks, self.blocks, 4 * layer.block_words)
        return layer.work + ((count - 1) * again + count * 60) + copies

    @lazy
    def _scratch_bytes(self) -> int:
        return 4 * (self._copy + self.places * self._room) + LINE_SPARE

    @property
    def _code_bytes(self) -> int:
        return self.layer.code_bytes + 200

    def are(self, beaten: Beaten) -> bool:
        """Whether nobody wants them."""
        flash = self.layer.weights.bytes + self._code_bytes
        return beaten(self._work.on(self.layer.core), self._scratch_bytes, flash)

    def kernel(self) -> Kernel:
        layer, places, work = self.layer, self.places, self._work
        alone = layer.rows == 1  # it is expanded before anything is written
        return Kernel(
            f"fully_connected_{layer.name}_tiles",
            _function(layer, self.blocks, self._copy, self._room if places == 2 else 0),
            (layer.weights,),
            scratch_bytes=self._scratch_bytes,
            instructions=work.instructions,
            cycles=work.cycles_on(layer.core),
            code_bytes=self._code_bytes,
            hot=layer.hot,
            sweeps=Sweeps(1),
            copies=Sweeps(layer.rows, 4 * self.blocks * layer.block_words, layer.scratch_bytes),
            ahead=places == 2,
            overlap={0: safe_distance(row_steps(1, layer.inputs, layer.outputs, layer.outputs))} if alone else {},
            notes={
                "requantisation": layer.lanes.plan.form,
                "loops": f"{self._count} tiles of output channels outside, {layer.rows} rows inside",
                "weights": read_once(4 * places * self._room, places),
            },
            requant=layer.lanes.plan.shape_in_code,
        )


def _function(layer: Rows, blocks: int, copy: int, spacing: int) -> Function:
    """Args:
    copy: words of the expanded row. spacing: words from one place for a tile to the other.
    """
    stem, tiles = f"fully_connected_tiles_{layer.rows}x{layer.inputs}_{layer.outputs}", -(-layer.blocks // blocks)
    shape = {"blocks": blocks, "copy": copy, "spacing": spacing}
    return Function.later(
        stem,
        PARAMETERS,
        lambda: struct_call(
            stem,
            "tc_lane_row_tiles_s8",
            "tc_lane_row_tiles.h",
            PARAMETERS,
            (Struct("tc_lane_row_tiles_shape", {"layer": layer.shape, **shape}),),
            f"Fully connected layer by the byte-lane product, output channels in {tiles} tiles of weights in RAM.",
            (*names_of(PARAMETERS), layer.block_names[0]),
            layer.definitions,
        ),
    )
