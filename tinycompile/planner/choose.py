"""Chooses covers, one kernel for each node or for several: cheap in what the user wants, within the RAM there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Cover
from tinycompile.planner import exact, greedy
from tinycompile.planner.covering import cheapest, least_peak
from tinycompile.planner.exact import Infeasible
from tinycompile.planner.flash import Flash, Price, priced
from tinycompile.planner.problem import Places, Plan, Problem
from tinycompile.planner.proof import smallest_arena
from tinycompile.planner.reason import Reason
from tinycompile.planner.values import Values

PLACED_EXACTLY = 1500
"""Steps up to which the smallest arena is looked for exactly; larger graphs are left to the greedy placement, and those
with forks, whose sides have many places that are as good: the solver has no proof in its time."""

CHOSEN_EXACTLY = 200
"""Steps up to which the fastest kernels within a limit are: that is the harder problem."""

RELIEVED = Reason("needs less RAM than the fastest", squeezed=True)


@dataclass(frozen=True, eq=False)
class Choice:
    """Covers and where everything is.

    Attributes:
        values: of the graph that has a node for each cover.
        reasons: why each kernel was taken, for people.
        proved_best: no other choice within the limits costs less, by the kernels' estimates.
    """

    values: Values
    kernels: tuple[Kernel, ...]
    reasons: tuple[Reason, ...]
    plan: Plan
    proved_best: bool


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


def choose(values: Values, *, ram_limit: int | None, optimize: str, flash: Flash) -> Choice:
    """The covers, why each was taken, and the plan they need.

    Args:
        optimize: "speed" minimises estimated instructions; "balanced" and "size" instructions and bytes of flash at a
            rate (`planner.flash`); "ram" the arena, then instructions.
        ram_limit: where the arena would exceed it, the cheapest kernels with which it doesn't; if there are none, the
            smallest arena is returned.
        flash: what all constants and code have to fit, if that is possible.
    """
    price, covers = priced(values, optimize, flash)
    reasons = _reasons(values, price, covers)
    if optimize != "ram" and (ram_limit is None or all(values.bytes_of(cover) <= ram_limit for cover in covers)):
        placed = _placed(values, covers)
        if ram_limit is None or placed.arena_bytes <= ram_limit:
            return _choice(placed, reasons, True)
    placed, proved = _within_ram(values, covers, None if optimize == "ram" else ram_limit, price, flash.room)
    return _choice(placed, reasons, proved)


def _reasons(values: Values, price: Price, covers: Sequence[Cover]) -> dict[Cover, Reason]:
    fastest = price.at(0).cheapest()
    reasons = {cover: _reason(values, cover) for cover in fastest}
    worth = f"{price.rate:,.1f}" if price.rate < 10 else f"{price.rate:,.0f}"
    larger = Reason(f"what is faster saves fewer than {worth} instructions for a byte of flash")
    return dict.fromkeys(covers, larger) | reasons


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
    """The smallest arena for these kernels, one per node, if time allows.

    The same buffers are placed again and again while kernels are chosen at different prices: their plan is kept.
    """
    bound, problem = max(values.needs(kernels)), values.problem(kernels)
    key = bound, problem
    plan = _placements.get(key)
    if plan is None:
        plan = _place(values, kernels, problem, bound)
        if len(_placements) >= KEPT_PLACEMENTS:
            _placements.clear()
        _placements[key] = plan
    return plan


KEPT_PLACEMENTS = 64
"""Problems whose plans are kept."""

_placements: dict[tuple[int, Problem], Plan] = {}


def _place(values: Values, kernels: Sequence[Kernel], problem: Problem, bound: int) -> Plan:
    """Where it is proved without the solver how small the arena is, addresses are looked for when somebody asks."""
    if not problem.buffers:
        return Plan()
    start = greedy.Start.of(problem)
    if start.top <= bound or not _is_placed_exactly(values):
        return start.improved(bound)
    offsets = smallest_arena(problem.buffers, start.order, bound, start.top)
    if offsets is None:
        return _searched(values, kernels, start, bound)
    known = {buffer.name: at for buffer, at in zip(problem.buffers, offsets, strict=True) if at is not None}
    size = greedy.height(problem, known)

    def found() -> Mapping[str, int]:
        searched = _searched(values, kernels, start, bound)
        return searched.offsets if searched.arena_bytes == size else known

    return Plan(Places(found), size, size)


def _searched(values: Values, kernels: Sequence[Kernel], start: greedy.Start, bound: int) -> Plan:
    plan = start.improved(bound)
    if plan.arena_bytes == bound:
        return plan
    covers = [Cover(step, step + 1, values.graph.nodes[step], kernel) for step, kernel in enumerate(kernels)]
    found = exact.smallest(values, covers, plan.arena_bytes, plan.offsets)
    if found is None:
        return plan
    arena = greedy.height(start.problem, found.offsets)
    return Plan(found.offsets, arena, max(bound, found.bound))


def _is_placed_exactly(values: Values) -> bool:
    return len(values.options) <= PLACED_EXACTLY and not values.forks


def _smallest_arena(values: Values) -> _Placed:
    """The covers with which the arena is smallest, whatever else they cost."""
    count = len(values.options)
    limit = least_peak(values.covers, values.bytes_of, count)
    price = Price(values)
    best = min(_relieved(values, price.cheapest(), limit, price), key=lambda placed: placed.arena_bytes)
    if best.arena_bytes > limit and _is_placed_exactly(values):
        found = exact.smallest(values, values.covers, best.arena_bytes)
        if found is not None:
            return _placed(values, found.covers)
    return best


def _within_ram(
    values: Values, covers: Sequence[Cover], ram_limit: int | None, price: Price, room: int | None
) -> tuple[_Placed, bool]:
    """(the cheapest covers within the limits, whether that is proved); None as a limit: the least there is.

    The limit on flash gives way if RAM can't be had otherwise.
    """
    if ram_limit is None:
        ram_limit = _smallest_arena(values).arena_bytes
    relaxed = _cheapest_by_bound(values, ram_limit, price, room)
    if relaxed is not None:
        return relaxed, True
    if len(values.options) <= CHOSEN_EXACTLY:
        for flash_bytes in dict.fromkeys((room, None)):
            try:
                found = exact.cheapest(values, values.covers, ram_limit, price, flash_bytes)
            except Infeasible:
                continue
            if found is not None:
                placed = _placed(values, found.covers)
                if placed.arena_bytes > ram_limit:  # where the solver knows better places
                    problem = placed.values.problem(placed.kernels)
                    known = Plan(found.offsets, greedy.height(problem, found.offsets), placed.plan.lower_bound_bytes)
                    placed = replace(placed, plan=known)
                return placed, found.proved
            break
        else:
            return _smallest_arena(values), False
    relieved = list(_relieved(values, covers, ram_limit, price))
    best = min(relieved, key=lambda placed: (placed.arena_bytes > ram_limit, _cost(placed, price)))
    if best.arena_bytes > ram_limit:
        best = _placed(values, relieved[0].covers)
    if best.arena_bytes > ram_limit:
        best = _smallest_arena(values)
    return best, False


def _cheapest_by_bound(values: Values, ram_limit: int, price: Price, room: int | None) -> _Placed | None:
    """The cheapest covers whose lower bounds are within the limit, if they happen to fit: then none are cheaper.

    That is what an exact search finds most often, and it takes a hundredth of its time.
    """
    within = [cover for cover in values.covers if values.bytes_of(cover) <= ram_limit]
    try:
        chosen = cheapest(within, price, 0, len(values.options))
    except ValueError:  # some node has none
        return None
    if room is not None and price.total_bytes(chosen) > room:
        return None
    placed = _placed(values, chosen)
    return placed if placed.arena_bytes <= ram_limit else None


def _cost(placed: _Placed, price: Price) -> int:
    return sum(map(price.of, placed.covers))


def _reason(values: Values, cover: Cover) -> Reason:
    others = any(other.first <= cover.first < other.last for other in values.fused)
    only = cover.is_trivial and not others and len(values.options[cover.first]) == 1
    rivals = [cover.kernel, *(other.kernel for other in values.trivial_covers[cover.first])]
    waits = any(k.stalls or k.fetches for k in rivals)
    cheapest_by = "fewest cycles, with those of waiting" if waits else "fewest instructions"
    return Reason("the only kernel for it" if only else cheapest_by)


def _relieved(values: Values, covers: Sequence[Cover], ram_limit: int, price: Price) -> Iterator[_Placed]:
    """Choices in which every cover that exceeds a limit gives way to the cheapest that doesn't, and their plans.

    The bytes in use at a step depend on its cover alone. Placement may leave gaps, so the limit is tightened until a
    plan fits.
    """
    limit = ram_limit
    for _ in range(_TIGHTER):
        kept = {(c.first, c.last): c for c in covers if values.bytes_of(c) <= limit}
        offered = [c for c in values.covers if kept.get((c.first, c.last), c) is c]
        chosen = cheapest(offered, partial(_cost_within, values, limit, price), 0, len(values.options))
        placed = _placed(values, chosen, fast=True)
        yield placed
        if placed.arena_bytes <= max(ram_limit, *placed.values.needs(placed.kernels)):
            return
        limit -= max(8, ram_limit // 200)


_TIGHTER = 8
"""How often the limit is tightened by half a percent."""


def _cost_within(values: Values, limit: int, price: Price, cover: Cover) -> tuple[int, ...]:
    """What exceeds the limit comes first."""
    return max(0, values.bytes_of(cover) - limit), *price(cover)
