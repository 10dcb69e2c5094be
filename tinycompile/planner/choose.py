"""Chooses covers, one kernel for each node or for several: cheap in what the user wants, within the RAM there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Cover
from tinycompile.planner import exact, greedy
from tinycompile.planner.covering import cheapest, least_peak
from tinycompile.planner.exact import Infeasible
from tinycompile.planner.problem import Plan
from tinycompile.planner.reason import Reason
from tinycompile.planner.values import Values

FLASH_FACTORS = {"balanced": 1.3, "size": 1.15}
"""Constants may take this many times the bytes of the int8 weights; within that, the fastest kernels are taken."""

LEAST_FLASH_FACTORS = {"balanced": 1.1, "size": 1.04}
"""Where even the smallest kernels exceed that, this many times what those need."""

FLASH_ROOM = {"balanced": 2048, "size": 0}
"""Constants may always take so many bytes more than the int8 weights: tables of a small model are large beside its
weights, and small beside everything else in flash."""

WORTH_ITS_BYTES = 32
"""Instructions that a byte of constants has to save to have `FLASH_ROOM` beside the smallest kernels' constants, too.
Where most layers of a small model are tables with nothing smaller to them, these fill the room beside the weights, and
a table of exponentials that saves two thirds of all instructions would find none left."""

PLACED_EXACTLY = 1500
"""Steps up to which the smallest arena is looked for exactly; larger graphs are left to the greedy placement."""

CHOSEN_EXACTLY = 200
"""Steps up to which the fastest kernels within a limit are: that is the harder problem."""

RELIEVED = Reason("needs less RAM than the fastest", squeezed=True)


@dataclass(frozen=True, eq=False)
class Choice:
    """Covers and where everything is.

    Attributes:
        values: of the graph that has a node for each cover.
        reasons: why each kernel was taken, for people.
        fastest_proved: no other choice within the limits executes fewer instructions, by the kernels' estimates.
    """

    values: Values
    kernels: tuple[Kernel, ...]
    reasons: tuple[Reason, ...]
    plan: Plan
    fastest_proved: bool


@dataclass(frozen=True, eq=False)
class _Placed:
    """Covers, their values, kernels and plan."""

    covers: Sequence[Cover]
    values: Values
    kernels: Sequence[Kernel]
    plan: Plan

    @property
    def arena_bytes(self) -> int:
        return self.plan.arena_bytes


def choose(values: Values, *, ram_limit: int | None, optimize: str, weight_bytes: int) -> Choice:
    """The covers, why each was taken, and the plan they need.

    Args:
        optimize: "speed" minimises estimated instructions; "balanced" and "size" too, but with constants of at most
            `FLASH_FACTORS` times the int8 weights or `FLASH_ROOM` more than these, or than the smallest kernels'
            constants for what is `WORTH_ITS_BYTES`; "ram" the arena, then instructions.
        ram_limit: where the arena would exceed it, the kernels with the fewest instructions with which it doesn't; if
            none do, the smallest arena is returned.
        weight_bytes: of the int8 weights.
    """
    covers = _fastest(values)
    reasons = {cover: _reason(values, cover) for cover in covers}
    flash_limit = None
    if optimize in FLASH_FACTORS:
        smallest = _constant_bytes(_smallest(values))
        flash_limit = _flash_limit(smallest, weight_bytes, optimize)
        covers = _with_less_flash(values, covers, flash_limit, smallest + FLASH_ROOM[optimize])
        flash_limit = max(flash_limit, _constant_bytes(covers))
        larger = Reason(f"the fastest need more than {FLASH_FACTORS[optimize]} x the int8 weights{_room(optimize)}")
        reasons = {cover: reasons.get(cover, larger) for cover in covers}
    if optimize != "ram" and (ram_limit is None or all(values.bytes_of(cover) <= ram_limit for cover in covers)):
        placed = _placed(values, covers)
        if ram_limit is None or placed.arena_bytes <= ram_limit:
            return _choice(placed, reasons, flash_limit is None)
    placed, proved = _within_ram(values, covers, None if optimize == "ram" else ram_limit, flash_limit)
    return _choice(placed, reasons, proved)


def _choice(placed: _Placed, reasons: Mapping[Cover, Reason], proved: bool) -> Choice:
    why = tuple(reasons.get(cover, RELIEVED) for cover in placed.covers)
    return Choice(placed.values, tuple(placed.kernels), why, placed.plan, proved)


def _placed(values: Values, covers: Sequence[Cover], fast: bool = False) -> _Placed:
    """`fast`: greedily."""
    if not all(cover.is_trivial for cover in covers):
        values = values.with_covers(covers)
    kernels = [cover.kernel for cover in covers]
    plan = greedy.place(values.problem(kernels), max(values.needs(kernels))) if fast else place(values, kernels)
    return _Placed(covers, values, kernels, plan)


def place(values: Values, kernels: Sequence[Kernel]) -> Plan:
    """The smallest arena for these kernels, one per node, if time allows."""
    bound = max(values.needs(kernels))
    plan = greedy.place(values.problem(kernels), bound)
    if plan.arena_bytes == bound or len(kernels) > PLACED_EXACTLY:
        return plan
    covers = [Cover(step, step + 1, values.graph.nodes[step], kernel) for step, kernel in enumerate(kernels)]
    found = exact.smallest(values, covers, plan.arena_bytes, plan.offsets)
    if found is None:
        return plan
    arena = greedy.height(values.problem(kernels), found.offsets)
    return Plan(found.offsets, arena, max(bound, found.bound))


def _smallest_arena(values: Values) -> _Placed:
    """The covers with which the arena is smallest, whatever else they cost."""
    count = len(values.options)
    limit = least_peak(values.covers, values.bytes_of, count)
    best = min(_relieved(values, _fastest(values), limit), key=lambda placed: placed.arena_bytes)
    if best.arena_bytes > limit and count <= PLACED_EXACTLY:
        found = exact.smallest(values, values.covers, best.arena_bytes)
        if found is not None:
            return _placed(values, found.covers)
    return best


def _within_ram(
    values: Values, covers: Sequence[Cover], ram_limit: int | None, flash_limit: int | None
) -> tuple[_Placed, bool]:
    """(the fastest covers within the limits, whether that is proved); None as a limit: the least there is.

    The limit on flash gives way if RAM can't be had otherwise.
    """
    if ram_limit is None:
        ram_limit = _smallest_arena(values).arena_bytes
    relaxed = _fastest_by_bound(values, ram_limit, flash_limit)
    if relaxed is not None:
        return relaxed, True
    if len(values.options) <= CHOSEN_EXACTLY:
        for constant_bytes in dict.fromkeys((flash_limit, None)):
            try:
                found = exact.fastest(values, values.covers, ram_limit, constant_bytes)
            except Infeasible:
                continue
            if found is not None:
                return _placed(values, found.covers), found.proved
            break
        else:
            return _smallest_arena(values), False
    relieved = list(_relieved(values, covers, ram_limit))
    best = min(relieved, key=lambda placed: (placed.arena_bytes > ram_limit, _cost(placed.kernels)))
    if best.arena_bytes > ram_limit:
        best = _placed(values, relieved[0].covers)
    if best.arena_bytes > ram_limit:
        best = _smallest_arena(values)
    return best, False


def _fastest_by_bound(values: Values, ram_limit: int, flash_limit: int | None) -> _Placed | None:
    """The fastest covers whose lower bounds are within the limit, if they happen to fit: then none are faster.

    That is what an exact search finds most often, and it takes a hundredth of its time.
    """
    within = [cover for cover in values.covers if values.bytes_of(cover) <= ram_limit]
    try:
        chosen = cheapest(within, _speed, 0, len(values.options))
    except ValueError:  # some node has none
        return None
    if flash_limit is not None and _constant_bytes(chosen) > flash_limit:
        return None
    placed = _placed(values, chosen)
    return placed if placed.arena_bytes <= ram_limit else None


def _cost(kernels: Sequence[Kernel]) -> int:
    return sum(kernel.instructions for kernel in kernels)


def _speed(cover: Cover) -> tuple[int, ...]:
    kernel = cover.kernel
    return kernel.instructions, kernel.weight_bytes, kernel.scratch_bytes


def _fastest(values: Values) -> list[Cover]:
    return cheapest(values.covers, _speed, 0, len(values.options))


def _reason(values: Values, cover: Cover) -> Reason:
    others = any(other.first <= cover.first < other.last for other in values.fused)
    only = cover.is_trivial and not others and len(values.options[cover.first]) == 1
    return Reason("the only kernel for it" if only else "fewest instructions")


def _smallest(values: Values) -> list[Cover]:
    return cheapest(values.covers, lambda cover: (cover.kernel.weight_bytes,), 0, len(values.options))


def _constant_bytes(covers: Iterable[Cover]) -> int:
    return sum(cover.kernel.weight_bytes for cover in covers)


def _flash_limit(smallest: int, weight_bytes: int, optimize: str) -> int:
    """For all constants, in bytes; `smallest` is what they need at least."""
    in_proportion = max(FLASH_FACTORS[optimize] * weight_bytes, LEAST_FLASH_FACTORS[optimize] * smallest)
    return int(max(in_proportion, weight_bytes + FLASH_ROOM[optimize]))


def _room(optimize: str) -> str:
    """The limit's second half, for people."""
    return f", and {FLASH_ROOM[optimize]} bytes more than these" if FLASH_ROOM[optimize] else ""


