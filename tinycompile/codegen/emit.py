"""Prints a `Project`: the models' C and the firmware around them, as files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from tinycompile.codegen import blob
from tinycompile.codegen.blocks import blocks_of, step_blocks, step_comment, step_values
from tinycompile.codegen.constants import c_integer, c_scale, c_values, needs_math
from tinycompile.codegen.harness import benchmark_of
from tinycompile.codegen.integration import emit_integration, single_file
from tinycompile.codegen.interface import any_alignment, meaning, quantization_text
from tinycompile.codegen.linker import linker_script
from tinycompile.codegen.names import c_string, comment_text
from tinycompile.codegen.program import CRC_HEADER, Program
from tinycompile.codegen.project import Project, Provenance
from tinycompile.codegen.slimmable import emit_widths, widths_of
from tinycompile.kernels.render import render
from tinycompile.resources import boards_dir, runtime_dir
from tinycompile.targets import Board

OPTIMIZATION = "-O2"
UNKNOWN_STACK_BYTES = 2048
"""Until the compiler has said what the firmware needs."""

GRADIENT_HEADER = "kernels/tc_gradient_message.h"
SECOND_CORE_HEADER = "second_core.h"
"""Of boards that have one."""

CACHE_HEADER = "kernels/tc_cache.h"
"""For users with DMA; nothing generated includes it."""

_LOCAL_INCLUDE = re.compile(r'^(\s*#\s*include )"([^"]+)"', re.MULTILINE)


def emit_project(project: Project, *, single: bool = False) -> dict[str, str]:
    """Every file of the output folder, by relative path; with `single` also each model as one C file."""
    files = dict[str, str]()
    for program, origin in zip(project.programs, project.origins, strict=True):
        model = emit_model(program, origin)
        files |= model
        if single:
            files |= single_file(program.model, model)
    files |= emit_widths(project)
    values, build = _values(project), build_id(files, project.board)
    if project.board.is_host:
        files["host/main.c"] = render("main_host.c.j2", **values)
        files["Makefile"] = render("Makefile.host.j2", **values)
    else:
        files |= _firmware(project, build)
        files["Makefile"] = emit_makefile(project, UNKNOWN_STACK_BYTES, UNKNOWN_STACK_BYTES)
        files |= _runtime_headers([CACHE_HEADER]) if project.board.core.has("cache") else {}
    files["CMakeLists.txt"] = render("CMakeLists.txt.j2", **values)
    if len(project.programs) == 1:
        files |= emit_integration(project.programs[0], values, project.origins[0].source, project.board.alignment_flags)
    return files


def emit_makefile(project: Project, stack_bytes: int, second_stack_bytes: int = 0) -> str:
    """The firmware's Makefile; `stack_bytes` is what it reserves for the stack, and for that of a second core."""
    emulated = project.board.emulated()
    stand_in = emulated is not None and emulated is not project.board
    stacks = {"stack_bytes": stack_bytes, "second_stack_bytes": second_stack_bytes, "cores": project.cores}
    return render("Makefile.j2", **_values(project), emulated=emulated, has_stand_in=stand_in, **stacks)


def _values(project: Project) -> dict[str, object]:
    """What the templates of all models together want."""
    return {
        "programs": project.programs,
        "program": project.programs[0],
        "board": project.board,
        "tools": project.board.toolchain,
        "origin": project.origin_line(),
        "provenance": project.origins[0],
        "prefix": project.programs[0].model.upper(),
        "optimization": OPTIMIZATION,
        "arena_bytes": project.arena_bytes,
        "scratch_bytes": project.scratch_bytes,
        "cold": project.layout.cold,
        "copies": project.copies,
        "harness": project.harness,
        "widths": widths_of(project),
        "weights_addresses": project.weights_addresses(project.board),
        "memory_sources": project.memory_sources,
        "memory_setups": project.memory_setups,
    }


def identified(program: Program, provenance: Provenance) -> Program:
    """With the number that ties separate weights to the code."""
    plain = program.anonymous()
    code = emit_model(plain, provenance)
    del code[
        f"{plain.model}.h"
    ]  # callers are compiled with it, and `check` compares that; what it says is in `meaning`
    return replace(program, graph_id=blob.graph_of(code, meaning(program.edges, program.facts.labels)))


def weights_files(project: Project) -> dict[str, bytes]:
    """The files of separate weights, by relative path."""
    return {
        f"{program.model}_weights.bin": blob.blob(
            (c.constant.values for c in program.constants), program.edges, program.graph_id
        )
        for program in project.programs
        if program.separate
    }


