"""How long an inference takes, as far as it can be told without running it: by `memory_time` and the core's kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tinycompile.codegen.program import Program
from tinycompile.codegen.project import Project
from tinycompile.core_times import core_times
from tinycompile.elf import Sizes
from tinycompile.kernels.fetching import CodePlaces
from tinycompile.layout import Layout
from tinycompile.memory_time import layers_waiting, total
from tinycompile.object_file import ObjectFile
from tinycompile.planner import Planned
from tinycompile.report.core_sections import CoreSection, CoreTimesSection
from tinycompile.report.sections import TimeSection
from tinycompile.targets import Board, Cycles, Memory, MemorySystem

Waiting = Mapping[str, Cycles]
"""By what is waited for."""


def program_waiting(
    build: Path,
    program: Program,
    project: Project,
    planned: Planned,
    held: Sequence[Mapping[str, int]],
    measured: Sizes,
) -> list[dict[str, Cycles]]:
    """Of each layer.

    Args:
        build: the folder with the object files; not looked at where no code is copied.
        held: bytes of each layer's constants, by the memory's name.
    """
    layout, board = project.layout, project.board
    known = {memory.name: memory for memory in (*board.memories, *layout.used, layout.weights or layout.flash)}
    constants = [{known[name]: size for name, size in each.items()} for each in held]
    code = _code_places(build, program, project, measured)
    layers = [(layer.node, layer.kernel) for layer in program.layers]
    return layers_waiting(program.graph, layers, constants, code, layout, board, planned)


def _code_places(build: Path, program: Program, project: Project, measured: Sizes) -> list[CodePlaces]:
    """Where each layer's code is."""
    flash = project.layout.flash
    copied = {symbol: copy.memory for copy in project.copies if copy.kind == "code" for symbol in copy.symbols}
    if not copied:
        return [CodePlaces(flash)] * len(program.layers)
    content, size, found = ObjectFile.read(build / f"{program.unit}.o"), measured.functions, list[CodePlaces]()
    for layer in program.layers:
        needed = [*content.functions(layer.function), *content.reached(layer.function)[1]]
        names = [name for name in needed if name in size]
        found.append(CodePlaces.by_size(layer.kernel, names, size, copied, flash))
    return found


def time_section(project: Project, waiting: Sequence[Waiting]) -> TimeSection | None:
    """None for the host, whose speed nobody knows."""
    board = project.board
    if board.is_host:
        return None
    found = total(waiting)
    return TimeSection(
        clock_hz=board.clock_hz,
        cycles_per_instruction=board.core.issue.cycles_per_instruction,
        waiting={kind: as_bounds(cycles) for kind, cycles in found.items()},
        waiting_total=as_bounds(sum(found.values(), Cycles())),
        assumes=list(assumptions(board.memory_system, parts_in_use(project.layout.used, board.memories))),
    )


def core_times_section(planned: Planned, layout: Layout, board: Board) -> CoreTimesSection | None:
    """None where one core computes, or two that are alike."""
    if board.second is None or board.cores == 1:
        return None
    times = core_times(planned, layout, board)
    names = (board.core.name, board.clock_hz), (board.second.name, board.second.clock_hz)
    cores = [CoreSection(*each, round(busy, 4)) for each, busy in zip(names, times.busy, strict=True)]
    layers = [(round(first, 5), round(second, 5)) for first, second in times.layers]
    return CoreTimesSection(cores, round(times.meetings, 4), round(times.total, 4), layers)


def as_bounds(cycles: Cycles) -> dict[str, int]:
    """For JSON."""
    return {"low": round(cycles.low), "high": round(cycles.high)}


def parts_in_use(used: Sequence[Memory], memories: Sequence[Memory]) -> list[Memory]:
    """The board's memories that a layout's consist of."""
    return [m for m in memories if any(m.origin < u.end and u.origin < m.end for u in used)]


def assumptions(system: MemorySystem, memories: Sequence[Memory]) -> Iterator[str]:
    """What the bounds of the waiting stand for, of the memories in use."""
    if any(not m.waits.is_free for m in memories):
        yield "nothing else uses the caches"
    if any(m.waits.read_ahead != "none" for m in memories):
        yield "at best what is read ahead arrives while instructions run, at worst it is waited for"
    if any(system.cache(m, "data") for m in memories if m.kind == "ram" and not m.waits.is_free):
        yield "at best buffers hide stores and lines written back, at worst nothing does"
    if unknown := [m.name for m in memories if m.access is None]:
        yield f"waiting for {', '.join(unknown)} is left out: board.toml says nothing of its cost"
