"""What the core waits for while an inference runs: caches simulated in QEMU (`caches.c`), priced by the board's costs.

The firmware that QEMU runs is linked for a stand-in with other addresses than the chip's. Its sections are those of the
chip's firmware, so that each address is taken for the one that it has in the section of the same name there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from tinycompile.build import Build
from tinycompile.elf import sections
from tinycompile.memory_time import KINDS, kind_of
from tinycompile.report.timing import as_bounds
from tinycompile.targets import Board, Cache, Cycles, Memory, MemorySystem


@dataclass(frozen=True)
class Region:
    """Addresses [begin, end) of the emulated machine, which on the chip begin at `chip`, in `memory`."""

    begin: int
    end: int
    chip: int
    memory: Memory


@dataclass(frozen=True)
class Fills:
    """Lines that were filled; how many of them follow the one before; cycles of waiting in which instructions ran."""

    all: int
    streamed: int
    hidden: int


@dataclass(frozen=True)
class Counts:
    """Accesses to one region at one place in the code, with the fields of `struct counts` of `caches.c`.

    Attributes:
        fetched: lines, or words where code isn't cached.
    """

    fetched: int
    fetches: Fills
    loads: int
    stores: int
    loaded: Fills
    stored: Fills
    write_backs: int


@dataclass(frozen=True)
class Simulation:
    """Counts of one inference by (place, region)."""

    regions: tuple[Region, ...]
    counts: Mapping[tuple[int, int], Counts]


class Waiting:
    """Cycles by what is waited for, and lines filled by memory, of a layer or of all."""

    def __init__(self) -> None:
        self.cycles: dict[str, Cycles] = dict.fromkeys(KINDS, Cycles())
        self.fills: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))

    def __add__(self, other: Waiting) -> Waiting:
        found = Waiting()
        for each in (self, other):
            for kind, cycles in each.cycles.items():
                found.cycles[kind] += cycles
            for memory, counts in each.fills.items():
                for what, number in counts.items():
                    found.fills[memory][what] += number
        return found

    @property
    def total(self) -> Cycles:
        return sum(self.cycles.values(), Cycles())

    def as_dict(self) -> dict[str, Any]:
        cycles = {kind: as_bounds(c) for kind, c in self.cycles.items()}
        return {"cycles": cycles, "total": as_bounds(self.total), "fills": {m: dict(c) for m, c in self.fills.items()}}


def regions_of(build: Build) -> tuple[Region, ...]:
    """The sections of the firmware that QEMU runs, with the memories of the board that hold them."""
    emulated, chip = (sections(build.elf(name)) for name in ("firmware_qemu.elf", "firmware.elf"))
    pairs = [(emulated[name], chip[name][0]) for name in emulated if name in chip]
    weights = build.report.get("weights_file")
    if weights:
        pairs.append(((weights["qemu_address"], weights["bytes"]), weights["address"]))
    found = list[Region]()
    for (begin, size), address in pairs:
        for memory in build.board.memories:  # a section may go on in the memory behind
            first, end = max(address, memory.origin), min(address + size, memory.end)
            if first < end:
                found.append(Region(begin + first - address, begin + end - address, first, memory))
    return tuple(sorted(found, key=lambda region: region.begin))


def options_of(board: Board, regions: Sequence[Region]) -> list[str]:
    """The plugin's arguments for a board's caches and where its memories are."""
    system = board.memory_system
    low, high = board.core.issue.cycles_per_instruction
    options = [f"pace={round(50 * (low + high))}"]
    options += [f"cache={cache.bytes}:{cache.ways}:{cache.line}" for cache in system.caches]
    for region in regions:
        code, data = system.cache(region.memory, "instructions"), system.cache(region.memory, "data")
        stream = max((region.memory.waits.line(c.line, True).high for c in (code, data) if c), default=0.0)
        places = f"{region.begin:#x}:{region.end:#x}:{region.chip:#x}"
        options.append(f"region={places}:{_index(system, code)}:{_index(system, data)}:{round(stream)}")
    return options


def _index(system: MemorySystem, cache: Cache | None) -> int:
    return -1 if cache is None else system.caches.index(cache)


def parse(text: str, regions: Sequence[Region]) -> Simulation:
    """What the plugin wrote.

    Raises:
        ValueError: it isn't that.
    """
    counts = dict[tuple[int, int], Counts]()
    for line in text.splitlines():
        word, place, region, *numbers = line.split()
        if word != "count" or len(numbers) != FIELDS:
            raise ValueError(f"not a line of the cache plugin: {line!r}")
        counts[int(place, 16), int(region)] = _counts([int(number) for number in numbers])
    return Simulation(tuple(regions), counts)


FIELDS = len(fields(Counts)) + 3 * (len(fields(Fills)) - 1)


def _counts(n: Sequence[int]) -> Counts:
    return Counts(n[0], Fills(*n[1:4]), n[4], n[5], Fills(*n[6:9]), Fills(*n[9:12]), n[12])


def waiting_of(simulation: Simulation, system: MemorySystem, layer_of: Mapping[int, int]) -> dict[int, Waiting]:
    """What each layer waits for.

    Args:
        layer_of: the layer of each place.
    """
    found = defaultdict[int, Waiting](Waiting)
    for (place, number), counts in simulation.counts.items():
        waiting, memory = found[layer_of[place]], simulation.regions[number].memory
        for what, count in _filled(counts, system, memory).items():
            if count:
                waiting.fills[memory.name][what] += count
        if memory.access is None:
            continue
        waiting.cycles[kind_of(memory, code=True)] += _fetching(counts, system, memory)
        waiting.cycles[kind_of(memory)] += _using(counts, system, memory)
    return dict(found)


def _filled(counts: Counts, system: MemorySystem, memory: Memory) -> dict[str, int]:
    """Fills behind caches; single reads without."""
    code = counts.fetches.all if system.cache(memory, "instructions") else 0
    if system.cache(memory, "data") is None:
        waits = memory.waits.read.high
        return {"code": code, "reads": counts.loads if waits else 0}
    return {"code": code, "data": counts.loaded.all + counts.stored.all, "write_backs": counts.write_backs}


def _filling(fills: Fills, memory: Memory, line: int, hidden: bool) -> Cycles:
    access = memory.waits
    found = access.line(line) * (fills.all - fills.streamed) + access.line(line, True) * fills.streamed
    return Cycles(max(0.0, found.low - fills.hidden), found.high) if hidden else found


def _fetching(counts: Counts, system: MemorySystem, memory: Memory) -> Cycles:
    cache, ahead = system.cache(memory, "instructions"), memory.waits.read_ahead != "none"
    if cache is not None:
        return _filling(counts.fetches, memory, cache.line, ahead)
    each = memory.waits.read * counts.fetched
    return Cycles(0, each.high) if ahead else each


def _using(counts: Counts, system: MemorySystem, memory: Memory) -> Cycles:
    """Of loads and stores; a store's fill and a line written back are hidden by buffers at best."""
    cache = system.cache(memory, "data")
    if cache is None:
        return memory.waits.read * counts.loads + memory.waits.write * counts.stores
    loads = _filling(counts.loaded, memory, cache.line, memory.waits.read_ahead == "all")
    stores = _filling(counts.stored, memory, cache.line, False)
    return loads + Cycles(0, stores.high) + system.write_back(memory) * counts.write_backs
