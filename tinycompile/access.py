"""What an operator's output reads of an operand, position by position: one description, from which the rest follows.

A tensor is (N, positions ..., C): a signal has one axis of positions, an image two (rows, columns), a volume three.
Axes are counted among those, from 0. A position has all channels of one place. A description is about one image, N = 1.

There are `Whole`, `Everywhere`, `Given`, `Pointwise`, `Across`, `Windowed`, `Enlarged`, `Spread`, `Planar`, `Summed`,
`Lines`.
For each of them `along` tells what is read along one axis; the receptive field of a box (`needs`) is their product.
Execution by rows or patches knows nothing else of an operator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar

Box = tuple[range, ...]
"""Positions, a range for each axis."""


@dataclass(frozen=True)
class Reach:
    """Along an axis, the output positions [y * up, (y + 1) * up) read the operand's positions y * stride - before + k,
    for every k of 0, apart, 2 * apart ... below `extent`.

    Attributes:
        stride: 0 where all output positions read the same.
    """

    stride: int = 1
    extent: int = 1
    before: int = 0
    up: int = 1
    apart: int = 1

    def taps(self, position: int) -> range:
        """What one output position reads; may be outside the operand."""
        first = position // self.up * self.stride - self.before
        return range(first, first + self.extent, self.apart)

    def first_inside(self, position: int) -> int:
        """The first that one output position reads inside the operand, whose end may come before."""
        first = self.taps(position)[0]
        return first if first >= 0 else first % self.apart

    def hull(self, positions: range) -> range:
        """The least run that contains what a run of output positions reads."""
        return range(self.taps(positions[0])[0], self.taps(positions[-1])[-1] + 1)

    def leaves(self, outputs: int, size: int) -> bool:
        """Whether some of so many outputs read positions outside [0, size)."""
        read = self.hull(range(outputs))
        return read.start < 0 or read.stop > size


class Access(ABC):
    """What the output reads of an operand."""

    fill: int | float | None = None
    """What is read outside the operand; None where nothing is: such positions take no part."""

    first_axis: ClassVar[int] = 1
    """Of the operand's dimensions the one with the positions of axis 0; the others follow it."""

    @abstractmethod
    def along(self, axis: int) -> Reach | None:
        """What a position of the output reads along an axis; None where that isn't told apart by positions."""

    def needs(self, box: Box) -> Box | None:
        """The receptive field: the least box that contains what a box of the output reads; it may reach outside the
        operand. None for all of it. Empty boxes read nothing that could be named.
        """
        found = Box()
        for axis, positions in enumerate(box):
            reach = self.along(axis)
            if reach is None:
                return None
            found += (reach.hull(positions),)
        return found


@dataclass(frozen=True)
class Whole(Access):
    """Anything may depend on everything."""

    def along(self, axis: int) -> Reach | None:
        return None


@dataclass(frozen=True)
class Everywhere(Whole):
    """All of it, and it has no positions: what a layer multiplies with, where that is in memory."""


@dataclass(frozen=True)
class Given(Access):
    """There is no operand: the caller gives the output, position by position along axis 0, while the model runs."""

    def along(self, axis: int) -> Reach | None:
        return None


@dataclass(frozen=True)
class Pointwise(Access):
    """The same position.

    Attributes:
        broadcast: axes along which the operand has one position, which all of the output's read.
    """

    broadcast: frozenset[int] = frozenset()

    def along(self, axis: int) -> Reach | None:
        return Reach(stride=0) if axis in self.broadcast else Reach()


@dataclass(frozen=True)
class Across(Pointwise):
    """All positions along one axis, and along the others the same position: a matrix of a stack.

    Attributes:
        axis: the one of which all is read. size: the operand's positions along it.
    """

    axis: int = 0
    size: int = 1

    def along(self, axis: int) -> Reach | None:
        return Reach(stride=0, extent=self.size) if axis == self.axis else super().along(axis)


@dataclass(frozen=True)
class Windowed(Access):
    """The positions under a window that slides; all tuples have an entry for each axis.

    Attributes:
        kernel: positions that the window reads. dilation: their distance.
        padding: (before, after), positions around the operand over which it slides as well.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    fill: int | float | None = None

    def along(self, axis: int) -> Reach | None:
        extent = (self.kernel[axis] - 1) * self.dilation[axis] + 1
        return Reach(self.stride[axis], extent, self.padding[axis][0], apart=self.dilation[axis])

    def unpadded(self, axes: Collection[int]) -> Windowed:
        """The window over an operand that brings its padding along some axes."""
        return replace(self, padding=tuple((0, 0) if i in axes else pair for i, pair in enumerate(self.padding)))


@dataclass(frozen=True)
class Enlarged(Access):
    """Nearest neighbours: every position of the operand is a block of the output.

    Attributes:
        factors: the block's size along each axis.
    """

    factors: tuple[int, ...]

    def along(self, axis: int) -> Reach | None:
        return Reach(up=self.factors[axis])


@dataclass(frozen=True)
class Spread(Access):
    """Every position of the operand reaches as many of the output's as a kernel has, one stride after the other.

    Told apart by blocks of a stride: of a block's positions some read fewer of what the block reads.

    Attributes:
        kernel, stride: along each axis.
        cut: positions that the output lacks at its beginning, fewer than the kernel has.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    cut: tuple[int, ...]
    fill: int | float | None = None

    def before(self, axis: int) -> int:
        """So many positions in front of a block's own reach into it."""
        return (self.kernel[axis] - 1 - self.cut[axis]) // self.stride[axis]

    def along(self, axis: int) -> Reach | None:
        before, stride = self.before(axis), self.stride[axis]
        behind = (stride - 1 + self.cut[axis]) // stride
        return Reach(extent=before + behind + 1, before=before, up=stride)


@dataclass(frozen=True)
class Planar(Access):
    """The same position of every channel's plane: the operand is (N, C, positions ...)."""

    first_axis: ClassVar[int] = 2

    def along(self, axis: int) -> Reach | None:
        return Reach()


@dataclass(frozen=True)
class Summed(Access):
    """The output has one position: the sum over all of the operand's, which may come one after the other.

    What is told apart by positions is what is added: `along` is from terms to the operand.
    """

    def along(self, axis: int) -> Reach | None:
        return Reach()

    def needs(self, box: Box) -> Box | None:
        return None


@dataclass(frozen=True)
class Lines(Access):
    """Some whole rows of an image: each row of the output reads as many of its own.

    Attributes:
        rows: that an output row reads. columns: the operand's.
    """

    rows: int
    columns: int

    def along(self, axis: int) -> Reach | None:
        return Reach(stride=0, extent=self.columns) if axis == 1 else Reach(self.rows, self.rows)
