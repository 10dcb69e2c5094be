"""Graphs that no file holds, as C and firmware: what `pipeline` does once a model is imported."""

from __future__ import annotations

from pathlib import Path

from tinycompile.codegen.emit import emit_project, identified, weights_files
from tinycompile.codegen.program import Program, build_program
from tinycompile.codegen.project import Project, Provenance
from tinycompile.host import HostModel
from tinycompile.ir import Graph
from tinycompile.layout import choose_ram
from tinycompile.options import Options
from tinycompile.passes import optimize
from tinycompile.plans import Plans
from tinycompile.staging import write_files
from tinycompile.targets import load_board
from tinycompile.toolchain import make

ORIGIN = Provenance("a graph", "0" * 64)


def build_graph(graph: Graph, folder: Path, options: Options, *, separate: bool = False) -> Program:
    """Writes model `m` and its firmware to `folder`, and compiles it."""
    program = write_graph(graph, folder, options, separate=separate)
    make(folder, "all", toolchain=load_board(options.target).toolchain)
    return program


def write_graph(graph: Graph, folder: Path, options: Options, *, separate: bool = False) -> Program:
    """The same without compiling it: all that `host_model` needs."""
    board = load_board(options.target)
    plans = Plans(optimize(graph), board, options)
    (planned,), layout = choose_ram(
        board,
        lambda schedule, ram, scratch: [plans.within(schedule, ram, scratch)],
        options.ram,
        schedule=options.schedule,
        state_bytes=plans.state_bytes,
    )
    program = build_program("m", planned, separate=separate)
    if separate:
        program = identified(program, ORIGIN)
    project = Project(board, layout, (program,), (ORIGIN,))
    write_files(folder, emit_project(project) | weights_files(project))
    return program


def host_model(program: Program, folder: Path) -> HostModel:
    types = program.graph.types
    return HostModel(
        folder,
        program.model,
        [types[name] for name in program.graph.inputs],
        [types[name] for name in program.graph.outputs],
        program.arena_bytes,
        weights=folder / f"{program.model}_weights.bin" if program.separate else None,
    )
