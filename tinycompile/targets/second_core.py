"""A second core that is another one than the first: the `[second_core]` table of a board.toml.

Both run the same code, compiled for what both have, and see the same memories, each at its own price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinycompile.targets.access_time import access_of
from tinycompile.targets.core import PIPELINES, Core, core_of
from tinycompile.targets.memory import Memory, memories_of
from tinycompile.targets.memory_system import Cache, MemorySystem, caches_of, check_accesses, with_costs
from tinycompile.targets.toolchain import Toolchain

LINE_BYTES = 32
"""Of a data cache that the generated code takes care of: those of Cortex-M7, M55 and M85."""


@dataclass(frozen=True)
class SecondCore:
    """See the module.

    Attributes:
        name: for people. pipeline: which model estimates its cycles. clock_hz: its own clock.
        common: what code for both may use, scheduled as the first core likes it. cflags: that select it.
        memories: those that both see, as the first core does. caches: its own in front of them.
        system: the same memories as the second core sees them.
        sources: C files of the board that firmware for one core doesn't have.
        vectors: where the second core finds its vector table; None where the first one tells it.
        line: bytes of the lines of a data cache that the first core has in front of these memories, of which the second
            knows nothing; 0 for none.
    """

    name: str
    pipeline: str
    clock_hz: int
    common: Core
    cflags: tuple[str, ...]
    memories: tuple[Memory, ...]
    caches: tuple[Cache, ...]
    system: MemorySystem
    sources: tuple[Path, ...] = ()
    vectors: Memory | None = None
    line: int = 0

    def cycles_per_instruction(self) -> float:
        """Of its own clock, without waiting for memories."""
        low, high = PIPELINES[self.pipeline].cycles_per_instruction
        return (low + high) / 2


def second_core_of(
    table: Mapping[str, Any],
    one: Mapping[str, Any],
    caches: Mapping[str, Mapping[str, Any]],
    toolchain: Toolchain,
    sources: Sequence[Path],
) -> SecondCore:
    """Read the table.

    Where an arena had better be is a matter of both: a memory's cost is that of the core that waits longer.

    Args:
        one: the `[core]` table. caches: the `[cache.*]` tables.
        sources: what its key `sources` means.

    Raises:
        ValueError: what is said makes no sense. KeyError: a key is missing.
    """
    pipeline = str(table["pipeline"])
    if pipeline not in PIPELINES:
        raise ValueError(f"[second_core]: pipeline is one of {', '.join(PIPELINES)}")
    clock_hz = int(table["clock_hz"])
    if clock_hz <= 0:
        raise ValueError("[second_core]: clock_hz is positive")
    common = core_of({**one, "features": table["features"]}, toolchain)
    memories = memories_of(table["memory"])
    cached = list(map(str, table.get("cached", ())))
    own = caches_of({name: {**cache, "memories": cached} for name, cache in caches.items() if cached}, memories)
    check_accesses(memories, own)
    system = _seen(table, memories)
    both = zip(with_costs(memories, own), with_costs(system.memories, system.caches), strict=True)
    memories = tuple(replace(first, cost=max(first.cost, second.cost)) for first, second in both)
    vectors = Memory("second_vectors", **table["vectors"], kind="flash") if "vectors" in table else None
    rams = {memory.name for memory in memories if memory.kind != "flash"}
    lines = {c.line for c in own if c.serves in ("data", "both") and rams.intersection(c.memories)}
    if not lines <= {LINE_BYTES}:
        raise ValueError(f"[second_core]: a data cache in front of RAM has lines of {LINE_BYTES} bytes, for tc_cache.h")
    return SecondCore(
        name=str(table["name"]),
        pipeline=pipeline,
        clock_hz=clock_hz,
        common=common,
        cflags=tuple(table["flags"]),
        memories=memories,
        caches=own,
        system=system,
        sources=tuple(sources),
        vectors=vectors,
        line=max(lines, default=0),
    )


def _seen(table: Mapping[str, Any], memories: Sequence[Memory]) -> MemorySystem:
    """By the second core: `[second_core.access]` and `[second_core.cache.*]`."""
    accesses = table.get("access", {})
    if strange := set(accesses).difference(memory.name for memory in memories):
        raise ValueError(f"[second_core.access]: there is no [second_core.memory.{min(strange)}]")
    own = [replace(m, access=access_of(accesses.get(m.name, "unknown"))) for m in memories]
    caches = caches_of(table.get("cache", {}), own)
    check_accesses(own, caches)
    return MemorySystem(tuple(own), caches)
