"""Which functions and constant arrays are copied to RAM that the core needn't wait for, from what each saves.

Each is an item with bytes and with the cycles of an inference that it saves in each memory. Which go where is an exact
integer programme: most cycles saved within the memories and the user's limits, where a byte of RAM has its price
(`byte_prices`). `fast_memory` makes items of a firmware's functions as they were compiled; `planned_items`
makes them of kernels, before anything is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tinycompile.choices import AUTO
from tinycompile.codegen.copies import Kind
from tinycompile.codegen.linker import FAR_CALLS_BYTES, STACK_GUARD_BYTES
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.kernels.fetching import Code, CodePlaces, code_of
from tinycompile.kernels.waiting import sweeps_of, swept
from tinycompile.layout import SYSTEM_BYTES, Layout, cold_constants, initial_bytes
from tinycompile.options import Options
from tinycompile.planner import Planned
from tinycompile.planner.cp_sat import cp_model
from tinycompile.planner.problem import whole_units
from tinycompile.targets import Board, Memory
from tinycompile.with_memories import CYCLES_PER_BYTE, LEAST_PER_BYTE
from tinycompile.work import node_macs

LEAST_SAVED = 1e-3
"""Of an inference, for which start-up copies anything."""

EFFORT = 2.0
"""Deterministic seconds for the choice."""

STACK_BYTES = 512
"""Of a firmware that isn't compiled yet: no build of the benchmarks needs more than 440."""


@dataclass(frozen=True)
class Item:
    """A function or a constant array.

    Attributes:
        bytes: a multiple of 8.
        saved: cycles of an inference that a copy saves, by memory.
    """

    kind: Kind
    symbol: str
    bytes: int
    saved: Mapping[Memory, float]


@dataclass(frozen=True)
class Used:
    """Bytes of RAM that are in use anyway."""

    arena: int
    states: int
    scratch: int
    stack: int = STACK_BYTES

    @staticmethod
    def by(planned: Sequence[Planned]) -> Used:
        """Models that share the arena's memory."""
        arena, scratch = (
            max(sizes) for sizes in zip(*((p.arena_bytes, p.scratch_bytes) for p in planned), strict=True)
        )
        return Used(arena, sum(each.state_bytes for each in planned), scratch)


