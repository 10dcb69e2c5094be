"""Which functions and weights start-up copies from flash to memory that the core needn't wait for.

Each is an item with bytes and with the cycles of an inference that it saves in each memory, by what the board's file
says of its memories (`targets.memory_system`). Which go where is an exact integer programme: most cycles saved within
the memories and the user's limits, where a byte of RAM has to save `CYCLES_PER_BYTE` cycles.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinycompile.codegen.copies import Copies, Copy, Kind
from tinycompile.codegen.linker import FAR_CALLS_BYTES, STACK_GUARD_BYTES
from tinycompile.codegen.program import Program
from tinycompile.codegen.project import Project
from tinycompile.elf import calls_of, reached, sizes
from tinycompile.kernels.fetching import Code
from tinycompile.kernels.waiting import sweeps_of, swept
from tinycompile.layout import SYSTEM_BYTES
from tinycompile.options import Options
from tinycompile.planner.cp_sat import cp_model
from tinycompile.planner.problem import whole_units
from tinycompile.residents import CYCLES_PER_BYTE
from tinycompile.targets import Board, Memory
from tinycompile.work import node_macs

LEAST_SAVED = 1e-3
"""Of an inference, for which start-up copies anything."""

BYTES_PER_INSTRUCTION = 3
"""Thumb-2 has 2 and 4."""

EFFORT = 2.0
"""Deterministic seconds for the choice."""


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
class Room:
    """Where copies may be.

    Attributes:
        memories: bytes in each. total: bytes in all of them. kinds: bytes of a kind that the user asked for.
    """

    memories: Mapping[Memory, int]
    total: int
    kinds: Mapping[Kind, int]


def with_copies(project: Project, folder: Path, options: Options, stack: int) -> Project:
    """The project with what is worth copying.

    Args:
        folder: of the project, with its object files and their call graphs.
        stack: bytes that the firmware needs.
    """
    room = _room(project, options, stack)
    if options.optimize == "ram" or not room.total or not any(room.memories.values()):
        return project
    asked = room.kinds.keys()
    found = list[Item]()
    functions = {p.model: sizes(folder / "build" / f"{p.model}.o", ()).functions for p in project.programs}
    for program in project.programs:
        found += _functions(program, project, folder, functions, list(room.memories), asked="code" in asked)
        found += _constants(program, project, list(room.memories), "weights" in asked)
    prices: dict[Kind, float] = {
        "code": 0.0 if "code" in asked else CYCLES_PER_BYTE,
        "weights": 0.0 if "weights" in asked or project.layout.resident else CYCLES_PER_BYTE,
    }
    chosen = choose(_merged(found), room, prices)
    work = sum(layer.kernel.instructions for program in project.programs for layer in program.layers)
    if not asked and sum(item.saved[memory] for item, memory in chosen) < LEAST_SAVED * work:
        return project
    copies = _copies(chosen)
    memories = tuple(dict.fromkeys(copy.memory for copy in copies))
    return replace(project, copies=copies, layout=replace(project.layout, fast=memories))


def _room(project: Project, options: Options, stack: int) -> Room:
    """What is left of the board's internal memories.

    Without `--ram` half of it: the other half is left to the application, unless speed is all that counts.
    """
    board, layout = project.board, project.layout
    used = Counter[Memory]()
    used[layout.system] += stack + STACK_GUARD_BYTES + SYSTEM_BYTES
    used[layout.arena] += project.arena_bytes + project.state_bytes
    used[layout.scratch or layout.arena] += project.scratch_bytes
    used.update({memory: FAR_CALLS_BYTES for memory in board.memories if memory.kind == "code"})
    left = {m: max(0, m.bytes - used[m]) // 8 * 8 for m in _memories(board, layout.used)}
    if options.ram is None and options.optimize != "speed":
        left = {m: size if m.kind == "code" else size // 16 * 8 for m, size in left.items()}
    total = sum(left.values())
    if options.ram is not None:
        total = max(0, options.ram - project.arena_bytes - project.scratch_bytes - FAR_CALLS_BYTES) // 8 * 8
    limits: dict[Kind, int | str] = {"code": options.fast_code, "weights": options.fast_weights}
    return Room(left, total, {kind: limit for kind, limit in limits.items() if isinstance(limit, int)})


def _memories(board: Board, used: Sequence[Memory]) -> list[Memory]:
    """Internal RAM: what is in use as it is, and what doesn't overlap with that."""
    internal = [m for m in used if m.kind != "flash" and not m.external]
    free = [
        m
        for m in board.memories
        if m.kind != "flash" and not m.external and not any(m.origin < u.end and u.origin < m.end for u in internal)
    ]
    return [*internal, *free]


