"""The memory planner: orders the nodes, chooses kernels and gives every buffer its place in one arena.

It names no operator: all that it knows of a node are its kernels' figures. `plan` is the entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinycompile.ir import Graph
from tinycompile.kernels.base import Kernel
from tinycompile.planner.choose import choose
from tinycompile.planner.order import reordered
from tinycompile.planner.problem import Plan, Problem
from tinycompile.planner.shortage import does_not_fit
from tinycompile.planner.validate import validate
from tinycompile.planner.values import Values, scratch_name
from tinycompile.work import total, work_of

__all__ = ["Planned", "plan"]


@dataclass(frozen=True, eq=False)
class Planned:
    """A graph with its kernels and memory.

    Attributes:
        graph: in the order of execution.
        kernels: one per node.
        reasons: why each kernel was chosen.
        offsets: arena offset of every value in RAM, in bytes.
        scratch_offsets: arena offset of each node's scratch; None where it has none.
        lower_bound_bytes: no placement for these kernels in this order needs less.
        order_optimal: no other order needs less at its peak (before placement).
        fastest_proved: no other choice of kernels within the limits executes fewer instructions, by their estimates.
        problem, placement: what was placed, and where: for pictures.
    """

    graph: Graph
    kernels: tuple[Kernel, ...]
    reasons: tuple[str, ...]
    offsets: dict[str, int]
    scratch_offsets: tuple[int | None, ...]
    arena_bytes: int
    lower_bound_bytes: int
    order_optimal: bool
    fastest_proved: bool
    problem: Problem
    placement: Plan


def plan(graph: Graph, candidates: Sequence[Sequence[Kernel]], *, ram_limit: int | None, optimize: str) -> Planned:
    """Order the nodes, choose among `candidates` (per node) and place everything.

    Args:
        ram_limit: bytes for the arena; None for no limit.
        optimize: "speed", "balanced", "size" or "ram".

    Raises:
        DoesNotFitError: the arena is larger than `ram_limit` with the kernels that need least memory.
    """
    weight_bytes = total(work_of(graph)).weight_bytes
    graph, candidates, order_optimal = reordered(graph, candidates)
    values = Values(graph, candidates)
    choice = choose(values, ram_limit=ram_limit, optimize=optimize, weight_bytes=weight_bytes)
    problem, placement = values.problem(choice.kernels), choice.plan
    validate(problem, placement)
    if ram_limit is not None and placement.arena_bytes > ram_limit:
        raise does_not_fit(graph.name, values, choice.kernels, placement, ram_limit)
    places = {name: values.place(name) for name in graph.types if values.is_in_ram(name)}
    return Planned(
        graph=graph,
        kernels=choice.kernels,
        reasons=choice.reasons,
        offsets={name: placement.offsets.get(root, 0) + shift for name, (root, shift) in places.items()},
        scratch_offsets=tuple(placement.offsets.get(scratch_name(step)) for step in range(len(choice.kernels))),
        arena_bytes=placement.arena_bytes,
        lower_bound_bytes=placement.lower_bound_bytes,
        order_optimal=order_optimal,
        fastest_proved=choice.fastest_proved,
        problem=problem,
        placement=placement,
    )