def emit_model(program: Program, provenance: Provenance) -> dict[str, str]:
    """The model alone: header, code, weights unless they are separate, and the kernel headers it includes."""
    values: dict[str, object] = {
        "program": program,
        "blocks": blocks_of(program),
        "step_blocks": partial(step_blocks, program),
        "step_values": partial(step_values, program),
        "step_comment": partial(step_comment, program),
        "provenance": provenance,
        "origin": provenance.line(),
        "models": [program.model],
        "prefix": program.model.upper(),
        "any_alignment": any_alignment,
        "blob": blob,
        "c_values": c_values,
        "needs_math": any(needs_math(named.constant.values) for named in program.constants),
        "c_string": c_string,
        "c_scale": c_scale,
        "c_integer": c_integer,
        "comment_text": comment_text,
        "quantization_text": quantization_text,
    }
    if program.training is not None:
        words = program.training.checkpoint_words(provenance.sha256)
        values["checkpoint_words"] = [f"0x{word:08x}u" for word in words]
    model = program.model
    files = {
        f"{model}.h": render("model.h.j2", **values),
        program.code_file: render("model.c.j2", **values),
        f"{model}_weights.h": render("weights.h.j2", **values),
    }
    if program.width_of is None:
        files[f"{model}_layers.h"] = render("layers.h.j2", **values)
    if program.gradient is not None:
        files[f"{model}_gradient.h"] = render("gradient.h.j2", **values)
        files |= _runtime_headers([GRADIENT_HEADER])
    if program.backends:
        headers = sorted({header for backend in program.backends for header in backend.headers})
        files[f"{model}_backend.h"] = render("backend.h.j2", **values, headers=headers)
        files |= _runtime_headers(headers)
    if not program.separate:
        files[f"{model}_weights.c"] = render("weights.c.j2", **values)
    return files | _runtime_headers(program.headers + program.interface_headers)


def _runtime_headers(roots: list[str]) -> dict[str, str]:
    """The headers in use and what they include, flattened into `tinycompile/`."""
    files, pending = dict[str, str](), list(roots)
    while pending:
        path = pending.pop()
        target = f"tinycompile/{Path(path).name}"
        if target in files:
            continue
        text = (runtime_dir() / path).read_text()
        files[target] = _LOCAL_INCLUDE.sub(lambda m: f'{m[1]}"{Path(m[2]).name}"', text)
        pending += [_find_header(included) for _, included in _LOCAL_INCLUDE.findall(text)]
    return dict(sorted(files.items()))


def _find_header(name: str) -> str:
    (path,) = runtime_dir().rglob(Path(name).name)
    return path.relative_to(runtime_dir()).as_posix()


def build_id(code: Mapping[str, str], board: Board) -> bytes:
    """Eight bytes by which a PC tells this firmware from that of other models, options and boards.

    Args:
        code: the models' files, by relative path.
    """
    digest = hashlib.sha256(board.name.encode())
    for path, text in sorted(code.items()):
        digest.update(f"\n{path}\n{text}".encode())
    return digest.digest()[:8]


def _firmware(project: Project, build: bytes) -> dict[str, str]:
    common, board = boards_dir() / "common", project.board
    files = {f"firmware/{source.name}": source.read_text() for source in board.toolchain.sources}
    files["firmware/main.c"] = render("main.c.j2", **_values(project))
    number = ", ".join(f"0x{byte:02x}" for byte in build)
    files["firmware/main_console.c"] = render("main_console.c.j2", **_values(project), build_id=number)
    files |= _runtime_headers([CRC_HEADER])  # of the frames by which the console is talked to
    if len(project.programs) == 1 and project.programs[0].training is not None:
        files["firmware/main_training.c"] = render("main_training.c.j2", **_values(project))
    headers = [*common.glob("*.h"), *board.toolchain.file.parent.glob("*.h")]
    for source in project.memory_sources:
        files[f"firmware/{_board_source(board, source)}"] = source.read_text()
    headers = [header for header in headers if board.cores > 1 or header.name != SECOND_CORE_HEADER]
    for variant in _variants(board):
        headers += variant.folder.glob("*.h")
        for source in variant.sources:
            files[f"firmware/{_board_source(variant, source)}"] = source.read_text()
    files |= emit_linker_scripts(project)
    if project.harness is not None:
        files["firmware/main_harness.c"] = _harness(project)
    return files | {f"firmware/{header.name}": header.read_text() for header in sorted(headers)}


def _harness(project: Project) -> str:
    """Raises UsageError: the runner can't give the model what it takes."""
    board = project.board
    ticks = board.clock_hz if board.qemu is None else board.qemu.timer_hz
    benchmark = benchmark_of(project.programs[0])
    return render("main_harness.c.j2", **_values(project), benchmark=benchmark, ticks_per_second=ticks)


def emit_linker_scripts(project: Project) -> dict[str, str]:
    """For the board and for what QEMU has instead, by relative path."""
    return {
        f"firmware/{variant.name}.ld": linker_script(
            *(project.board, variant, project.layout, project.weights_addresses(variant), project.copies),
            cores=project.cores,
        )
        for variant in _variants(project.board)
    }


def _variants(board: Board) -> list[Board]:
    """The board, and what stands in for it."""
    emulated = board.emulated()
    return [board, *([emulated] if emulated is not None and emulated.name != board.name else [])]


def _board_source(board: Board, source: Path) -> str:
    return f"{board.name}_{source.name}"
