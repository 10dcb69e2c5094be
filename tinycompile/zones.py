"""An arena that begins in a faster memory: which memories it spans, and which buffers gain most by being there.

Where a memory in front of the arena's own is faster and adjacent (the DTCM of an STM32F7 in front of SRAM1), both are
one run of addresses: stack and data come first, then the arena, whose first bytes are the zone; its size is the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from tinycompile.kernels.base import Kernel
from tinycompile.kernels.waiting import sweeps_of, swept
from tinycompile.layout import SYSTEM_BYTES, Layout
from tinycompile.planner import Planned, replaced
from tinycompile.planner.values import scratch_name
from tinycompile.planner.zone import place_in_zone
from tinycompile.targets import Board, Memory
from tinycompile.targets.memory import ram_choices
from tinycompile.targets.memory_system import WORD, MemorySystem
from tinycompile.work import node_macs

INSTRUCTIONS_PER_LOAD = 6
"""Of a kernel with scratch, for a word that it reads from there: a load of two words' products, and the arithmetic."""


def with_zone(planned: Sequence[Planned], layout: Layout, board: Board) -> tuple[list[Planned], Layout]:
    """The plans and the layout with an arena that begins in a faster memory, where there is one and that saves cycles.

    Scratch apart from the arena is in a faster memory as it is.
    """
    states = sum(each.state_bytes for each in planned)
    arena = max(each.arena_bytes for each in planned)
    found = _in_front(board, layout, arena + states)
    if found is None or any(each.scratch_bytes for each in planned):
        return list(planned), layout
    first, run = found
    zone = first.bytes - SYSTEM_BYTES
    moved = [_with_zone(each, layout.arena, first, zone, board.memory_system) for each in planned]
    return moved, replace(layout, system=run, arena=run)


def _in_front(board: Board, layout: Layout, needed: int) -> tuple[Memory, Memory] | None:
    """(the fastest memory that a run of adjacent ones up to the arena's begins with, that run)."""
    runs = {(run.origin, run.end): run for run in ram_choices(board.memories)}
    ends = {m.end for m in board.memories if m.kind == "ram" and m.end == layout.arena.end}
    firsts = [
        (first, runs[first.origin, end])
        for first in board.memories
        for end in ends
        if first.kind == "ram" and first.origin < layout.arena.origin and (first.origin, end) in runs
    ]
    fitting = [
        (first, run)
        for first, run in firsts
        if first.cost < layout.arena.cost and first.bytes > SYSTEM_BYTES and run.bytes - SYSTEM_BYTES >= needed
    ]
    return min(fitting, key=lambda each: each[0].cost, default=None)


def _with_zone(planned: Planned, slow: Memory, fast: Memory, zone: int, system: MemorySystem) -> Planned:
    rates = saved_rates(planned, slow, fast, system)
    return replaced(planned, place_in_zone(planned.problem, planned.placement, rates, zone))


def saved_rates(planned: Planned, slow: Memory, fast: Memory, system: MemorySystem) -> dict[str, float]:
    """Cycles of an inference that a byte of each buffer saves in `fast`, by the buffer's name.

    A tensor is written and read once by each of its readers, scratch again and again.
    """
    saved = defaultdict[str, float](float)
    graph, macs = planned.graph, node_macs(planned.graph)
    once = {memory: system.read(memory, in_sequence=True).middle / WORD for memory in (slow, fast)}
    for step, (node, kernel) in enumerate(zip(graph.nodes, planned.kernels, strict=True)):
        for name in (*node.inputs, *node.outputs):
            if name in planned.roots:
                saved[planned.roots[name][0]] += graph.types[name].bytes * (once[slow] - once[fast])
        if kernel.scratch_bytes:
            waits = [_scratch_wait(kernel, macs[step], memory, system) for memory in (slow, fast)]
            saved[scratch_name(step)] += waits[0] - waits[1]
    sizes = {buffer.name: buffer.size for buffer in planned.problem.buffers}
    return {name: max(0.0, cycles) / sizes[name] for name, cycles in saved.items() if sizes.get(name)}


def _scratch_wait(kernel: Kernel, macs: int, memory: Memory, system: MemorySystem) -> float:
    """For the copy of its constants, if it makes one, and for the rest, which it goes through as often as its
    instructions allow while the constants pass the cache."""
    sweeps = sweeps_of(kernel, macs) if kernel.copies is None else kernel.copies
    copied = 0 if kernel.copies is None else min(kernel.scratch_bytes, kernel.constant_bytes)
    found = swept(system, memory, copied, sweeps) if copied else 0.0
    own = kernel.scratch_bytes - copied
    if own:
        times = max(1.0, kernel.instructions / INSTRUCTIONS_PER_LOAD * WORD / own)
        between = min(kernel.constant_bytes, sweeps.piece or kernel.constant_bytes)
        found += system.sweep(memory, own, times=times, between=between).middle
    return found
