"""What a byte of flash is worth: how many instructions a kernel has to save for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Cover
from tinycompile.planner.covering import Cost, cheapest
from tinycompile.planner.values import Values

BALANCED = 3
"""`balanced`: a part of the chip's flash has to save at least this many times that part of the fastest kernels'
instructions. 15 is the most that keeps the promise of docs/kernels.md: nothing is more than 1.3 x slower than
with the fastest kernels for less than 2 % of the flash, since 15 x 0.02 is 0.3."""

SMALL = 200
"""`size`: the same of a part of all bytes that the fastest kernels need, whatever the chip has: the smallest firmware,
except that it isn't made twice as slow for less than half a percent of its bytes."""


CODABLE = 1000
"""Instructions for a byte that a code would save, where the user wants codes wherever they make something smaller: with
some 12 for a byte that is decoded, this is a code that saves little more than a hundredth."""


@dataclass(frozen=True)
class Flash:
    """The flash that a model's constants and code go to.

    Attributes:
        bytes: of the chip, or what the user grants the firmware: what a part of the flash is a part of.
        room: bytes for the constants and the code of the model's layers, which they may not exceed; None where what
            doesn't fit has another memory.
        until: the node in front of which everything is that most executions are: what a byte is worth follows from
            these instructions; None for all.
    """

    bytes: int
    room: int | None = None
    until: str | None = None

    def beside(self, bytes_: int) -> Flash:
        """Where so many of the bytes belong to something else."""
        return self if self.room is None else replace(self, room=max(0, self.room - bytes_))


@dataclass(frozen=True, eq=False)
class Price:
    """What covers cost: instructions, and bytes of flash at a rate.

    Attributes:
        rate: instructions that a byte of flash has to save.
    """

    values: Values
    rate: float = 0

    def at(self, rate: float) -> Price:
        return replace(self, rate=rate)

    def __call__(self, cover: Cover) -> Cost:
        """For `cheapest`; among equals those with fewer constants, then with less scratch."""
        known = self.values.costs_at[self.rate]
        cost = known.get(cover)
        if cost is None:
            cost = known[cover] = self.of(cover), cover.kernel.constant_bytes, cover.kernel.scratch_bytes
        return cost

    def of(self, cover: Cover) -> int:
        """What the kernel costs, and its flash at the rate."""
        price = cover.kernel.price + CODABLE * cover.kernel.codable
        return price + round(self.rate * self.bytes_of(cover)) if self.rate else price

    def bytes_of(self, cover: Cover) -> int:
        """Estimated, in flash: constants, and its part of a function that other layers can call as well."""
        kernel = cover.kernel
        users = self.values.callers[kernel.function.stem] if kernel.function else 1
        return kernel.constant_bytes + kernel.code_bytes // max(1, users)

    def total_bytes(self, covers: Iterable[Cover]) -> int:
        """Of all these, estimated; a function that several call counts once."""
        chosen = list(covers)
        code = {_function(cover.kernel): cover.kernel.code_bytes for cover in chosen}
        return sum(cover.kernel.constant_bytes for cover in chosen) + sum(code.values())

    def cheapest(self) -> list[Cover]:
        known = self.values.cheapest_at
        if self.rate not in known:
            known[self.rate] = cheapest(self.values.covers, self, 0, len(self.values.options))
        return list(known[self.rate])


def priced(values: Values, optimize: str, flash: Flash) -> tuple[Price, list[Cover]]:
    """The rate for what the user wants and the flash there is, and the covers that cost least at it.

    Args:
        optimize: "speed" and "ram": the fewest instructions for the room; "balanced", "size": at their rate, which
            rises where the room is too small.
    """
    price = Price(values)
    fastest = price.cheapest()
    steps = range(len(values.graph.nodes))
    end = next((step for step in steps if values.graph.nodes[step].name == flash.until), len(steps))
    instructions = sum(cover.kernel.price for cover in fastest if cover.first < end)
    if optimize == "balanced":
        price = price.at(BALANCED * instructions / flash.bytes)
    elif optimize == "size":
        price = price.at(SMALL * instructions / max(1, price.total_bytes(fastest)))
    covers = fastest if price.rate == 0 else price.cheapest()
    if flash.room is None or price.total_bytes(covers) <= flash.room:
        return price, covers
    return _within(values, price, flash.room)


def _within(values: Values, price: Price, room: int) -> tuple[Price, list[Cover]]:
    """At the lowest rate at which the room suffices; what is left of it is filled.

    If it never does: at the highest, with the fewest bytes.
    """
    low, high = price.rate, max(1.0, 2 * price.rate)
    while price.total_bytes(covers := price.at(high).cheapest()) > room:
        low, high = high, 4 * high
        if high > _HIGHEST:
            return price.at(high), covers
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = price.at(middle).cheapest()
        if price.total_bytes(found) > room:
            low = middle
        else:
            high, covers = middle, found
    return price.at(high), _filled(values, price, covers, room)


_HIGHEST = 2.0**40
"""Instructions for a byte at which instructions don't count any more."""

_HALVINGS = 20


def _filled(values: Values, price: Price, covers: Sequence[Cover], room: int) -> list[Cover]:
    """With what is faster and still fits, the most instructions first: a rate alone leaves some room unused."""
    chosen = list(covers)
    while True:
        moves = list[tuple[int, int, list[Cover]]]()
        for old, new in exchanges(values, chosen):
            saved = _instructions(old) - _instructions(new)
            if saved > 0:
                outside = [c for c in chosen if c.last <= new[0].first or c.first >= new[-1].last]
                if price.total_bytes([*outside, *new]) <= room:
                    moves.append((-saved, new[0].first, sorted([*outside, *new], key=lambda cover: cover.first)))
        if not moves:
            return chosen
        chosen = min(moves, key=lambda move: move[:2])[2]


def exchanges(values: Values, chosen: Sequence[Cover]) -> Iterator[tuple[list[Cover], list[Cover]]]:
    """(some that are used, others for the same nodes): another kernel, one for all instead of each, the reverse."""
    ends = {cover.last for cover in chosen}
    starts = {cover.first: position for position, cover in enumerate(chosen)}
    for cover in chosen:
        if cover.is_trivial:
            yield from (([cover], [other]) for other in values.trivial_covers[cover.first])
        else:
            fast = (min(values.trivial_covers[s], key=_speed) for s in range(cover.first, cover.last))
            yield [cover], list(fast)
    for other in values.fused:
        if other.first in starts and other.last in ends:
            old = [cover for cover in chosen[starts[other.first] :] if cover.last <= other.last]
            yield old, [other]


def _speed(cover: Cover) -> tuple[int, int]:
    return cover.kernel.price, cover.kernel.constant_bytes


def _instructions(covers: Iterable[Cover]) -> int:
    return sum(cover.kernel.price for cover in covers)


def _function(kernel: Kernel) -> str:
    return kernel.function.stem if kernel.function else ""
