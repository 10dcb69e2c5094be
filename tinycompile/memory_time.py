"""What a planned layer waits for its board's memories, without running it: a closed form of what `profile` simulates.

A kernel says how it walks through its constants (`Kernel.sweeps`) and how much code its loops have; the layout says
which memories hold what, and the board's memory system what a line costs. From these follow the lines that miss:

* constants: those of a sweep that the cache doesn't keep until the next one;
* code: all of it once in a call, and a part of each round of loops that are larger than the cache in front;
* tensors and working memory in RAM behind a cache: inputs and outputs once, or as often as the kernel goes through
  them if they don't fit, and what each sweep over the constants reads and writes besides.

Between calls for some rows of a stage, other layers run: each call begins with a cold cache.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, factorial, prod

from tinycompile.ir import Graph, Node, Site, TensorType
from tinycompile.kernels.base import Kernel, Sweeps
from tinycompile.kernels.fetching import CodePlaces, fetch_waits
from tinycompile.kernels.waiting import sweeps_of
from tinycompile.layout import SYSTEM_BYTES, Layout
from tinycompile.planner import Planned
from tinycompile.targets import Board, Cache, Core, Cycles, Memory, MemorySystem

KINDS: tuple[str, ...] = ("fetch", "constants", "activations", "external")
"""What is waited for: code; weights, tables and literals on the chip; RAM on the chip; any of these outside of it."""


@dataclass(frozen=True)
class Places:
    """The memories of a layer's parts.

    Attributes:
        constants: bytes in each.
    """

    code: CodePlaces
    constants: Mapping[Memory, int]
    scratch: Memory


@dataclass(frozen=True)
class Tensors:
    """What a layer reads and writes.

    Attributes:
        read, written: bytes of its computed operands and of its results.
        channels: elements along the last axis of the largest operand. made: the same of the largest result.
        rows: of the largest operand, if it is an image; else 1.
        parts: which part of the bytes is in which memory.
    """

    read: int
    written: int
    channels: int = 1
    made: int = 1
    rows: int = 1
    parts: Mapping[Memory, float] = field(default_factory=dict[Memory, float])


def kind_of(memory: Memory, *, code: bool = False) -> str:
    """Which of `KINDS` waiting for a memory is."""
    if memory.external:
        return "external"
    return "fetch" if code else "constants" if memory.kind == "flash" else "activations"


def layer_waiting(
    kernel: Kernel, macs: int, tensors: Tensors, places: Places, system: MemorySystem, core: Core
) -> dict[str, Cycles]:
    """Cycles of waiting in one inference, by kind.

    Args:
        kernel: with the instructions of all its calls.
        macs: of its node.
    """
    found = dict.fromkeys(KINDS, Cycles())
    if kernel.function is None or system.is_free:
        return found
    for memory, cycles in fetch_waits(kernel, places.code, system, core).items():
        found[kind_of(memory, code=True)] += cycles
    sweeps = sweeps_of(kernel, macs)
    for memory, size in places.constants.items():
        found[kind_of(memory)] += _constants(memory, size, sweeps, kernel, places, system, core)
    for memory, part in tensors.parts.items():
        found[kind_of(memory)] += _tensors(kernel, tensors, memory, system) * part
    found[kind_of(places.scratch)] += _scratch(kernel, sweeps, tensors.made, places.scratch, system)
    return found


def _constants(
    memory: Memory, size: int, sweeps: Sweeps, kernel: Kernel, places: Places, system: MemorySystem, core: Core
) -> Cycles:
    cache = system.cache(memory, "data")
    piece = min(size, sweeps.piece or size)
    if not piece:
        return Cycles()
    between = sweeps.between if _behind(cache, places.scratch, system) else 0
    if cache is not None and cache.serves == "both":
        between += min(kernel.code_bytes, cache.bytes // 4)  # its loops
    found = system.sweep(memory, piece, times=sweeps.times, between=between) * (kernel.calls * size / piece)
    if memory.waits.read_ahead == "all":
        low, high = core.issue.cycles_per_instruction
        found = Cycles(max(0.0, found.low - kernel.instructions * (low + high) / 2), found.high)
    return found


def _behind(cache: Cache | None, memory: Memory, system: MemorySystem) -> bool:
    """Whether what lies there goes through the same cache."""
    return cache is not None and system.cache(memory, "data") == cache


def _tensors(kernel: Kernel, tensors: Tensors, arena: Memory, system: MemorySystem) -> Cycles:
    """Of a layer's operands and results: each line is filled once, and written back if it is a result's.

    A kernel that goes through the image several times, for some channels in each, fills it each time if what a call
    goes through is larger than the cache; of many channels it touches one line in each pixel.
    """
    cache = system.cache(arena, "data")
    if cache is None:
        reads, writes = tensors.read / 4, tensors.written / 4
        return arena.waits.read * reads + arena.waits.write * writes
    each = arena.waits.line(cache.line, True)
    shared = min(tensors.read, tensors.written) if kernel.distances else 0  # the result takes the operand's memory
    both = (tensors.read + tensors.written - shared) / kernel.calls
    if kernel.calls == 1 and both + kernel.scratch_bytes <= cache.bytes:
        return Cycles()  # they were written just before
    reads, writes = float(tensors.read), float(tensors.written)
    if kernel.operand_sweeps > 1:
        again = conflicts(cache, both + kernel.scratch_bytes)
        reads *= 1 + max(0.0, kernel.operand_sweeps * min(1.0, cache.line / tensors.channels) - 1) * again
        again = conflicts(cache, tensors.written / kernel.calls + kernel.scratch_bytes)
        writes *= 1 + max(0.0, kernel.result_sweeps * min(1.0, cache.line / tensors.made) - 1) * again
        reads *= 1 + (kernel.calls > 1) * (WINDOW - 1) * kernel.calls / tensors.rows
    stores = (each + system.write_back(arena)) * (writes / cache.line)
    return each * (reads / cache.line) + Cycles(0, stores.high)


def tensors_waiting(kernel: Kernel, site: Site, arena: Memory, system: MemorySystem) -> Cycles:
    """Cycles of waiting for a layer's operands and results, and for its working memory, all in this memory."""
    pairs = zip(site.sig.inputs, site.constants, strict=True)
    tensors = _tensors_of_types([t for t, constant in pairs if constant is None], site.sig.outputs, {arena: 1.0})
    sweeps = sweeps_of(kernel, site.node.op.macs(site.sig))
    return _tensors(kernel, tensors, arena, system) + _scratch(kernel, sweeps, tensors.made, arena, system)


