"""An independent check of every plan; shares no code with what made it."""

from __future__ import annotations

from tinycompile.planner.problem import Overlap, Plan, Problem


def validate(problem: Problem, plan: Plan) -> None:
    """Raise ValueError unless the plan keeps every promise."""
    allowed = {(overlap.upper, overlap.lower): overlap for overlap in problem.overlaps}
    for a in problem.buffers:
        start = plan.offsets[a.name]
        if start < 0 or start % a.align or start + a.size > plan.arena_bytes:
            raise ValueError(f"{a.name} at {start} is misaligned or outside of {plan.arena_bytes} bytes")
    for index, a in enumerate(problem.buffers):
        for b in problem.buffers[index + 1 :]:
            in_use_together = max(a.first, b.first) < min(a.last, b.last)
            a_start, b_start = plan.offsets[a.name], plan.offsets[b.name]
            share_bytes = max(a_start, b_start) < min(a_start + a.size, b_start + b.size)
            if not (in_use_together and share_bytes):
                continue
            if _declared(allowed.get((a.name, b.name)), a_start - b_start):
                continue
            if _declared(allowed.get((b.name, a.name)), b_start - a_start):
                continue
            raise ValueError(f"{a.name} at {a_start} and {b.name} at {b_start} overlap while both are in use")


def _declared(overlap: Overlap | None, distance: int) -> bool:
    """Whether a kernel declared that its operand may lie `distance` bytes above its output."""
    if overlap is None:
        return False
    return distance == overlap.distance if overlap.exact else distance >= overlap.distance