def _with_less_flash(values: Values, covers: Sequence[Cover], limit: int, room: int) -> list[Cover]:
    """Trade instructions for flash, the best rate first, until the constants are small enough, in bytes.

    That is `limit`, or `room` where all that is left to trade is worth its bytes.
    """
    chosen = list(covers)
    while (size := _constant_bytes(chosen)) > limit:
        moves = [
            ((_cost([c.kernel for c in new]) - _cost([c.kernel for c in old])) / saved, old[0].first, new)
            for old, new in _exchanges(values, chosen)
            if (saved := _constant_bytes(old) - _constant_bytes(new)) > 0
        ]
        if not moves:
            break
        rate, first, new = min(moves, key=lambda move: (move[0], move[1]))
        if size <= room and rate >= WORTH_ITS_BYTES:
            break
        outside = [cover for cover in chosen if cover.last <= first or cover.first >= new[-1].last]
        chosen = sorted([*outside, *new], key=lambda cover: cover.first)
    return chosen


def _exchanges(values: Values, chosen: Sequence[Cover]) -> Iterator[tuple[list[Cover], list[Cover]]]:
    """(some that are used, others for the same nodes): another kernel, one for all instead of each, the reverse."""
    ends = {cover.last for cover in chosen}
    starts = {cover.first: position for position, cover in enumerate(chosen)}
    for cover in chosen:
        if cover.is_trivial:
            yield from (([cover], [other]) for other in values.trivial_covers[cover.first])
        else:
            small = (min(values.trivial_covers[s], key=_size) for s in range(cover.first, cover.last))
            yield [cover], list(small)
    for other in values.fused:
        if other.first in starts and other.last in ends:
            old = [cover for cover in chosen[starts[other.first] :] if cover.last <= other.last]
            yield old, [other]