def _functions(
    program: Program,
    project: Project,
    folder: Path,
    functions: Mapping[str, Mapping[str, int]],
    memories: Sequence[Memory],
    *,
    asked: bool,
) -> Iterator[Item]:
    """The functions of a model's layers, and what these call in the same file.

    Where nobody has counted a kernel's loops, its instructions are shared among its functions by their size; each is a
    loop of its own. Where several models have functions of one name, the linker script takes all of them, and their
    bytes count.

    Args:
        functions: sizes by name, by model.
        asked: they are wanted, so that those that are executed most count where the memories cost nothing.
    """
    size, calls = functions[program.model], calls_of(folder / "build" / f"{program.model}.ci")
    core, system, flash = project.board.core, project.board.memory_system, project.layout.flash
    for layer in program.layers:
        kernel, hot = layer.kernel, {function.name: function for function in layer.kernel.hot or ()}
        names = reached(layer.function, calls, size)
        whole = sum(size[name] for name in names)
        for name in names:
            executed = kernel.instructions * size[name] / whole
            if kernel.hot is None:
                times = max(1.0, BYTES_PER_INSTRUCTION * executed / size[name])
                waits = {m: system.fetch(m, size[name], times).middle for m in (flash, *memories)}
            else:
                code = Code(kernel, name, size[name], hot.get(name), size[name] / whole)
                waits = {m: code.wait(m, system, core).middle for m in (flash, *memories)}
            least = _LEAST * executed if asked else 0.0
            saved = {m: waits[flash] - waits[m] + least for m in memories}
            yield Item("code", name, sum(whole_units(each.get(name, 0)) for each in functions.values()), saved)


def _constants(program: Program, project: Project, memories: Sequence[Memory], asked: bool) -> Iterator[Item]:
    """The constant arrays that are part of the code and in internal flash; `asked` as for functions."""
    if program.separate:
        return
    memories = [memory for memory in memories if memory.kind == "ram"]
    by_name, macs = {named.name: named for named in program.constants}, node_macs(program.graph)
    flash, system = project.layout.flash, project.board.memory_system
    for layer in program.layers:
        sweeps = sweeps_of(layer.kernel, macs[layer.index])
        for argument in layer.arguments:
            named = by_name.get(getattr(argument, "name", ""))
            if named is None or named.cold:
                continue
            size = named.constant.bytes
            waits = {memory: swept(system, memory, size, sweeps) for memory in (flash, *memories)}
            least = _LEAST * size * sweeps.times if asked else 0.0
            saved = {memory: waits[flash] - waits[memory] + least for memory in memories}
            yield Item("weights", named.name, whole_units(size), saved)


_LEAST = 1e-3
"""Cycles that an instruction, or a byte of weights, saves at least where copies were asked for: order among equals."""


def _merged(items: Iterable[Item]) -> list[Item]:
    """What several layers or models use is one item."""
    found = dict[tuple[Kind, str], Item]()
    for item in items:
        known = found.get((item.kind, item.symbol))
        saved = item.saved if known is None else {m: known.saved[m] + cycles for m, cycles in item.saved.items()}
        found[item.kind, item.symbol] = replace(item, saved=saved)
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
    return everything if _fits(everything, room) else _exact(worth, room)


def _fits(chosen: Iterable[tuple[Item, Memory]], room: Room) -> bool:
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


def _copies(chosen: Iterable[tuple[Item, Memory]]) -> Copies:
    """A section for each kind and memory."""
    sections = defaultdict[tuple[Kind, Memory], list[Item]](list)
    for item, memory in chosen:
        sections[item.kind, memory].append(item)
    return tuple(
        Copy(kind, memory, tuple(item.symbol for item in items), sum(item.bytes for item in items))
        for (kind, memory), items in sections.items()
    )
