"""Where the elements of a rearranged tensor come from, as few regular loops as it takes.

An index map lists the operand's element behind each element of the result, in memory order. `factored` finds loops that
produce it: such a map is a sum of one term per loop, and a term is either regular (so many elements, one stride) or a
table, as the mirrored rows of a border are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import numpy as np

from tinycompile.ir import Array


@dataclass(frozen=True, eq=False)
class Loop:
    """One loop over the result.

    Attributes:
        places: int64, shape (turns,): distance of each turn's element from that of turn 0, in elements of the operand.
    """

    places: Array

    @property
    def size(self) -> int:
        return self.places.size

    @property
    def stride(self) -> int | None:
        """The distance between turns; None where it isn't the same everywhere."""
        steps = np.diff(self.places)
        return int(steps[0]) if np.all(steps == steps[0]) else None

    def around(self, inner: Loop) -> Loop:
        """Both loops as one."""
        return Loop((self.places[:, None] + inner.places).ravel())


@dataclass(frozen=True, eq=False)
class Loops:
    """A whole index map.

    Attributes:
        first: the operand's element behind the result's first one.
        loops: outermost first; empty for a single element.
    """

    first: int
    loops: tuple[Loop, ...]

    @property
    def is_contiguous(self) -> bool:
        """The result is a piece of the operand as it lies in memory."""
        return not self.loops or (len(self.loops) == 1 and self.loops[0].stride == 1)

    def within(self, most: int) -> Loops:
        """The same with at most so many loops: the outermost ones become one with a table."""
        loops = self.loops
        while len(loops) > most:
            loops = (loops[0].around(loops[1]), *loops[2:])
        return Loops(self.first, loops)

    def map(self) -> Array:
        """int64, shape (elements,): the index map again."""
        found = np.array([self.first], np.int64)
        for loop in self.loops:
            found = (found[:, None] + loop.places).ravel()
        return found


def factored(index_map: Array) -> Loops:
    """The loops behind an index map.

    Args:
        index_map: int64, shape (elements,), at least one element.
    """
    rest, loops = index_map, list[Loop]()
    while rest.size > 1:
        size = _period(rest)
        found = Loop(rest[:size] - rest[0])
        rest = rest[::size]
        joined = found.around(loops[0]) if loops else None
        if joined is not None and joined.stride is not None:
            loops[0] = joined
        else:
            loops.insert(0, found)
    return Loops(int(index_map[0]), tuple(loops))


def _period(index_map: Array) -> int:
    """The smallest size > 1 of blocks that differ in nothing but where they begin."""
    for size in _divisors(index_map.size):
        blocks = index_map.reshape(-1, size)
        if np.array_equal(blocks[0] - blocks[0, 0], blocks[-1] - blocks[-1, 0]) and not np.any(
            blocks - blocks[:, :1] != blocks[0] - blocks[0, 0]
        ):
            return size
    return index_map.size


def _divisors(number: int) -> Iterator[int]:
    """Those above 1 and below `number`, ascending."""
    small = [n for n in range(2, isqrt(number) + 1) if number % n == 0]
    yield from small
    yield from (number // n for n in reversed(small) if n * n != number)