WINDOW = 3
"""Rows of the windows of kernels with several sweeps, of which a call reads again all but one."""


def _scratch(kernel: Kernel, sweeps: Sweeps, made: int, scratch: Memory, system: MemorySystem) -> Cycles:
    """Of working memory that each sweep over the constants goes through, and of copies of constants in it."""
    cache, size, found = system.cache(scratch, "data"), kernel.constant_bytes, Cycles()
    walk = sweeps
    if kernel.copies is not None:
        walk = kernel.copies
        piece = min(size, walk.piece or size)
        if piece:
            each = system.sweep(scratch, piece, times=walk.times, between=walk.between)
            found += each * (kernel.calls * size / piece)
    if cache is None or not walk.between or not size:
        return found
    piece = min(size, walk.piece or size)
    pairs = max(1, made * piece // size // 2)  # of results: for each the operands are read again, with its constants
    first = conflicts(cache, walk.between + piece)
    later = conflicts(cache, walk.between + piece / pairs)
    lines = kernel.calls * walk.times * size / piece * walk.between / cache.line * (first + (pairs - 1) * later)
    return found + scratch.waits.line(cache.line, True) * lines + system.write_back(scratch) * (lines / 8)


def conflicts(cache: Cache, size: float) -> float:
    """Which part of several arrays of so many bytes together is missing when they are read again and again.

    Where they lie to each other is by chance, so that a set has about Poisson many lines of them; one is missing if
    there are as many others as ways.
    """
    mean = size * cache.ways / cache.bytes
    return 1.0 - exp(-mean) * sum(mean**n / factorial(n) for n in range(cache.ways))


def layers_waiting(
    graph: Graph,
    layers: Sequence[tuple[Node, Kernel]],
    constants: Sequence[Mapping[Memory, int]],
    code: Sequence[CodePlaces],
    layout: Layout,
    board: Board,
    planned: Planned,
) -> list[dict[str, Cycles]]:
    """Of each layer of a graph.

    Args:
        constants: bytes of each layer's constants by memory. code: where each layer's code is.
        layout: of the rest.
        planned: where in the arena values and each layer's working memory are.
    """
    found = list[dict[str, Cycles]]()
    zones = Zones(layout, board, planned)
    for step, ((node, kernel), held, fetched) in enumerate(zip(layers, constants, code, strict=True)):
        places = Places(fetched, held, layout.scratch or zones.of_scratch(step, kernel.scratch_bytes))
        macs = node.op.macs(graph.signature(node))
        tensors = _tensors_of(node, graph, zones)
        found.append(layer_waiting(kernel, macs, tensors, places, board.memory_system, board.core))
    return found


class Zones:
    """Which memory a part of the arena is in, where that spans several: stack and data come first in the run."""

    def __init__(self, layout: Layout, board: Board, planned: Planned) -> None:
        arena = layout.arena
        self._parts = [m for m in board.memories if m.origin < arena.end and arena.origin < m.end]
        self._arena, self._planned = arena, planned
        self._first = arena.origin + (SYSTEM_BYTES if layout.system == arena else 0)

    def _memory(self, offset: int | None, size: int) -> Memory:
        """Of `size` bytes at an offset: that of the last one. The whole run's where the place isn't known."""
        last = self._first + (offset or 0) + max(size, 1) - 1
        if offset is None:
            return self._arena
        return next((m for m in self._parts if m.origin <= last < m.end), self._arena)

    @property
    def _are_several(self) -> bool:
        """Else nobody has to know where anything is."""
        return len(self._parts) > 1

    def of(self, name: str, size: int) -> Memory:
        """Of a value."""
        return self._memory(self._planned.offsets.get(name), size) if self._are_several else self._arena

    def of_scratch(self, step: int, size: int) -> Memory:
        """Of a layer's working memory."""
        return self._memory(self._planned.scratch_offsets[step], size) if self._are_several else self._arena


def _tensors_of(node: Node, graph: Graph, zones: Zones) -> Tensors:
    names = [name for name in dict.fromkeys(node.inputs) if name and name not in graph.constants]
    read = [graph.types[name] for name in names]
    parts, whole = defaultdict[Memory, float](float), max(1, sum(graph.types[n].bytes for n in (*names, *node.outputs)))
    for name in (*names, *node.outputs):
        size = graph.types[name].bytes
        parts[zones.of(name, size)] += size / whole
    return _tensors_of_types(read, [graph.types[name] for name in node.outputs], dict(parts))


def _tensors_of_types(
    read: Sequence[TensorType], written: Sequence[TensorType], parts: Mapping[Memory, float]
) -> Tensors:
    largest = max((t.shape for t in read), key=prod, default=())
    return Tensors(
        sum(t.bytes for t in read),
        sum(t.bytes for t in written),
        largest[-1] if largest else 1,
        max((t.shape[-1] for t in written if t.shape), default=1),
        largest[1] if len(largest) == IMAGE_AXES else 1,
        parts,
    )


IMAGE_AXES = 4
"""Of an image with its batch."""


def total(waiting: Sequence[Mapping[str, Cycles]]) -> dict[str, Cycles]:
    """Of several layers, by kind."""
    return {kind: sum((each[kind] for each in waiting), Cycles()) for kind in KINDS}
