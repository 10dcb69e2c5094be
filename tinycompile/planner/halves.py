"""A layer on two cores: each computes some rows of its output, at the same time, where the whole layer would.

An offer of kernels that has, beside those for one core, pairs of kernels for the upper and the lower rows (`pieces`).
Neither writes what the other one reads or writes, so the result may take an operand's place only where both read just
what they write; each has working memory of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, product

from tinycompile.ir import Site
from tinycompile.kernels import Offer
from tinycompile.kernels.base import Half, Kernel, equivalents
from tinycompile.kernels.for_halves import channel_halves, covers_for_halves, halves_of, together
from tinycompile.planner.channel_pieces import divided_by_channels
from tinycompile.planner.forks import MEETING_INSTRUCTIONS
from tinycompile.planner.pieces import WORD, Memory, NotDivisible, Part, Region, axis_of, part
from tinycompile.planner.problem import whole_units
from tinycompile.targets import Core

LEAST_CHANNELS = 8
"""Of an output with one position: fewer aren't divided."""

STEPS = (1, 2, 4)
"""Rows of which the upper part has a multiple."""


class WithHalves:
    """See the module.

    Args:
        offer: the kernels of a node, for one core.
    """

    def __init__(self, offer: Offer) -> None:
        self._offer = offer

    def __call__(self, site: Site, core: Core) -> list[Kernel]:
        """Those for one core last: where the estimates are equal, both compute."""
        whole = self._offer(site, core)
        halves = chain(channel_halves(site, core), halves_of(site, core))
        channels = [*_waiting(halves, whole), *self._of_one_position(site, core, whole)]
        pairs = [*self._pairs(site, core), *(_pair_of_channels(*halves) for halves in channels)]
        return [*pairs, *_together(site, core, whole), *whole]

    def _of_one_position(self, site: Site, core: Core, whole: Sequence[Kernel]) -> Iterator[tuple[Half, Half]]:
        """Each with half of the channels, which read all of the operand."""
        output = site.sig.outputs[0]
        if len(site.sig.outputs) > 1 or output.elements < LEAST_CHANNELS:
            return
        for kernel in whole:
            if kernel.function is None or kernel.copies is not None:
                continue
            try:
                pieces = divided_by_channels(
                    *(site, -(-output.elements // 2), kernel, Memory({}, kernel.scratch_bytes)),
                    lambda part: self._usable(part, core),
                )
            except NotDivisible:
                continue
            first, second = (Half(piece.kernel, {}, piece.part.writes, None, piece.offsets) for piece in pieces)
            yield first, second

    def _pairs(self, site: Site, core: Core) -> list[Kernel]:
        """Of each technique the pair whose slower half is fastest; of an operator without rows those of what it can be
        seen as.
        """
        best = dict[tuple[str, int], tuple[int, tuple[tuple[Part, Kernel], ...]]]()
        try:
            size = site.sig.output.shape[axis_of(site.sig.output)]
        except NotDivisible:
            return [pair for other in equivalents(site) for pair in self._pairs(other, core)]
        for rows in _upper_rows(size):
            try:
                upper, lower = part(site, range(rows)), part(site, range(rows, size))
            except NotDivisible:
                continue
            aligned = not any(begin % WORD for begin, _ in (lower.writes, *lower.reads.values()))
            for first, second in product(self._usable(upper.site, core), self._usable(lower.site, core)):
                alike = first.variant == second.variant and _layouts(first) == _layouts(second)
                if not alike or not (aligned or second.bytewise):
                    continue
                key = first.variant, whole_units(first.scratch_bytes) + whole_units(second.scratch_bytes)
                price = max(first.price, second.price)
                if key not in best or price < best[key][0]:
                    best[key] = price, ((upper, first), (lower, second))
        return [_pair(*halves) for _, halves in best.values()]

    def _usable(self, site: Site, core: Core) -> list[Kernel]:
        """But for those that copy constants, which one channel of a DMA controller may do."""
        found = [k for k in self._offer(site, core) if k.function and k.alias_of is None and not k.parts]
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


def _pair_of_channels(first: Half, second: Half) -> Kernel:
    """Where one core may write in place, both may: they touch other channels."""
    one, two = first.kernel, second.kernel
    slower = max(one, two, key=lambda kernel: kernel.price)
    whose = [range(*half.writes) if half.channels is None else half.channels for half in (first, second)]
    return replace(
        slower,
        scratch_bytes=whole_units(one.scratch_bytes) + whole_units(two.scratch_bytes),
        instructions=slower.instructions + MEETING_INSTRUCTIONS,
        overlap={},
        in_place=slower.in_place and first.channels is not None,
        notes={"cores": f"channels {len(whose[0])} and {len(whose[1])}", **slower.notes},
        halves=(first, second),
    )


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
