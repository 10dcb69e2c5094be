"""An independent check of every plan; shares no code with what made it."""

from __future__ import annotations

from collections.abc import Collection

from tinycompile.ir import Graph
from tinycompile.planner.problem import Buffer, Overlap, Plan, Problem

ALIGNMENT = 8


def validate(problem: Problem, plan: Plan) -> None:
    """Raise ValueError unless the plan keeps every promise.

    Every buffer is aligned and inside the arena, the arena is no larger than it must be for them, and no two buffers
    that are in use at the same time share a byte, except where a kernel declared that it is safe or where one is a
    fixed part of the other.
    """
    allowed = {(overlap.upper, overlap.lower): overlap for overlap in problem.overlaps}
    for a in problem.buffers:
        start = plan.offsets[a.name]
        if start < 0 or start % ALIGNMENT or start + a.size > plan.arena_bytes:
            raise ValueError(f"{a.name} at {start} is misaligned or outside of {plan.arena_bytes} bytes")
    end = max((plan.offsets[b.name] + b.size for b in problem.buffers), default=0)
    if plan.arena_bytes != end:
        raise ValueError(f"the arena has {plan.arena_bytes} bytes, {end} are in use")
    in_order = sorted(problem.buffers, key=lambda b: b.first)
    for index, a in enumerate(in_order):
        for b in in_order[index + 1 :]:
            if b.first >= a.last:
                break
            a_start, b_start = plan.offsets[a.name], plan.offsets[b.name]
            if a.group and a.group == b.group:
                _check_fixed(a, b, a_start - b_start)
            elif (
                max(a_start, b_start) < min(a_start + a.size, b_start + b.size)
                and not _declared(allowed.get((a.name, b.name)), a_start - b_start)
                and not _declared(allowed.get((b.name, a.name)), b_start - a_start)
            ):
                raise ValueError(f"{a.name} at {a_start} and {b.name} at {b_start} overlap while both are in use")


def validate_states(graph: Graph, kept: Collection[str]) -> None:
    """Raise ValueError unless every state's memory holds the old value as long as somebody reads it.

    Follows what the memory holds through the steps. A value in `kept` that no node writes there is the old value.
    """
    written = {state.next: state.name for state in graph.states}
    gone = set[str]()
    views = {state.name: state.name for state in graph.states}
    for node in graph.nodes:
        for name in node.inputs:
            if views.get(name) in gone:
                raise ValueError(f"{node.name} reads state {views[name]!r} when its next value has been written")
        for name in node.outputs:
            if name in written:
                gone.add(written[name])
            elif name in kept:
                views.update((name, views[operand]) for operand in node.inputs if operand in views)
    for name in graph.outputs:
        if name in kept:
            raise ValueError(f"output {name!r} is in the memory of a state")


def _declared(overlap: Overlap | None, distance: int) -> bool:
    """Whether a kernel declared that its operand may lie `distance` bytes above its output."""
    if overlap is None:
        return False
    return distance == overlap.distance if overlap.exact else distance >= overlap.distance


def _check_fixed(a: Buffer, b: Buffer, distance: int) -> None:
    if distance != a.displacement - b.displacement:
        raise ValueError(f"{a.name} lies {distance} bytes from {b.name}, not {a.displacement - b.displacement}")
