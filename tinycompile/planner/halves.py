"""A layer on two cores: each computes some rows of its output, at the same time, where the whole layer would.

An offer of kernels that has, beside those for one core, pairs of kernels for the upper and the lower rows (`pieces`).
Neither writes what the other one reads or writes, so the result may take an operand's place only where both read just
what they write; each has working memory of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, product

from tinycompile.ir import Site, TensorType
from tinycompile.kernels import Offer
from tinycompile.kernels.base import Half, Kernel
from tinycompile.kernels.equivalent import equivalents
from tinycompile.kernels.for_halves import channel_halves, covers_for_halves, halves_of, together
from tinycompile.planner.channel_pieces import in_channels
from tinycompile.planner.forks import MEETING_INSTRUCTIONS
from tinycompile.planner.pace import Pace
from tinycompile.planner.pieces import WORD, Memory, NotDivisible, Part, Region, axis_of, cuts, part
from tinycompile.planner.problem import whole_units
from tinycompile.targets import Core

LEAST_CHANNELS = 8
"""Of an output with one position: fewer aren't divided."""

STEPS = (1, 2, 4)
"""Rows of which the upper part has a multiple."""


class WithHalves:
    """See the module.

    Where the second core is another one than the first, each gets as much as takes both as long.

    Args:
        offer: the kernels of a node, for one core.
        second: the same with what the second core waits for the memories.
        pace: how fast that one is; None where they are alike.
    """

    def __init__(self, offer: Offer, second: Offer | None = None, pace: Pace | None = None) -> None:
        self._offer, self._second, self._pace = offer, second or offer, pace

    def __call__(self, site: Site, core: Core) -> list[Kernel]:
        """Those for one core last: where the estimates are equal, both compute."""
        whole = self._offer(site, core)
        share = None if self._pace is None else self._share(site, core, whole, self._pace)
        apart = self._pace is None or not self._pace.line  # or both would write into all lines
        halves = chain(channel_halves(site, core, share) if apart else (), () if self._pace else halves_of(site, core))
        channels = [*_waiting(halves, whole), *self._of_one_position(site, core, whole, share)]
        pairs = [*self._pairs(site, core, share), *(_pair_of_channels(*each, self._pace) for each in channels)]
        shared = () if self._pace else _together(site, core, whole)  # each of these computes half
        return [*pairs, *shared, *whole]

    def _share(self, site: Site, core: Core, whole: Sequence[Kernel], pace: Pace) -> float:
        """Of the first core, by the kernel that is fastest there."""
        best = min((k for k in whole if k.function), key=lambda kernel: kernel.price, default=None)
        if best is None:
            return 1.0
        there = [k for k in self._second(site, core) if k.variant == best.variant]
        return pace.share(best.price, min((pace.price(k) for k in there), default=pace.price(best)))

    def _of_one_position(
        self, site: Site, core: Core, whole: Sequence[Kernel], share: float | None
    ) -> Iterator[tuple[Half, Half]]:
        """Each with half of the channels, or the first with its share, which read all of the operand."""
        output = site.sig.outputs[0]
        if len(site.sig.outputs) > 1 or output.elements < LEAST_CHANNELS:
            return
        for kernel in whole:
            if kernel.function is None or kernel.copies is not None:
                continue
            for channels in self._channels(output, share):
                try:
                    pieces = in_channels(
                        *(site, channels, kernel, Memory({}, kernel.scratch_bytes)),
                        lambda part: self._usable(part, core, self._offer),
                    )
                except NotDivisible:
                    continue
                first, second = (
                    Half(self._in_lines(piece.kernel), {}, piece.part.writes, None, piece.offsets) for piece in pieces
                )
                yield first, second

    def _channels(self, output: TensorType, share: float | None) -> list[list[range]]:
        if self._pace is None or share is None:
            return [cuts(output.elements, -(-output.elements // 2))]
        found = self._pace.first_parts(output.elements, max(1, output.dtype.bits // 8), share, (4,))
        return [[range(first), range(first, output.elements)] for first in found]

    def _in_lines(self, kernel: Kernel) -> Kernel:
        return kernel if self._pace is None else self._pace.whole_lines(kernel)

    def _pairs(self, site: Site, core: Core, share: float | None) -> list[Kernel]:
        """Of each technique the pair whose slower half is fastest; of an operator without rows those of what it can be
        seen as.
        """
        best = dict[tuple[str, int], tuple[int, tuple[tuple[Part, Kernel], ...]]]()
        try:
            size = site.sig.output.shape[axis_of(site.sig.output)]
        except NotDivisible:
            return [pair for other in equivalents(site) for pair in self._pairs(other, core, share)]
        for rows in self._upper_rows(site.sig.output, size, share):
            try:
                upper, lower = part(site, range(rows)), part(site, range(rows, size))
            except NotDivisible:
                continue
            aligned = not any(begin % WORD for begin, _ in (lower.writes, *lower.reads.values()))
            firsts, seconds = self._usable(upper.site, core, self._offer), self._usable(lower.site, core, self._second)
            for first, second in product(map(self._in_lines, firsts), map(self._in_lines, seconds)):
                alike = first.variant == second.variant and _layouts(first) == _layouts(second)
                if not alike or not (aligned or second.bytewise):
                    continue
                halves = (upper, first), (lower, second)
                key = first.variant, whole_units(first.scratch_bytes) + whole_units(second.scratch_bytes)
                price = self._pair(*halves).price if self._pace else max(first.price, second.price)
                if key not in best or price < best[key][0]:
                    best[key] = price, halves
        return [self._pair(*halves) for _, halves in best.values()]

    def _upper_rows(self, output: TensorType, size: int, share: float | None) -> list[int]:
        if self._pace is None or share is None:
            return _upper_rows(size)
        return self._pace.first_parts(size, output.bytes // size, share, STEPS)

    def _pair(self, *halves: tuple[Part, Kernel]) -> Kernel:
        pair = _pair(*halves)
        if self._pace is None:
            return pair
        return _uneven(pair, self._pace, [kernel for _, kernel in halves], [each.writes for each, _ in halves])

    @staticmethod
    def _usable(site: Site, core: Core, offer: Offer) -> list[Kernel]:
        """But for those that copy constants, which one channel of a DMA controller may do."""
        found = [k for k in offer(site, core) if k.function and k.alias_of is None and not k.parts]
        return [*(k for k in found if k.copies is None), *covers_for_halves(site, core)]


def _waiting(halves: Iterable[tuple[Half, Half]], whole: Sequence[Kernel]) -> Iterator[tuple[Half, Half]]:
    """Each with half of what the kernel for one core waits for its constants."""
    for pair in halves:
        alone = _alike(pair[0].kernel, whole)
        stalls, fetches = (alone.stalls // 2, alone.fetches) if alone else (0, 0)
        first, second = (replace(half, kernel=half.kernel.but(stalls=stalls, fetches=fetches)) for half in pair)
        yield first, second


def _alike(kernel: Kernel, whole: Sequence[Kernel]) -> Kernel | None:
    """The kernel for one core of the same technique with the same constants."""
    alike = (k for k in whole if k.variant == kernel.variant and _layouts(k) == _layouts(kernel))
    return min(alike, key=lambda k: k.price, default=None)


def _together(site: Site, core: Core, whole: Sequence[Kernel]) -> Iterator[Kernel]:
    """Kernels that both cores compute together; each reads half of the constants that the one for one core reads."""
    for kernel in together(site, core):
        alone, how = _alike(kernel, whole), kernel.together
        if alone is not None and how is not None:
            meeting = how.meetings * MEETING_INSTRUCTIONS
            yield kernel.but(
                instructions=kernel.instructions + meeting,
                cycles=None if kernel.cycles is None else kernel.cycles + meeting,
                stalls=alone.stalls // 2,
                fetches=alone.fetches,
                notes={**kernel.notes, "cores": f"channels {len(how.channels[0])} and {len(how.channels[1])} together"},
            )


def _upper_rows(size: int) -> list[int]:
    """About a half, for kernels that compute several rows together as well."""
    found = {rows for step in STEPS for rows in (size // 2 // step * step, -(-size // 2 // step) * step)}
    return sorted(rows for rows in found if 0 < rows < size)


def _layouts(kernel: Kernel) -> list[object]:
    """Of the constants: halves of a technique have the same, which depend on no rows."""
    return [(constant.suffix, *constant.layout) for constant in kernel.constants]


def _pair(*halves: tuple[Part, Kernel]) -> Kernel:
    parts, kernels = [each for each, _ in halves], [kernel for _, kernel in halves]
    slower = max(kernels, key=lambda kernel: kernel.price)
    in_place = _in_place(parts, kernels)
    return replace(
        slower,
        constants=kernels[0].constants,
        scratch_bytes=sum(whole_units(kernel.scratch_bytes) for kernel in kernels),
        instructions=max(kernel.instructions for kernel in kernels) + MEETING_INSTRUCTIONS,
        code_bytes=sum(kernel.code_bytes for kernel in {k.function: k for k in kernels}.values()),
        overlap={},
        in_place=in_place is not None,
        in_place_operand=in_place or 0,
        in_place_at=0,
        notes={**slower.notes, "cores": f"rows {parts[0].rows.stop} and {len(parts[1].rows)}"},
        halves=tuple(Half(kernel, each.reads, each.writes) for each, kernel in halves),
    )


def _uneven(pair: Kernel, pace: Pace, kernels: Sequence[Kernel], writes: Sequence[Region]) -> Kernel:
    """The figures of the first core, which waits for the other one where that takes longer."""
    first, second = kernels
    waits = max(0, pace.price(second) - first.price)
    one, two = (end - begin + k.scratch_bytes for (begin, end), k in zip(writes, kernels, strict=True))
    return replace(
        pair,
        instructions=first.instructions + MEETING_INSTRUCTIONS,
        cycles=first.cycles,
        stalls=first.stalls,
        fetches=first.fetches,
        lag=waits + pace.meeting((one, two)),
    )


def _pair_of_channels(first: Half, second: Half, pace: Pace | None = None) -> Kernel:
    """Where one core may write in place, both may: they touch other channels."""
    one, two = first.kernel, second.kernel
    slower = max(one, two, key=lambda kernel: kernel.price)
    whose = [range(*half.writes) if half.channels is None else half.channels for half in (first, second)]
    pair = replace(
        slower,
        scratch_bytes=whole_units(one.scratch_bytes) + whole_units(two.scratch_bytes),
        instructions=slower.instructions + MEETING_INSTRUCTIONS,
        overlap={},
        in_place=slower.in_place and first.channels is not None,
        notes={"cores": f"channels {len(whose[0])} and {len(whose[1])}", **slower.notes},
        halves=(first, second),
    )
    return pair if pace is None else _uneven(pair, pace, [one, two], [first.writes, second.writes])


def _in_place(parts: Sequence[Part], kernels: Sequence[Kernel]) -> int | None:
    """An operand in whose memory the result may be."""
    for operand, upper in parts[0].reads.items():
        lower = parts[1].reads[operand]
        apart = not _meet(parts[0].writes, lower) and not _meet(parts[1].writes, upper)
        if apart and all(_allows(kernel, operand, each) for kernel, each in zip(kernels, parts, strict=True)):
            return operand
    return None


def _allows(kernel: Kernel, operand: int, each: Part) -> bool:
    """Whether a half may write where it reads."""
    distance, by = kernel.distances.get(operand), each.reads[operand][0] - each.writes[0]
    return distance is not None and (by == distance if kernel.in_place else by >= distance)


def _meet(one: Region, other: Region) -> bool:
    return one[0] < other[1] and other[0] < one[1]
