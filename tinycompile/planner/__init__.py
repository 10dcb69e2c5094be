"""The memory planner: chooses kernels and gives every buffer its place in one arena. It names no operator.

`plan` is the entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinycompile.errors import DoesNotFitError
from tinycompile.ir import Graph
from tinycompile.kernels.base import Kernel
from tinycompile.planner.build import scratch_name, storage_of
from tinycompile.planner.choose import choose
from tinycompile.planner.problem import Plan, Problem
from tinycompile.planner.validate import validate

__all__ = ["Planned", "plan"]


@dataclass(frozen=True, eq=False)
class Planned:
    """A graph with its kernels and memory.

    Attributes:
        kernels: one per node.
        reasons: why each kernel was chosen.
        offsets: arena offset of every value in RAM, in bytes.
        scratch_offsets: arena offset of each node's scratch; None where it has none.
    """

    graph: Graph
    kernels: tuple[Kernel, ...]
    reasons: tuple[str, ...]
    offsets: dict[str, int]
    scratch_offsets: tuple[int | None, ...]
    arena_bytes: int
    lower_bound_bytes: int


def plan(graph: Graph, candidates: Sequence[Sequence[Kernel]], *, ram_limit: int | None, optimize: str) -> Planned:
    """Choose among `candidates` (per node) and place everything.

    Raises:
        DoesNotFitError: the arena is larger than `ram_limit` with the kernels that need least memory.
    """
    kernels, reasons, problem, found = choose(graph, candidates, ram_limit=ram_limit, optimize=optimize)
    validate(problem, found)
    if ram_limit is not None and found.arena_bytes > ram_limit:
        raise _does_not_fit(graph.name, problem, found, ram_limit)
    storage = storage_of(graph, kernels)
    return Planned(
        graph=graph,
        kernels=kernels,
        reasons=reasons,
        offsets={value: found.offsets.get(root, 0) for value, root in storage.items()},
        scratch_offsets=tuple(found.offsets.get(scratch_name(step)) for step in range(len(kernels))),
        arena_bytes=-(-found.arena_bytes // 8) * 8,
        lower_bound_bytes=found.lower_bound_bytes,
    )


def _does_not_fit(name: str, problem: Problem, found: Plan, limit: int) -> DoesNotFitError:
    steps = {buffer.first for buffer in problem.buffers}
    live = {step: [b for b in problem.buffers if b.first <= step < b.last] for step in steps}
    peak = max(live.values(), key=lambda buffers: sum(b.size for b in buffers))
    names = ", ".join(f"{_shortened(b.name)!r} ({b.size:,} bytes)" for b in sorted(peak, key=lambda b: -b.size))
    return DoesNotFitError(
        f"the model does not fit: it needs {found.arena_bytes:,} bytes of RAM for its arena, {limit:,} are there",
        where=name,
        why=f"at the peak these are in use together: {names}",
        hint=f"it fits from {found.arena_bytes:,} bytes: a larger --ram, another target, or a smaller model",
    )


def _shortened(name: str) -> str:
    return name if len(name) <= 48 else f"{name[:45]}..."
