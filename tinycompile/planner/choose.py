"""Chooses one kernel per node: cheap in what the user wants, within the RAM there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinycompile.ir import Graph
from tinycompile.kernels.base import Kernel
from tinycompile.planner.build import problem_of
from tinycompile.planner.offsets import place
from tinycompile.planner.problem import Plan, Problem
from tinycompile.work import total, work_of

Cost = Callable[[Kernel], tuple[int, ...]]
Choice = tuple[tuple[Kernel, ...], tuple[str, ...], Problem, Plan]

FLASH_FACTORS = {"balanced": 1.3, "size": 1.15}
"""Constants may take this many times the bytes of the int8 weights; within that, the fastest kernels are taken."""

LEAST_FLASH_FACTOR = 1.1
"""Where even the smallest kernels exceed that, this many times what those need."""

_TRIAL_ROUNDS = 20

_COSTS: dict[str, Cost] = {
    "speed": lambda k: (k.instructions, k.constant_bytes, k.scratch_bytes),
    "balanced": lambda k: (k.instructions, k.constant_bytes, k.scratch_bytes),
    "size": lambda k: (k.instructions, k.constant_bytes, k.scratch_bytes),
    "ram": lambda k: (k.scratch_bytes + max(k.overlap.values(), default=1 << 30), k.instructions, k.constant_bytes),
}


def choose(graph: Graph, candidates: Sequence[Sequence[Kernel]], *, ram_limit: int | None, optimize: str) -> Choice:
    """The kernels, why each was taken, and the plan they need.

    Args:
        optimize: "speed" minimises estimated instructions; "balanced" and "size" too, but with constants of at most
            `FLASH_FACTORS` times the int8 weights; "ram" prefers little scratch.
        ram_limit: while the arena is larger, the node that gives most memory per instruction is switched.
    """
    cost = _COSTS[optimize]
    kernels = [min(options, key=cost) for options in candidates]
    reasons = [_reason(optimize, len(options)) for options in candidates]
    if optimize in FLASH_FACTORS:
        _limit_flash(candidates, kernels, reasons, total(work_of(graph)).weight_bytes, FLASH_FACTORS[optimize])
    problem = problem_of(graph, kernels)
    plan = place(problem)
    while ram_limit is not None and plan.arena_bytes > ram_limit:
        switch = _best_switch(graph, candidates, kernels, plan.arena_bytes)
        if switch is None:
            break
        step, kernels[step] = switch
        reasons[step] = "needs less RAM than the fastest"
        problem = problem_of(graph, kernels)
        plan = place(problem)
    return tuple(kernels), tuple(reasons), problem, plan


def _reason(optimize: str, options: int) -> str:
    if options == 1:
        return "the only kernel for it"
    return "least RAM" if optimize == "ram" else "fewest instructions"


def _limit_flash(
    candidates: Sequence[Sequence[Kernel]], kernels: list[Kernel], reasons: list[str], weight_bytes: int, factor: float
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


def _best_switch(
    graph: Graph, candidates: Sequence[Sequence[Kernel]], kernels: Sequence[Kernel], arena: int
) -> tuple[int, Kernel] | None:
    """The single exchange of a kernel that saves most arena bytes per added instruction; None if none saves any."""
    best: tuple[float, int, Kernel] | None = None
    for step, options in enumerate(candidates):
        for option in options:
            if option is kernels[step]:
                continue
            trial = [*kernels[:step], option, *kernels[step + 1 :]]
            saved = arena - place(problem_of(graph, trial), _TRIAL_ROUNDS).arena_bytes
            if saved <= 0:
                continue
            rate = saved / max(1, option.instructions - kernels[step].instructions)
            if best is None or rate > best[0]:
                best = (rate, step, option)
    return None if best is None else (best[1], best[2])
