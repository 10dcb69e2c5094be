"""A firmware compiled, and which of its functions and weights start-up copies to memory that the core needn't wait for.

The sizes of functions are those of the compiled firmware; what is worth its bytes is `copy_choice`'s matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tinycompile.codegen.copies import Copies, Copy, Kind
from tinycompile.codegen.emit import emit_linker_scripts, emit_makefile
from tinycompile.codegen.program import Program
from tinycompile.codegen.project import Project
from tinycompile.copy_choice import (
    LEAST_SAVED,
    Item,
    Room,
    Used,
    byte_prices,
    choose,
    constant_saving,
    layer_items,
    merged,
)
from tinycompile.elf import sizes
from tinycompile.object_file import ObjectFile
from tinycompile.objects import make_objects
from tinycompile.options import Options
from tinycompile.planner.problem import whole_units
from tinycompile.report.collect import firmware_stack, second_core_stack
from tinycompile.staging import write_files
from tinycompile.targets import Memory
from tinycompile.work import node_macs

FAR_CALL_STACK_BYTES = 8
"""What the linker's veneers push on cores that can't load a program counter without a register: one, kept aligned."""


def compiled(project: Project, folder: Path, options: Options) -> tuple[Project, int]:
    """Compile what was printed, so that it only has to be linked.

    Args:
        folder: of the project's files; object files, Makefile and linker scripts are written there.

    Returns:
        The project with what start-up copies, and bytes of stack that the firmware needs.

    Raises:
        ToolMissingError, ToolFailedError: as `make_objects`.
    """
    board = project.board
    make_objects(folder, board.toolchain)
    stack = firmware_stack(folder, board)
    project = _with_copies(project, folder, options, stack)
    if project.copies:
        write_files(folder, emit_linker_scripts(project) | {"Makefile": emit_makefile(project, stack, stack)})
        for source in board.toolchain.startup:
            (folder / "build" / "firmware" / f"{source.stem}.o").unlink(missing_ok=True)
        make_objects(folder, board.toolchain)
        stack = firmware_stack(folder, board) + _far_call_stack(project)
    (folder / "Makefile").write_text(emit_makefile(project, stack, _second_stack(project, folder)))
    return project, stack


def _far_call_stack(project: Project) -> int:
    return FAR_CALL_STACK_BYTES if project.copies and not project.board.core.has("thumb2") else 0


def _second_stack(project: Project, folder: Path) -> int:
    """0 where there is no second core."""
    if project.cores == 1:
        return 0
    models = [program.model for program in project.programs]
    return second_core_stack(folder, project.board, models) + _far_call_stack(project)


def _with_copies(project: Project, folder: Path, options: Options, stack: int) -> Project:
    """The project with what is worth copying.

    Args:
        folder: of the project, with its object files.
        stack: bytes that the firmware needs.
    """
    used = Used(project.arena_bytes, project.state_bytes, project.scratch_bytes, stack)
    room = Room.of(project.board, project.layout, options, used)
    if options.optimize == "ram" or not room.total or not any(room.memories.values()):
        return project
    asked = room.kinds.keys()
    found = list[Item]()
    units = dict.fromkeys(program.unit for program in project.programs)
    functions = {unit: sizes(folder / "build" / f"{unit}.o", ()).functions for unit in units}
    for program in project.programs:
        found += _functions(program, project, folder, functions, list(room.memories), asked="code" in asked)
        found += _constants(program, project, list(room.memories), "weights" in asked)
    chosen = choose(merged(found), room, byte_prices(options, project.layout))
    work = sum(layer.kernel.instructions for program in project.programs for layer in program.layers)
    if not asked and sum(item.saved[memory] for item, memory in chosen) < LEAST_SAVED * work:
        return project
    copies = _copies(chosen)
    memories = tuple(dict.fromkeys(copy.memory for copy in copies))
    return replace(project, copies=copies, layout=replace(project.layout, fast=memories))


def _functions(
    program: Program,
    project: Project,
    folder: Path,
    functions: Mapping[str, Mapping[str, int]],
    memories: Sequence[Memory],
    *,
    asked: bool,
) -> Iterator[Item]:
    """The functions of a model's layers, and what these call in the same file, themselves or through pointers.

    Where several models have functions of one name, the linker script takes all of them, and their bytes count.

    Args:
        functions: sizes by name, by C file.
        asked: they are wanted, so that those that are executed most count where the memories cost nothing.
    """
    size, content = functions[program.unit], ObjectFile.read(folder / "build" / f"{program.unit}.o")
    for layer in program.layers:
        names = content.functions(layer.function)
        for item in layer_items(layer.kernel, names, size, project.layout, project.board, memories, asked=asked):
            all_of_that_name = sum(whole_units(each.get(item.symbol, 0)) for each in functions.values())
            yield replace(item, bytes=all_of_that_name)


def _constants(program: Program, project: Project, memories: Sequence[Memory], asked: bool) -> Iterator[Item]:
    """The constant arrays that are part of the code and in internal flash; `asked` as for functions."""
    if program.separate:
        return
    memories = [memory for memory in memories if memory.kind == "ram"]
    by_name, macs = {named.name: named for named in program.constants}, node_macs(program.graph)
    for layer in program.layers:
        for argument in layer.arguments:
            named = by_name.get(getattr(argument, "name", ""))
            if named is None or named.cold:
                continue
            facts = macs[layer.index], named.constant, project.layout, project.board
            saved = constant_saving(layer.kernel, *facts, memories, asked)
            yield Item("weights", named.name, whole_units(named.constant.bytes), saved)


def _copies(chosen: Iterable[tuple[Item, Memory]]) -> Copies:
    """A section for each kind and memory."""
    sections = defaultdict[tuple[Kind, Memory], list[Item]](list)
    for item, memory in chosen:
        sections[item.kind, memory].append(item)
    return tuple(
        Copy(kind, memory, tuple(item.symbol for item in items), sum(item.bytes for item in items))
        for (kind, memory), items in sections.items()
    )
