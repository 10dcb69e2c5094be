"""Chooses one kernel per node: cheap in what the user wants, within the RAM there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinycompile.kernels.base import Kernel
from tinycompile.planner import exact, greedy
from tinycompile.planner.exact import Infeasible
from tinycompile.planner.problem import Plan
from tinycompile.planner.reason import Reason
from tinycompile.planner.values import Options, Values

FLASH_FACTORS = {"balanced": 1.3, "size": 1.15}
"""Constants may take this many times the bytes of the int8 weights; within that, the fastest kernels are taken."""

LEAST_FLASH_FACTORS = {"balanced": 1.1, "size": 1.04}
"""Where even the smallest kernels exceed that, this many times what those need."""

PLACED_EXACTLY = 1500
"""Steps up to which the smallest arena is looked for exactly; larger graphs are left to the greedy placement."""

CHOSEN_EXACTLY = 200
"""Steps up to which the fastest kernels within a limit are: that is the harder problem."""

RELIEVED = Reason("needs less RAM than the fastest", squeezed=True)


@dataclass(frozen=True, eq=False)
class Choice:
    """Kernels and where everything is.

    Attributes:
        reasons: why each kernel was taken.
        fastest_proved: no other choice within the limits executes fewer instructions, by the kernels' estimates.
    """

    kernels: tuple[Kernel, ...]
    reasons: tuple[Reason, ...]
    plan: Plan
    fastest_proved: bool


def choose(values: Values, *, ram_limit: int | None, optimize: str, weight_bytes: int) -> Choice:
    """The kernels, why each was taken, and the plan they need.

    Args:
        optimize: "speed" minimises estimated instructions; "balanced" and "size" too, but with constants of at most
            `FLASH_FACTORS` times the int8 weights; "ram" the arena, then instructions.
        ram_limit: where the arena would exceed it, the kernels with the fewest instructions with which it doesn't; if
            none do, the smallest arena is returned.
        weight_bytes: of the int8 weights.
    """
    options = values.options
    kernels = [min(kernels, key=_speed) for kernels in options]
    reasons = [_reason(len(kernels)) for kernels in options]
    flash_limit = None
    if optimize in FLASH_FACTORS:
        flash_limit = _limit_flash(options, kernels, reasons, weight_bytes, optimize)
    if optimize != "ram":
        plan = place(values, kernels)
        if ram_limit is None or plan.arena_bytes <= ram_limit:
            return Choice(tuple(kernels), tuple(reasons), plan, flash_limit is None)
    found, plan, proved = _within_ram(values, kernels, None if optimize == "ram" else ram_limit, flash_limit)
    reasons = [reason if new is old else RELIEVED for reason, new, old in zip(reasons, found, kernels, strict=True)]
    return Choice(tuple(found), tuple(reasons), plan, proved)


def place(values: Values, kernels: Sequence[Kernel]) -> Plan:
    """The smallest arena for these kernels, if time allows."""
    bound = max(values.needs(kernels))
    plan = greedy.place(values.problem(kernels), bound)
    if plan.arena_bytes == bound or len(kernels) > PLACED_EXACTLY:
        return plan
    found = exact.smallest(values, [[kernel] for kernel in kernels], plan.arena_bytes, plan.offsets)
    if found is None:
        return plan
    arena = greedy.height(values.problem(kernels), found.offsets)
    return Plan(found.offsets, arena, max(bound, found.bound))


def smallest_arena(values: Values) -> tuple[list[Kernel], Plan]:
    """The kernels with which the arena is smallest, whatever else they cost, and their plan."""
    limit = max((min(values.need(step, k) for k in each) for step, each in enumerate(values.options)), default=0)
    best = min(_relieved(values, [min(k, key=_speed) for k in values.options], limit), key=lambda c: c[1].arena_bytes)
    if best[1].arena_bytes > limit and len(values.options) <= PLACED_EXACTLY:
        found = exact.smallest(values, values.options, best[1].arena_bytes)
        if found is not None:
            return list(found.kernels), place(values, found.kernels)
    return best


def _within_ram(
    values: Values, kernels: Sequence[Kernel], ram_limit: int | None, flash_limit: int | None
) -> tuple[Sequence[Kernel], Plan, bool]:
    """(the fastest kernels within the limits, their plan, whether that is proved); None as a limit: the least there is.

    The limit on flash gives way if RAM can't be had otherwise.
    """
    if ram_limit is None:
        ram_limit = smallest_arena(values)[1].arena_bytes
    if len(values.options) <= CHOSEN_EXACTLY:
        for constant_bytes in dict.fromkeys((flash_limit, None)):
            try:
                found = exact.fastest(values, values.options, ram_limit, constant_bytes)
            except Infeasible:
                continue
            if found is not None:
                return found.kernels, place(values, found.kernels), found.proved
            break
        else:
            return *smallest_arena(values), False
    relieved = list(_relieved(values, kernels, ram_limit))
    best = min(relieved, key=lambda c: (c[1].arena_bytes > ram_limit, _cost(c[0])))
    if best[1].arena_bytes > ram_limit:
        best = relieved[0][0], place(values, relieved[0][0])
    if best[1].arena_bytes > ram_limit:
        best = smallest_arena(values)
    return *best, False


def _cost(kernels: Sequence[Kernel]) -> int:
    return sum(kernel.instructions for kernel in kernels)


def _speed(kernel: Kernel) -> tuple[int, ...]:
    return kernel.instructions, kernel.constant_bytes, kernel.scratch_bytes


def _reason(options: int) -> Reason:
    return Reason("the only kernel for it" if options == 1 else "fewest instructions")


def _limit_flash(
    options: Options, kernels: list[Kernel], reasons: list[Reason], weight_bytes: int, optimize: str
) -> int:
    """Trade instructions for flash, the best rate first, until the constants are small enough; the limit in bytes."""
    smallest = sum(min(k.constant_bytes for k in each) for each in options)
    factor = FLASH_FACTORS[optimize]
    limit = int(max(factor * weight_bytes, LEAST_FLASH_FACTORS[optimize] * smallest))
    while sum(k.constant_bytes for k in kernels) > limit:
        moves = [
            (
                (option.instructions - kernel.instructions) / (kernel.constant_bytes - option.constant_bytes),
                step,
                option,
            )
            for step, (kernel, each) in enumerate(zip(kernels, options, strict=True))
            for option in each
            if option.constant_bytes < kernel.constant_bytes
        ]
        _, step, option = min(moves, key=lambda move: (move[0], move[1]))
        kernels[step] = option
        reasons[step] = Reason(f"the fastest need more than {factor} x the int8 weights")
    return limit


def _relieved(values: Values, kernels: Sequence[Kernel], ram_limit: int) -> Iterator[tuple[list[Kernel], Plan]]:
    """Choices in which every step that exceeds a limit takes the fastest of its kernels that doesn't, and their plans.

    The bytes in use at a step depend on that step's kernel alone. Placement may leave gaps, so the limit is
    tightened until a plan fits.
    """
    limit = ram_limit
    for _ in range(_TIGHTER):
        chosen = [
            kernel if values.need(step, kernel) <= limit else _within(values, step, limit)
            for step, kernel in enumerate(kernels)
        ]
        bound = max(values.needs(chosen))
        plan = greedy.place(values.problem(chosen), bound)
        yield chosen, plan
        if plan.arena_bytes <= max(ram_limit, bound):
            return
        limit -= max(8, ram_limit // 200)


_TIGHTER = 8
"""How often the limit is tightened by half a percent."""


def _within(values: Values, step: int, limit: int) -> Kernel:
    """The fastest option with which the step's bytes are within the limit; else the one with the fewest bytes."""

    def cost(option: Kernel) -> tuple[int, ...]:
        return max(0, values.need(step, option) - limit), *_speed(option)

    return min(values.options[step], key=cost)
