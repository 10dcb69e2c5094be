"""Chooses one kernel per node: cheap in what the user wants, within the RAM there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tinycompile.ir import Graph
from tinycompile.kernels.base import Kernel
from tinycompile.planner.build import problem_of
from tinycompile.planner.offsets import bound_at, lower_bound, place
from tinycompile.planner.problem import Plan, Problem
from tinycompile.work import total, work_of

Cost = Callable[[Kernel], tuple[int, ...]]
Candidates = Sequence[Sequence[Kernel]]
Choice = tuple[tuple[Kernel, ...], tuple[str, ...], Problem, Plan]

FLASH_FACTORS = {"balanced": 1.3, "size": 1.15}
"""Constants may take this many times the bytes of the int8 weights; within that, the fastest kernels are taken."""

LEAST_FLASH_FACTOR = 1.1
"""Where even the smallest kernels exceed that, this many times what those need."""

RELIEVED = "needs less RAM than the fastest"


def choose(graph: Graph, candidates: Candidates, *, ram_limit: int | None, optimize: str) -> Choice:
    """The kernels, why each was taken, and the plan they need.

    Args:
        optimize: "speed" minimises estimated instructions; "balanced" and "size" too, but with constants of at most
            `FLASH_FACTORS` times the int8 weights; "ram" the arena, then instructions.
        ram_limit: where the arena would exceed it, the steps at fault get the fastest kernels with which it doesn't;
            if none do, the smallest arena is returned.
    """
    kernels = [min(options, key=_speed) for options in candidates]
    reasons = [_reason(len(options)) for options in candidates]
    if optimize in FLASH_FACTORS:
        weight_bytes = total(work_of(graph)).weight_bytes
        _limit_flash(candidates, kernels, reasons, weight_bytes, FLASH_FACTORS[optimize])
    problem = problem_of(graph, kernels)
    plan = place(problem)
    if optimize == "ram":
        ram_limit = _smallest_bound(graph, candidates, kernels)
    if ram_limit is None or plan.arena_bytes <= ram_limit:
        return tuple(kernels), tuple(reasons), problem, plan
    best: tuple[list[Kernel], Problem, Plan] | None = None
    for relieved in _relieved(graph, candidates, kernels, ram_limit):
        problem = problem_of(graph, relieved)
        plan = place(problem)
        if best is None or plan.arena_bytes < best[2].arena_bytes:
            best = relieved, problem, plan
        if plan.arena_bytes <= ram_limit:
            break
    chosen, problem, plan = best or (kernels, problem, plan)
    reasons = [reason if new is old else RELIEVED for reason, new, old in zip(reasons, chosen, kernels, strict=True)]
    return tuple(chosen), tuple(reasons), problem, plan


def _speed(kernel: Kernel) -> tuple[int, ...]:
    return kernel.instructions, kernel.constant_bytes, kernel.scratch_bytes


def _reason(options: int) -> str:
    return "the only kernel for it" if options == 1 else "fewest instructions"


def _limit_flash(
    candidates: Candidates, kernels: list[Kernel], reasons: list[str], weight_bytes: int, factor: float
) -> None:
    """Trade instructions for flash, the best rate first, until the constants are small enough."""
    smallest = sum(min(k.constant_bytes for k in options) for options in candidates)
    limit = max(factor * weight_bytes, LEAST_FLASH_FACTOR * smallest)
    while sum(k.constant_bytes for k in kernels) > limit:
        moves = [
            (
                (option.instructions - kernel.instructions) / (kernel.constant_bytes - option.constant_bytes),
                step,
                option,
            )
            for step, (kernel, options) in enumerate(zip(kernels, candidates, strict=True))
            for option in options
            if option.constant_bytes < kernel.constant_bytes
        ]
        _, step, option = min(moves, key=lambda move: (move[0], move[1]))
        kernels[step] = option
        reasons[step] = f"the fastest need more than {factor} x the int8 weights"


def _relieved(
    graph: Graph, candidates: Candidates, kernels: Sequence[Kernel], ram_limit: int
) -> Iterator[list[Kernel]]:
    """Choices whose lower bound is at most `ram_limit`, or as little above as there is, then ever tighter ones.

    The bytes in use at a step depend on that step's kernel alone (and on whether it works in place, which
    merges buffers). So every step that exceeds the limit takes the cheapest of its kernels that doesn't.
    """
    limit = ram_limit
    for _ in range(_TIGHTER):
        chosen = list(kernels)
        for step, options in enumerate(candidates):
            if bound_at(problem_of(graph, chosen), step) > limit:
                chosen[step] = _within(graph, chosen, step, options, limit)
        yield chosen
        limit -= max(8, ram_limit // 200)


_TIGHTER = 12
"""How often the limit is tightened by half a percent where the placement has gaps."""


def _within(graph: Graph, chosen: Sequence[Kernel], step: int, options: Sequence[Kernel], limit: int) -> Kernel:
    """The fastest option with which the step's bytes are within the limit; else the one with the fewest bytes."""

    def cost(option: Kernel) -> tuple[int, ...]:
        trial = [*chosen[:step], option, *chosen[step + 1 :]]
        return max(0, bound_at(problem_of(graph, trial), step) - limit), *_speed(option)

    return min(options, key=cost)


def _smallest_bound(graph: Graph, candidates: Candidates, kernels: Sequence[Kernel]) -> int:
    """The lower bound of the choice that needs least at every step."""
    chosen = list(kernels)
    for step, options in enumerate(candidates):
        chosen[step] = _within(graph, chosen, step, options, 0)
    return lower_bound(problem_of(graph, chosen))
