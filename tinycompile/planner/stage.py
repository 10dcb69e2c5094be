"""What a stage is: layers that are executed together, on some rows or a patch of their tensors at a time.

In a *stream* stage rows flow through all layers and every tensor inside keeps the rows that somebody still needs;
nothing is computed twice (`stream`). In a *patch* stage all layers compute one patch of their tensors before the next
patch is begun; what neighbouring patches both need is computed twice (`patch`). Both may divide the columns into
*tiles*: a stream stage then runs once per tile, with narrower rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tinycompile.access import Reach
from tinycompile.ir import Graph, Site

Mode = Literal["stream", "patch"]
Axis = Literal["rows", "columns"]
AXES: Mapping[Axis, int] = {"rows": 0, "columns": 1}
"""Their numbers in an access."""


def has_rows(shape: Sequence[int]) -> bool:
    """Whether a tensor has rows to be executed by: one image, its channels last, or a sequence of steps."""
    return len(shape) in (3, 4) and shape[0] == 1


def grid(shape: Sequence[int]) -> tuple[int, int]:
    """(rows, columns) of a tensor that `has_rows`; a sequence has one column and a row for each step."""
    return shape[1], shape[2] if len(shape) == 4 else 1


def with_grid(shape: Sequence[int], rows: int, columns: int) -> tuple[int, ...]:
    """The shape of a part of such a tensor."""
    return (1, rows, columns, shape[3]) if len(shape) == 4 else (1, rows, shape[2])


class NotStreamable(Exception):  # noqa: N818 - a result, not a failure
    """The nodes can't be executed together by rows or patches.

    Args:
        final: nor can any longer run of nodes that starts with them.
    """

    def __init__(self, why: str, *, final: bool = True) -> None:
        self.final = final
        super().__init__(why)

    def again(self) -> NotStreamable:
        """The same to be kept, or to be raised once more: without the frames it went through and all that they hold."""
        return NotStreamable(str(self), final=self.final)


@dataclass(frozen=True)
class Span:
    """Along an axis, turn n takes the positions [n * step - before, n * step - before + size)."""

    step: int
    size: int
    before: int = 0

    def read_by(self, reach: Reach) -> Span:
        """What of an operand is read to compute this much, which is `whole` for the reach's `up`."""
        return Span(
            self.step // reach.up * reach.stride,
            (self.size // reach.up - 1) * reach.stride + reach.extent,
            self.before // reach.up * reach.stride + reach.before,
        )

    def whole(self, up: int) -> Span:
        """The least that contains it and takes multiples of `up`. Raises NotStreamable where steps aren't."""
        if self.step % up:
            raise NotStreamable("what is enlarged isn't computed in whole steps", final=False)
        before = -(-self.before // up) * up
        return Span(self.step, -(-(self.size - self.before + before) // up) * up, before)

    def joined(self, other: Span) -> Span:
        """The least that contains both. Raises NotStreamable where they advance at different rates."""
        if self.step != other.step:
            raise NotStreamable("readers of a tensor advance at different rates")
        before = max(self.before, other.before)
        return Span(self.step, before + max(self.size - self.before, other.size - other.before), before)

    def leaves(self, turns: int, size: int) -> bool:
        """Whether some turn takes positions outside [0, size)."""
        return self.before > 0 or (turns - 1) * self.step - self.before + self.size > size


@dataclass(frozen=True)
class Source:
    """Where a firing reads an operand.

    Attributes:
        rows: which, at firing n. columns: which, in tile n; None for all.
        first: row of its line buffer or patch; None where the operand is whole in memory.
        first_column: column of its patch. cropped: the patch has other columns as well, so these are copied.
        pixel_bytes: from column to column. row_bytes: from row to row, of what is in memory.
        fill: what is read outside the tensor. planes: each row is one of every plane, which are read where they are.
    """

    operand: int
    tensor: str
    rows: Span
    first: int | None
    row_bytes: int
    pixel_bytes: int
    columns: Span | None = None
    first_column: int = 0
    cropped: bool = False
    fill: int = 0
    planes: bool = False


@dataclass(frozen=True)
class Lines:
    """Memory of a tensor inside a stage: a line buffer with the newest rows at its end, or a patch.

    Attributes:
        rows: that it holds. height: of the tensor. columns: of a tile; None for all.
        fill: what readers take for positions outside the tensor.
        outside: there are such positions in a patch, so they are filled once it is computed.
        passes: everything is read in the tick that makes it, so that nothing is kept from tick to tick.
    """

    tensor: str
    rows: int
    row_bytes: int
    height: int
    width: int
    fill: int
    passes: bool
    columns: Span | None = None
    outside: bool = False

    @property
    def bytes(self) -> int:
        return self.rows * self.row_bytes


@dataclass(frozen=True, eq=False)
class Firing:
    """A node of a stage. It fires at the ticks `phase + period * n`.

    Attributes:
        firings: that compute. total: with those that only fill the rows below the tensor.
        rows: that firing n computes. columns: in tile n; None for all.
        entire: operands that every firing reads as they are.
        site: the node for so many rows and columns, for which kernels are chosen.
        partial: rows of the last firing that are inside the tensor, if not all are.
        sums: its output is not rows but sums over all of them (`SpatialSum`).
        put: its result is a patch that is copied to its place in the output.
    """

    step: int
    period: int
    phase: int
    firings: int
    total: int
    rows: Span
    columns: Span | None
    sources: tuple[Source, ...]
    entire: tuple[str, ...]
    site: Site
    partial: int
    sums: bool
    put: bool = False


@dataclass(frozen=True, eq=False)
class Stage:
    """Nodes [first, last) of the order of execution, executed together.

    Attributes:
        rows: of the output at a time. ticks: turns of the loop over rows. tiles: of the columns.
        lines: the tensors inside, by name. whole: tensors read from outside. output: of the last node.
        beside: other tensors made inside that are needed outside as well, which are whole in memory.
        distances: per tensor of `whole`, how far it must lie above the output to share memory with it.
    """

    mode: Mode
    first: int
    last: int
    rows: int
    ticks: int
    tiles: int
    firings: tuple[Firing, ...]
    lines: Mapping[str, Lines]
    whole: tuple[str, ...]
    output: str
    beside: tuple[str, ...]
    distances: Mapping[str, int]

    @property
    def how(self) -> str:
        """In words."""
        rows = f"{self.rows} row{'s' if self.rows > 1 else ''}"
        tiles = f" in {self.tiles} tiles of columns" if self.tiles > 1 else ""
        return (
            f"{rows} at a time{tiles}" if self.mode == "stream" else f"on a grid of {self.ticks}x{self.tiles} patches"
        )


def moved(stage: Stage, steps: int) -> Stage:
    """The stage in an order in which its nodes come so many steps later."""
    firings = tuple(replace(firing, step=firing.step + steps) for firing in stage.firings)
    return replace(stage, first=stage.first + steps, last=stage.last + steps, firings=firings)


def copy_bytes(firing: Firing, source: Source, graph: Graph) -> int:
    """Bytes of the copy that a firing needs of an operand: of rows that reach beyond a tensor, of some columns."""
    if source.planes:
        return 0
    if source.columns is not None:
        copied = source.first is None or source.cropped
        return source.rows.size * source.columns.size * source.pixel_bytes if copied else 0
    t = graph.types[source.tensor]
    beyond = source.first is None and source.rows.leaves(firing.firings, grid(t.shape)[0])
    return source.rows.size * source.row_bytes if beyond else 0


def put_bytes(firing: Firing) -> int:
    """Bytes of the patch in which a firing's result waits for its place."""
    return firing.site.sig.output.bytes if firing.put else 0


def stage_macs(stage: Stage) -> int:
    """Multiply-accumulates that the stage executes: what is computed twice or in vain included."""
    return sum(f.site.node.op.macs(f.site.sig) * f.firings * stage.tiles for f in stage.firings)
