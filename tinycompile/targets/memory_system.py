"""Caches of a board and the memories behind them: what fetching, reading and writing costs beyond the instructions.

A board.toml says it: `[cache.<name>]` tables, and `access` of each memory (`access_time.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from tinycompile.targets.access_time import NONE, Cycles
from tinycompile.targets.memory import Memory

Serves = Literal["instructions", "data", "both"]
SERVES = ("instructions", "data", "both")

WORD = 4
"""Bytes of the widest single load; LDM, LDRD and VLDM are several."""


@dataclass(frozen=True)
class Cache:
    """A set-associative cache, the line that was used longest ago being replaced.

    Attributes:
        bytes: in all. ways: lines in each set. line: bytes of a line.
        memories: names of those it is in front of.
    """

    name: str
    serves: Serves
    bytes: int
    ways: int
    line: int
    memories: tuple[str, ...]

    @property
    def sets(self) -> int:
        return self.bytes // (self.ways * self.line)


@dataclass(frozen=True)
class MemorySystem:
    """A board's memories and caches, which price accesses.

    A memory may be one of the board's, a part of one, or a run of adjacent ones (`ram_choices`), which then costs what
    its most expensive part costs. One of which nobody has said what it costs is priced at nothing, and `unknown` has
    its name: whoever prints a price says so.
    """

    memories: tuple[Memory, ...]
    caches: tuple[Cache, ...] = ()

    @cached_property
    def is_free(self) -> bool:
        """Whether the core waits for none of its memories, as far as is known."""
        return all(memory.access is None or memory.access.is_free for memory in self.memories)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of memories of which nobody has said what they cost."""
        return tuple(memory.name for memory in self.memories if memory.access is None)

    def cache(self, memory: Memory, serves: Literal["instructions", "data"]) -> Cache | None:
        """The cache in front of a memory, None where there is none."""
        place = memory.origin, memory.bytes, serves
        if place not in self._in_front:
            self._in_front[place] = self._cache(memory, serves)
        return self._in_front[place]

    @cached_property
    def _in_front(self) -> dict[tuple[int, int, str], Cache | None]:
        """Of `cache`, what is known: prices ask for the same few memories again and again."""
        return {}

    def _cache(self, memory: Memory, serves: Literal["instructions", "data"]) -> Cache | None:
        parts = [m for m in self.memories if m.origin < memory.end and memory.origin < m.end]
        if not parts:
            return None
        dearest = max(parts, key=lambda m: m.cost)
        return next((c for c in self.caches if c.serves in (serves, "both") and dearest.name in c.memories), None)

    def read(self, memory: Memory, in_sequence: bool = False, size: int = WORD) -> Cycles:
        """Average stall of a load of `size` bytes that isn't cached yet, in a stream (`in_sequence`) or anywhere."""
        access, cache = memory.waits, self.cache(memory, "data")
        if cache is None:
            return access.read * max(1, size // WORD)
        if not in_sequence:
            return access.line(cache.line)
        return access.line(cache.line, True) * (size / cache.line)

    def sweep(
        self, memory: Memory, swept: int, *, times: float = 1, between: int = 0, loads: float | None = None
    ) -> Cycles:
        """Stalls of data that is read from beginning to end, several times over.

        Behind a cache, what was swept is still there the next time if it fits together with what else passes through
        the cache `between` two sweeps; of what is larger by less than the cache, a part is (least recently used lines
        go first in each set, so that a loop over slightly more than a cache misses nearly always).

        Args:
            swept: bytes of the data. times: sweeps. between: bytes of other data in each.
            loads: load instructions of a sweep; None for one per word. Only they count where there is no cache.
        """
        access, cache = memory.waits, self.cache(memory, "data")
        if cache is None:
            return access.read * ((swept / WORD if loads is None else loads) * times)
        lines = -(-swept // cache.line)
        again = lines * max(0.0, times - 1) * self.missing(cache, swept, between)
        first = min(lines, lines * times)
        return access.line(cache.line, True) * max(0.0, first + again - 1) + access.line(cache.line) * min(1.0, first)

    @staticmethod
    def missing(cache: Cache, swept: int, between: int = 0) -> float:
        """Which part of data swept again and again is missing each time, with so many other bytes in between.

        With W ways, a set keeps its lines as long as there are no more than W in the loop, and none if there are
        more: a loop over `total` bytes has floor or ceil of (total / way) lines in a set.
        """
        total, way = swept + between, cache.bytes // cache.ways
        if total <= cache.bytes:
            return 0.0
        return min(1.0, (total - cache.bytes) / way * (cache.ways + 1) / max(1.0, total / way))

    def fetch(self, memory: Memory, code: int, times: float = 1, between: int = 0) -> Cycles:
        """Stalls for fetching a loop's code: `code` bytes, run `times` with `between` bytes of other code in each.

        Where the controller reads code ahead, waiting may overlap with execution: then it costs nothing at best.
        """
        access, cache = memory.waits, self.cache(memory, "instructions")
        if cache is None:
            each, lines = access.read, code / WORD
        else:
            each, lines = access.line(cache.line, True), float(-(-code // cache.line))
        first = (Cycles(0, each.high) if access.read_ahead != "none" else each) * lines
        return first + self.fetch_again(memory, code, times, between)

    def fetch_again(self, memory: Memory, code: int, times: float, between: int = 0) -> Cycles:
        """The part of `fetch` for all rounds but the first."""
        cache, once = self.cache(memory, "instructions"), max(0.0, times - 1)
        again = once * (1.0 if cache is None else self.missing(cache, code, between))
        return self.fetch(memory, code) * again if again else NONE

    def write_back(self, memory: Memory) -> Cycles:
        """Of a line that is written back to make room: hidden by the cache's buffer at best."""
        access, cache = memory.waits, self.cache(memory, "data")
        return NONE if cache is None else Cycles(0, access.line(cache.line, True).high)


def caches_of(tables: Mapping[str, Mapping[str, Any]], memories: Sequence[Memory]) -> tuple[Cache, ...]:
    """The `[cache.*]` tables of a board.toml.

    Raises:
        ValueError: sizes that make no sense, a memory that isn't there or has two. KeyError: a key is missing.
    """
    names = {memory.name for memory in memories}
    found = [
        Cache(name, t["serves"], int(t["bytes"]), int(t["ways"]), int(t["line"]), tuple(map(str, t["memories"])))
        for name, t in tables.items()
    ]
    for cache in found:
        where = f"[cache.{cache.name}]"
        if cache.serves not in SERVES:
            raise ValueError(f"{where}: serves is {', '.join(SERVES[:-1])} or {SERVES[-1]}")
        if min(cache.bytes, cache.ways, cache.line) <= 0 or cache.bytes % (cache.ways * cache.line):
            raise ValueError(f"{where}: bytes are a multiple of ways x line, all positive")
        if cache.line & (cache.line - 1) or cache.sets & (cache.sets - 1):
            raise ValueError(f"{where}: bytes of a line, and bytes / (ways x line), are powers of two")
        if strange := set(cache.memories) - names:
            raise ValueError(f"{where}: there is no [memory.{min(strange)}]")
    for kind in ("instructions", "data"):
        served = [name for cache in found if cache.serves in (kind, "both") for name in cache.memories]
        if twice := {name for name in served if served.count(name) > 1}:
            raise ValueError(f"[memory.{min(twice)}] is behind two caches for {kind}")
    return tuple(found)


def check_accesses(memories: Sequence[Memory], caches: Sequence[Cache]) -> None:
    """What a memory costs is said in the way that it is reached.

    Raises:
        ValueError: it isn't.
    """
    system = MemorySystem(tuple(memories), tuple(caches))
    for memory in memories:
        if memory.access is None or memory.access.is_free:
            continue
        data, code = system.cache(memory, "data"), system.cache(memory, "instructions")
        if (cached := data or code) and not memory.access.fill.high:
            raise ValueError(f"[memory.{memory.name}] is behind [cache.{cached.name}]: access says fill_cycles")
        if data is None and not memory.access.read.high:
            raise ValueError(f"[memory.{memory.name}] is behind no cache for data: access says read_cycles")


NEW_BYTES = 1 / 3
"""Bytes of operands that a kernel takes in per cycle, about: what makes a memory's waiting comparable with its work."""


def with_costs(memories: Sequence[Memory], caches: Sequence[Cache]) -> tuple[Memory, ...]:
    """The memories with `cost` from what their accesses cost, where that is known."""
    system = MemorySystem(tuple(memories), tuple(caches))
    return tuple(
        memory
        if memory.access is None
        else replace(memory, cost=1 + NEW_BYTES / WORD * system.read(memory, in_sequence=True).middle)
        for memory in memories
    )
