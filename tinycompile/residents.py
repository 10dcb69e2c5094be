"""Whether a model's constants are all in RAM: then kernels are chosen as if no memory made the core wait."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.choices import AUTO
from tinycompile.layout import SYSTEM_BYTES, Layout
from tinycompile.options import Options
from tinycompile.planner import Planned
from tinycompile.targets import Memory
from tinycompile.with_memories import CYCLES_PER_BYTE


def may_reside(waiting: Sequence[Planned], layout: Layout, options: Options) -> bool:
    """Whether another plan is worth a look: constants may be copied to RAM, and as the model has them there is room.

    Args:
        waiting: plans with constants in flash, for which there are kernels that wait.
    """
    if options.fast_weights != AUTO or options.weights != "embedded" or options.optimize == "ram":
        return False
    if not any(kernel.stalls for each in waiting for kernel in each.kernels):
        return False
    graphs = [each.graph for each in waiting]
    return sum(graph.types[name].bytes for graph in graphs for name in graph.constants) <= max(
        (memory.bytes for memory in layout.used if memory.kind == "ram"), default=0
    )


def resides(waiting: Sequence[Planned], free: Sequence[Planned], layout: Layout, options: Options) -> bool:
    """Whether there is RAM without waiting for all constants of a plan, and it takes less time than another plan.

    Args:
        waiting: plans with constants in flash. free, layout: those with constants in RAM.
    """
    size = sum(kernel.constant_bytes for each in free for kernel in each.kernels)
    saved = sum(each.price for each in waiting) - sum(each.price for each in free)
    wanted = 0.0 if options.optimize == "speed" else CYCLES_PER_BYTE * size
    return saved > wanted and size + len(free) * SYSTEM_BYTES // 4 <= room_for_constants(free, layout, options)


def room_for_constants(planned: Sequence[Planned], layout: Layout, options: Options) -> int:
    """Bytes in the largest RAM that the core never waits for, beside what is there and within the user's limit.

    Without one, half of it: the other half is left to the application, unless speed is all that counts.
    """
    arena, scratch = (max(sizes) for sizes in zip(*((p.arena_bytes, p.scratch_bytes) for p in planned), strict=True))
    states = sum(each.state_bytes for each in planned)

    def left(memory: Memory) -> int:
        used = [
            (layout.system, SYSTEM_BYTES + SYSTEM_BYTES // 4),
            (layout.arena, arena + states),
            (layout.scratch or layout.arena, scratch),
        ]
        return memory.bytes - sum(size for place, size in used if place == memory)

    found = [memory for memory in layout.used if memory.kind == "ram" and memory.access and memory.access.is_free]
    room = max(map(left, found), default=0)
    if options.ram is not None:
        return min(room, options.ram - arena - scratch - SYSTEM_BYTES // 4)
    return room if options.optimize == "speed" else room // 2