@dataclass(frozen=True)
class Room:
    """Where copies may be.

    Attributes:
        memories: bytes in each. total: bytes in all of them. kinds: bytes of a kind that the user asked for.
    """

    memories: Mapping[Memory, int]
    total: int
    kinds: Mapping[Kind, int]

    @staticmethod
    def of(board: Board, layout: Layout, options: Options, used: Used) -> Room:
        """What is left of the board's internal memories.

        Without `--ram` half of it: the other half is left to the application, unless speed is all that counts.
        """
        taken = Counter[Memory]()
        taken[layout.system] += used.stack + STACK_GUARD_BYTES + SYSTEM_BYTES
        taken[layout.arena] += used.arena + used.states
        taken[layout.scratch or layout.arena] += used.scratch
        taken.update({memory: FAR_CALLS_BYTES for memory in board.memories if memory.kind == "code"})
        left = {m: max(0, m.bytes - taken[m]) // 8 * 8 for m in _memories(board, layout.used)}
        if options.ram is None and options.optimize != "speed":
            left = {m: size if m.kind == "code" else size // 16 * 8 for m, size in left.items()}
        total = sum(left.values())
        if options.ram is not None:
            total = max(0, options.ram - used.arena - used.scratch - FAR_CALLS_BYTES) // 8 * 8
        limits: dict[Kind, int | str] = {"code": options.fast_code, "weights": options.fast_weights}
        return Room(left, total, {kind: limit for kind, limit in limits.items() if isinstance(limit, int)})


def byte_prices(options: Options, layout: Layout) -> dict[Kind, float]:
    """Cycles that a byte of a kind has to save; nothing of a kind that was asked for."""
    code = 0.0 if options.fast_code != AUTO else LEAST_PER_BYTE if options.optimize == "speed" else CYCLES_PER_BYTE
    return {"code": code, "weights": 0.0 if options.fast_weights != AUTO or layout.resident else CYCLES_PER_BYTE}


def _memories(board: Board, used: Sequence[Memory]) -> list[Memory]:
    """Internal RAM: what is in use as it is, and what doesn't overlap with that."""
    internal = [m for m in used if m.kind != "flash" and not m.external]
    free = [
        m
        for m in board.memories
        if m.kind != "flash" and not m.external and not any(m.origin < u.end and u.origin < m.end for u in internal)
    ]
    return [*internal, *free]


def constant_saving(
    kernel: Kernel, macs: int, constant: Constant, layout: Layout, board: Board, memories: Sequence[Memory], asked: bool
) -> dict[Memory, float]:
    """Cycles that a copy of a constant array saves, by memory; `asked` as for functions."""
    flash, system, sweeps = layout.flash, board.memory_system, sweeps_of(kernel, macs)
    least = LEAST * constant.bytes * sweeps.times if asked else 0.0
    if system.is_free:
        return dict.fromkeys(memories, least)
    waits = {memory: swept(system, memory, constant.bytes, sweeps) for memory in (flash, *memories)}
    return {memory: waits[flash] - waits[memory] + least for memory in memories}


def code_saving(
    code: Code, layout: Layout, board: Board, memories: Sequence[Memory], asked: bool
) -> dict[Memory, float]:
    """Cycles that a copy of a part of a kernel's code saves, by memory.

    Args:
        asked: copies are wanted, so that those that are executed most count where the memories cost nothing.
    """
    system, core = board.memory_system, board.core
    least = LEAST * code.share * code.kernel.instructions if asked else 0.0
    if system.is_free:
        return dict.fromkeys(memories, least)
    waits = {memory: code.wait(memory, system, core).middle for memory in (layout.flash, *memories)}
    return {memory: waits[layout.flash] - waits[memory] + least for memory in memories}


LEAST = 1e-3
"""Cycles that an instruction, or a byte of weights, saves at least where copies were asked for: order among equals."""


def symbol_of(model: int, layer: int, array: int) -> str:
    """Of an array that has no name yet: the model's number, the layer's and its own."""
    return f"{model}.{layer}.{array}"


BYTES_PER_INSTRUCTION = 3
"""Thumb-2 has 2 and 4."""


@dataclass(frozen=True, eq=False)
class CodeSizes:
    """Of a model's functions, where they are known.

    Attributes:
        functions: of each layer its own and those that this calls, in the same file; none where they aren't known.
            Different ones have different names.
        sizes: bytes by name.
    """

    functions: Sequence[Sequence[str]]
    sizes: Mapping[str, int]


def layer_items(
    kernel: Kernel,
    names: Sequence[str],
    size: Mapping[str, int],
    layout: Layout,
    board: Board,
    memories: Sequence[Memory],
    *,
    asked: bool,
) -> Iterator[Item]:
    """A layer's functions, as they were compiled.

    Where nobody has counted a kernel's loops, its instructions are shared among its functions by their size; each is a
    loop of its own.

    Args:
        names: of the functions. size: bytes of each.
        asked: they are wanted, so that those that are executed most count where the memories cost nothing.
    """
    system, flash, hot = board.memory_system, layout.flash, {function.name: function for function in kernel.hot or ()}
    whole = sum(size[name] for name in names)
    for name in names:
        if kernel.hot is None:
            executed = kernel.instructions * size[name] / whole
            times = max(1.0, BYTES_PER_INSTRUCTION * executed / size[name])
            waits = {m: system.fetch(m, size[name], times).middle for m in (flash, *memories)}
            least = LEAST * executed if asked else 0.0
            saved = {m: waits[flash] - waits[m] + least for m in memories}
        else:
            code = Code(kernel, name, size[name], hot.get(name), size[name] / whole)
            saved = code_saving(code, layout, board, memories, asked)
        yield Item("code", name, whole_units(size[name]), saved)


def planned_items(
    planned: Planned,
    layout: Layout,
    board: Board,
    room: Room,
    apart: frozenset[Constant] = frozenset(),
    model: int = 0,
    code_sizes: CodeSizes | None = None,
) -> list[Item]:
    """Of a model that isn't compiled yet: hot functions, the rest of each function, and constants.

    Args:
        apart: constants that aren't in internal flash.
        model: its number.
        code_sizes: of its functions, where they are known.
    """
    found, memories, asked = list[Item](), list(room.memories), "code" in room.kinds
    for layer, (kernel, macs) in enumerate(zip(planned.kernels, node_macs(planned.graph), strict=True)):
        if kernel.function is None:
            continue
        names = () if code_sizes is None else code_sizes.functions[layer]
        if code_sizes is not None and names:
            found += layer_items(kernel, names, code_sizes.sizes, layout, board, memories, asked=asked)
        for code in () if names else code_of(kernel):
            saved = code_saving(code, layout, board, memories, asked)
            found.append(Item("code", code.name or kernel.function.stem, whole_units(code.bytes), saved))
        ram = [memory for memory in memories if memory.kind == "ram"]
        for array, constant in enumerate(kernel.constants):
            if constant not in apart and constant.lent is None:
                saved = constant_saving(kernel, macs, constant, layout, board, ram, "weights" in room.kinds)
                found.append(Item("weights", symbol_of(model, layer, array), whole_units(constant.bytes), saved))
    return merged(found)


@dataclass(frozen=True)
class Estimate:
    """What start-up would copy of models that are planned but not compiled.

    Attributes:
        chosen: items and their memories. bytes: of those of a kind.
        price: what the models cost then: all kernels, with what they wait for code that stays in flash, and the bytes.
        left: cycles that other copies would save if there were room.
        code_sizes: of the only model, where they are known.
    """

    chosen: tuple[tuple[Item, Memory], ...]
    bytes: Mapping[Kind, int]
    price: float
    left: float
    code_sizes: CodeSizes | None = None

    @staticmethod
    def of(
        planned: Sequence[Planned],
        layout: Layout,
        board: Board,
        options: Options,
        code_sizes: CodeSizes | None = None,
        stack: int = STACK_BYTES,
    ) -> Estimate:
        """Nothing where `--optimize ram` asks for that, or where too little would be saved.

        Args:
            code_sizes: of the only model, where they are known. stack: of the firmware.
        """
        asked = tuple(planned), layout, board, options, code_sizes, stack
        if not _last or _last[0][0] != asked:
            _last[:] = [(asked, _estimated(*asked))]
        return _last[0][1]

    def code_places(self, layer: int, kernel: Kernel, layout: Layout) -> CodePlaces:
        """Where the code of a layer's kernel would be."""
        copied, known = {item.symbol: memory for item, memory in self.chosen if item.kind == "code"}, self.code_sizes
        if known is not None and known.functions[layer]:
            return CodePlaces.by_size(kernel, known.functions[layer], known.sizes, copied, layout.flash)
        stem = kernel.function.stem if kernel.function else ""
        return CodePlaces(layout.flash, copied, {copied.get(stem, layout.flash): 1.0})

    @property
    def sections(self) -> dict[tuple[Kind, Memory], int]:
        """Bytes by kind and memory."""
        found = Counter[tuple[Kind, Memory]]()
        for item, memory in self.chosen:
            found[item.kind, memory] += item.bytes
        return dict(found)

    @cached_property
    def code(self) -> frozenset[str]:
        """Symbols of functions that would be copied."""
        return frozenset(item.symbol for item, _ in self.chosen if item.kind == "code")

    @cached_property
    def arrays(self) -> dict[str, Memory]:
        """Where constants would be copied to, by `symbol_of`."""
        return {item.symbol: memory for item, memory in self.chosen if item.kind == "weights"}


_last: list[tuple[object, Estimate]] = []
"""The last answer: who chooses a plan by it and who prices that ask the same."""


def _estimated(
    planned: Sequence[Planned],
    layout: Layout,
    board: Board,
    options: Options,
    code_sizes: CodeSizes | None,
    stack: int,
) -> Estimate:
    room = Room.of(board, layout, options, replace(Used.by(planned), stack=stack))
    prices, apart = byte_prices(options, layout), _apart(planned, board, options)
    items = merged(
        item
        for model, each in enumerate(planned)
        for item in planned_items(each, layout, board, room, apart, model, code_sizes)
    )
    chosen = [] if options.optimize == "ram" else choose(items, room, prices)
    work = sum(each.instructions for each in planned)
    if not room.kinds and sum(item.saved[memory] for item, memory in chosen) < LEAST_SAVED * work:
        chosen = []
    found = Counter[Kind]({"code": 0, "weights": 0})
    for item, _ in chosen:
        found[item.kind] += item.bytes
    kernels = [kernel for each in planned for kernel in each.kernels]
    code = [(item, memory) for item, memory in chosen if item.kind == "code"]
    paid = sum(prices["code"] * item.bytes - item.saved[memory] for item, memory in code)
    taken = {item.symbol for item, _ in code}
    best = [(max(i.saved.values(), default=0.0), i) for i in items if i.kind == "code" and i.symbol not in taken]
    left = sum(max(0.0, saved - prices["code"] * item.bytes) for saved, item in best)
    price = sum(kernel.price - kernel.fetches for kernel in kernels) + _fetched(kernels, layout, board) + paid
    return Estimate(tuple(chosen), found, price, left, code_sizes)


def _apart(planned: Sequence[Planned], board: Board, options: Options) -> frozenset[Constant]:
    """Constants in external flash, or all of them where they aren't part of the code."""
    kernels = [kernel for each in planned for kernel in each.kernels]
    if options.weights == "separate":
        return frozenset(constant for kernel in kernels for constant in kernel.constants)
    graphs = [each.graph for each in planned]
    macs = [each for graph in graphs for each in node_macs(graph)]
    return frozenset(cold_constants(board, kernels, macs, initial_bytes(graphs)))


def _fetched(kernels: Iterable[Kernel], layout: Layout, board: Board) -> float:
    """Cycles of waiting for code where none is copied."""
    system, core = board.memory_system, board.core
    codes = [code for kernel in kernels if kernel.function for code in code_of(kernel)]
    return sum(code.wait(layout.flash, system, core).middle for code in codes)


def merged(items: Iterable[Item]) -> list[Item]:
    """What several layers or models use is one item."""
    found = dict[tuple[Kind, str], Item]()
    for item in items:
        known = found.get((item.kind, item.symbol))
        if known is not None:
            item = replace(item, saved={m: known.saved[m] + cycles for m, cycles in item.saved.items()})
        found[item.kind, item.symbol] = item
    return list(found.values())


def choose(items: Sequence[Item], room: Room, prices: Mapping[Kind, float]) -> list[tuple[Item, Memory]]:
    """What is copied, and where: most cycles saved.

    Args:
        prices: cycles that a byte has to save.
    """
    worth = [
        (i, m, i.saved[m] - prices[i.kind] * i.bytes) for i in items for m in i.saved if i.bytes <= room.memories[m]
    ]
    worth = [(item, memory, gain) for item, memory, gain in worth if gain > 0]
    best = dict[str, tuple[Item, Memory, float]]()
    for each in worth:
        if each[0].symbol not in best or each[2] > best[each[0].symbol][2]:
            best[each[0].symbol] = each
    everything = [(item, memory) for item, memory, _ in best.values()]
    return everything if fits(everything, room) else _exact(worth, room)


def fits(chosen: Iterable[tuple[Item, Memory]], room: Room) -> bool:
    kinds, memories = Counter[Kind](), Counter[Memory]()
    for item, memory in chosen:
        kinds[item.kind] += item.bytes
        memories[memory] += item.bytes
    return (
        memories.total() <= room.total
        and all(size <= room.memories[memory] for memory, size in memories.items())
        and all(kinds[kind] <= limit for kind, limit in room.kinds.items())
    )


def _exact(worth: Sequence[tuple[Item, Memory, float]], room: Room) -> list[tuple[Item, Memory]]:
    """By CP-SAT: each item in at most one memory; one worker and its own time, so that every machine finds the same."""
    cp = cp_model()
    model = cp.CpModel()
    literals = [model.new_bool_var(f"{item.symbol} in {memory.name}") for item, memory, _ in worth]
    by_item = defaultdict[str, list[int]](list)
    for index, (item, _, _) in enumerate(worth):
        by_item[f"{item.kind} {item.symbol}"].append(index)

    def size(indices: Iterable[int]) -> Any:
        return sum(worth[i][0].bytes * literals[i] for i in indices)

    for indices in by_item.values():
        model.add_at_most_one(literals[i] for i in indices)
    for memory, limit in room.memories.items():
        model.add(size(i for i, each in enumerate(worth) if each[1] == memory) <= limit)
    for kind, limit in room.kinds.items():
        model.add(size(i for i, each in enumerate(worth) if each[0].kind == kind) <= limit)
    model.add(size(range(len(worth))) <= room.total)
    model.maximize(sum(max(1, round(1000 * gain)) * x for (_, _, gain), x in zip(worth, literals, strict=True)))
    solver = cp.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.catch_sigint_signal = False
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = EFFORT
    if solver.solve(model) not in (cp.OPTIMAL, cp.FEASIBLE):
        return []
    return [(item, memory) for (item, memory, _), x in zip(worth, literals, strict=True) if solver.value(x)]