def _size(cover: Cover) -> tuple[int, int]:
    return cover.kernel.weight_bytes, cover.kernel.instructions


def _relieved(values: Values, covers: Sequence[Cover], ram_limit: int) -> Iterator[_Placed]:
    """Choices in which every cover that exceeds a limit gives way to the fastest that doesn't, and their plans.

    The bytes in use at a step depend on its cover alone. Placement may leave gaps, so the limit is tightened until a
    plan fits.
    """
    limit = ram_limit
    for _ in range(_TIGHTER):
        kept = {(c.first, c.last): c for c in covers if values.bytes_of(c) <= limit}
        offered = [c for c in values.covers if kept.get((c.first, c.last), c) is c]
        chosen = cheapest(offered, partial(_cost_within, values, limit), 0, len(values.options))
        placed = _placed(values, chosen, fast=True)
        yield placed
        if placed.arena_bytes <= max(ram_limit, *placed.values.needs(placed.kernels)):
            return
        limit -= max(8, ram_limit // 200)


_TIGHTER = 8
"""How often the limit is tightened by half a percent."""


def _cost_within(values: Values, limit: int, cover: Cover) -> tuple[int, ...]:
    """What exceeds the limit comes first."""
    return max(0, values.bytes_of(cover) - limit), *_speed(cover)
