"""Many layers in one firmware, each a model of its own: compiled, executed once in QEMU, and its object files read."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from tinycompile.codegen.emit import emit_project
from tinycompile.codegen.program import Program
from tinycompile.codegen.project import Project, Provenance
from tinycompile.elf import calls_of, reached
from tinycompile.emulator import emulate
from tinycompile.errors import ToolFailedError
from tinycompile.layout import Layout
from tinycompile.measuring.unit import Unit, nothing
from tinycompile.report.collect import stack_from
from tinycompile.samples import pattern
from tinycompile.staging import write_files
from tinycompile.targets import Board
from tinycompile.toolchain import make

_ALLOCATED = 2
_PLAIN = re.compile(r"[.]\d+\b|[.](constprop|isra|part|cold)\b")


@dataclass(frozen=True)
class Section:
    """A function or a constant table that a layer brings.

    Attributes:
        name: of its symbol in C. content: a digest of its bytes. is_code: it is a function.
    """

    name: str
    bytes: int
    content: str
    is_code: bool


@dataclass(frozen=True)
class Measured:
    """What a layer takes, as a model of its own.

    Attributes:
        instructions: of an inference, with what all models have.
        stack_bytes: of `<model>_invoke` and all that it calls.
        caller_bytes: of the function that calls the layer.
        functions: the layer's own and those that it calls in the same file, by their names in C.
        sections: code and tables of these, without the model's constants and its interface.
        library: other functions that it needs.
    """

    instructions: int
    stack_bytes: int
    caller_bytes: int
    functions: tuple[str, ...]
    sections: tuple[Section, ...]
    library: tuple[str, ...]

    def as_json(self) -> list[Any]:
        """See `of_json`."""
        sections = [[each.name, each.bytes, each.content, each.is_code] for each in self.sections]
        facts = [self.instructions, self.stack_bytes, self.caller_bytes, self.functions]
        return [*facts, sections, self.library]

    @staticmethod
    def of_json(facts: list[Any]) -> Measured:
        """What `as_json` has made."""
        executed, stack, caller, functions, sections, library = facts
        return Measured(
            executed, stack, caller, tuple(functions), tuple(Section(*each) for each in sections), tuple(library)
        )


def measured(units: Sequence[Unit], board: Board) -> list[Measured]:
    """Build and run layers.

    Args:
        board: whose core and compiler; it has an emulated stand-in.

    Raises:
        ToolMissingError: no compiler, or no QEMU. ToolFailedError: one of them failed.
    """
    room = laboratory(board)
    programs = [each.program(f"layer_{i}", room) for i, each in enumerate([*units, nothing(room.core)])]
    origin = Provenance("layer", "0" * 64)
    project = Project(room, Layout.simple(room), tuple(programs), (origin,) * len(programs))
    with tempfile.TemporaryDirectory(prefix="tinycompile-layers-") as name:
        folder = Path(name)
        write_files(folder, _files(project, units))
        make(folder, "firmware.elf", toolchain=room.toolchain)
        for program in programs:
            content = b"".join(pattern(tensor.type).tobytes() for tensor in program.inputs)
            (folder / f"{program.model}_input.bin").write_bytes(content)
        emulate(folder / "firmware.elf", room, folder)
        return [_read(folder, program, room) for program in programs[: len(units)]]


def laboratory(board: Board) -> Board:
    """An emulated board with the core and the compiler's flags of another one, and room for many models."""
    emulated = board.emulated()
    if emulated is None or board.is_host:
        raise ValueError(f"nothing emulates {board.name}")
    return replace(emulated, core=board.core, cflags=board.cflags, link_flags=board.link_flags)


def _files(project: Project, units: Sequence[Unit]) -> dict[str, str]:
    """Of a firmware in which GCC must assume that a layer's shared functions have other callers, too."""
    files = emit_project(project)
    for program, unit in zip(project.programs, units, strict=False):
        if unit.shared:
            callers = ", ".join(f"(void (*)(void)){name}" for name in sorted(unit.shared))
            text = f"\nextern void (*const {program.model}_shared[])(void);\n"
            files[f"{program.model}.c"] += f"{text}void (*const {program.model}_shared[])(void) = {{{callers}}};\n"
    return files


def _read(folder: Path, program: Program, board: Board) -> Measured:
    model, qemu = program.model, board.qemu
    stats = np.fromfile(folder / f"{model}_stats.bin", np.uint32)
    if qemu is None or stats.size != 3 or stats[0]:
        raise ToolFailedError(f"measuring a layer failed with status {stats[:1].tolist()}", where=str(folder))
    graph = folder / "build" / f"{model}.ci"
    content = _Object.read(folder / "build" / f"{model}.o")
    function = program.layers[0].function
    own, library = content.reached(function)
    known = {each.name for each in own if each.is_code}
    return Measured(
        qemu.instructions(int(stats[1])),
        stack_from([graph], f"{model}_invoke", board),
        sum(each.bytes for each in content.sections.values() if each.name == f"{model}_infer"),
        tuple(reached(function, calls_of(graph), known)) if function else (),
        tuple(each for each in own if not each.name.startswith(f"{model}_")),
        tuple(name for name in library if not name.startswith(f"{model}_")),
    )


@dataclass(frozen=True)
class _Object:
    """What an object file has in memory, a section for each function or table, by its number.

    Attributes:
        uses: the numbers of sections, and the names of what isn't in the file, that each refers to.
    """

    sections: Mapping[int, Section]
    uses: Mapping[int, Set[int | str]]

    @staticmethod
    def read(path: Path) -> _Object:
        sections, uses = dict[int, Section](), defaultdict[int, set[int | str]](set)
        with path.open("rb") as file:
            image: Any = ELFFile(file)
            for number, section in enumerate(image.iter_sections()):
                if section["sh_flags"] & _ALLOCATED and section["sh_size"] and section["sh_type"] == "SHT_PROGBITS":
                    digest = hashlib.sha256(section.data()).hexdigest()[:16]
                    is_code = section.name.startswith(".text")
                    sections[number] = Section(_name_of(section.name), int(section["sh_size"]), digest, is_code)
            table = image.get_section_by_name(".symtab")
            for section in image.iter_sections():
                if not isinstance(section, RelocationSection) or section["sh_info"] not in sections:
                    continue
                entries: Any = section.iter_relocations()
                for each in entries if isinstance(table, SymbolTableSection) else ():
                    symbol: Any = table.get_symbol(each["r_info_sym"])
                    place: int | str = symbol["st_shndx"]
                    uses[int(section["sh_info"])].add(str(symbol.name) if place == "SHN_UNDEF" else place)
        return _Object(sections, uses)

    def reached(self, function: str) -> tuple[list[Section], list[str]]:
        """The sections of a function and all that it refers to, itself or through others; what isn't in the file."""
        pending = [number for number, each in self.sections.items() if each.name == function and each.is_code]
        found, library = dict[int, Section](), set[str]()
        while pending:
            number = pending.pop()
            if number not in found and number in self.sections:
                found[number] = self.sections[number]
                used = self.uses.get(number, set[int | str]())
                pending += [each for each in used if isinstance(each, int)]
                library |= {each for each in used if isinstance(each, str) and each}
        return [found[number] for number in sorted(found)], sorted(library)


def _name_of(section: str) -> str:
    """`.text.add.constprop.0` is add's."""
    return _PLAIN.sub("", re.sub(r"^[.](text|rodata|data)[.]?", "", section))
