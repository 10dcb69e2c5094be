"""Caches of a board and the memories behind them: what fetching, reading and writing costs beyond the instructions.

A board.toml says it: `[cache.<name>]` tables, and `access` of each memory (`access_time.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from tinycompile.targets.access_time import Cycles
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


@dataclass(frozen=True, eq=False)
class Costs:
    """What all reads of data, or all fetches of code, of a memory cost by; each is given as two bounds.

    Plain numbers, as prices ask for thousands: `MemorySystem.sweep` and `fetch` say what they mean.

    Attributes:
        cache: in front of it.
        first, following: for a line of the cache, and for one that follows the one before; for code both the latter.
            For a word where there is no cache.
    """

    cache: Cache | None
    first: tuple[float, float]
    following: tuple[float, float]

    @cached_property
    def is_free(self) -> bool:
        """Whether the core never waits."""
        return not (self.first[1] or self.following[1])

    @staticmethod
    def of(memory: Memory, cache: Cache | None, serves: Literal["instructions", "data"]) -> Costs:
        access = memory.waits
        if cache is None:
            first = following = access.read
        else:
            first, following = access.line(cache.line), access.line(cache.line, True)
        if serves == "data":
            return Costs(cache, (first.low, first.high), (following.low, following.high))
        fetched = (0.0 if access.read_ahead != "none" else following.low), following.high
        return Costs(cache, fetched, fetched)

    def sweep(self, swept: int, times: float = 1, between: int = 0, loads: float | None = None) -> tuple[float, float]:
        """As `MemorySystem.sweep`."""
        if self.is_free:
            return 0.0, 0.0
        cache, (low, high), (next_low, next_high) = self.cache, self.first, self.following
        if cache is None:
            count = (swept / WORD if loads is None else loads) * times
            return low * count, high * count
        lines = -(-swept // cache.line)
        again = lines * max(0.0, times - 1) * MemorySystem.missing(cache, swept, between)
        first = min(lines, lines * times)
        following, alone = max(0.0, first + again - 1), min(1.0, first)
        return next_low * following + low * alone, next_high * following + high * alone

    def fetch(self, code: int) -> tuple[float, float]:
        """As `MemorySystem.fetch`, for a single round."""
        if self.is_free:
            return 0.0, 0.0
        (low, high), cache = self.following, self.cache
        lines = code / WORD if cache is None else float(-(-code // cache.line))
        return low * lines, high * lines

    def fetch_again(self, code: int, times: float, between: int = 0) -> tuple[float, float]:
        """The part of `MemorySystem.fetch` for all rounds but the first."""
        once, cache = max(0.0, times - 1), self.cache
        if self.is_free or not once:
            return 0.0, 0.0
        again = once * (1.0 if cache is None else MemorySystem.missing(cache, code, between))
        if not again:
            return 0.0, 0.0
        low, high = self.fetch(code)
        return low * again, high * again


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
        return Cycles(*self.costs(memory, "data").sweep(swept, times, between, loads))

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
        costs = self.costs(memory, "instructions")
        once, again = costs.fetch(code), costs.fetch_again(code, times, between)
        return Cycles(once[0] + again[0], once[1] + again[1])

    def costs(self, memory: Memory, serves: Literal["instructions", "data"]) -> Costs:
        """Of all reads or fetches."""
        place = memory.name, memory.origin, memory.bytes, serves
        known = self._known_costs.get(place)
        if known is None:
            known = self._known_costs[place] = Costs.of(memory, self.cache(memory, serves), serves)
        return known

    @cached_property
    def _known_costs(self) -> dict[tuple[str, int, int, str], Costs]:
        return {}

    def write_back(self, memory: Memory) -> Cycles:
        """Of a line that is written back to make room: hidden by the cache's buffer at best."""
        access, cache = memory.waits, self.cache(memory, "data")
        return Cycles() if cache is None else Cycles(0, access.line(cache.line, True).high)


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
