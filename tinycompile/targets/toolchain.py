"""Toolchain descriptions: `board_support/toolchains/<name>.toml`, read and checked.

A second instruction set is such a file and the boards that name it. Adding one edits no Python.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinycompile.errors import TargetError
from tinycompile.resources import boards_dir

TOOLCHAINS_FOLDER = "toolchains"
"""Beside the boards' folders."""

DEFAULT_TOOLCHAIN = "arm-none-eabi"
KINDS = ("firmware", "host")


@dataclass(frozen=True, eq=False)
class Toolchain:
    """How firmware is made of C for a family of cores, and how it is run without a board.

    Attributes:
        file: its description.
        kind: "firmware", or "host" for the machine that compiles: no firmware, no emulator.
        prefix: of the tools' names; the generated Makefile lets users change it.
        tools: by what they do: "compiler", "objcopy", "addr2line", "objdump" where cores have Helium; for people "size"
            and "gdb".
        warnings, compile_flags: of the compiler, for every C file of the firmware.
        aligned_flags: what tells it that words are loaded and stored only where they are aligned.
        link_flags, libraries: for every ELF.
        linker_script: the template: a file beside the description, or else the name of one in `templates/c/`.
        startup, semihosting, console: C files. All firmware has the first; the second implements semihosting.h, where a
            PC or QEMU serves files; the third prints on the board's UART.
        machine: of the ELF: `e_machine` by its name in elf.h.
        entry: the function that runs first.
        stack_root: the first one that has a frame, from which all others are called: it has a call graph.
        stored_sections: beginnings of the names of sections that take flash though they hold no program bits.
        call_graph_flags: make GCC write `.ci` files with calls and frames (`-fcallgraph-info=su`).
        library_stack_bytes: deepest stack of what has no call graph: the C library's and the compiler's functions.
        library_stacks: by a regular expression of their names, functions that take more than that and than on Arm.
        stack_alignment: of the stack pointer where a function begins, by the ABI, in bytes.
        emulator, emulator_flags: the QEMU program, and what it needs to give firmware files and to end with it.
        packages: by program, the command that installs it on Debian.
        device_memory: (begin, end) of addresses where the core's memory map allows aligned words only.
        architectures: by name, the features that each implies.
        cores, other_cores: for boards that say no arch: what their core's name stands for.
        since: by an option of a core, the compiler's first version that knows it.
        notes: a sentence for the head of the Makefile.
    """

    name: str
    file: Path
    kind: str
    prefix: str
    tools: Mapping[str, str]
    architectures: Mapping[str, tuple[str, ...]]
    cores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    other_cores: Mapping[str, Any] = field(default_factory=dict[str, Any])
    warnings: tuple[str, ...] = ()
    compile_flags: tuple[str, ...] = ()
    aligned_flags: tuple[str, ...] = ()
    link_flags: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    linker_script: Path | str = ""
    startup: tuple[Path, ...] = ()
    semihosting: tuple[Path, ...] = ()
    console: tuple[Path, ...] = ()
    machine: str = ""
    entry: str = ""
    stack_root: str = ""
    stored_sections: tuple[str, ...] = ()
    call_graph_flags: tuple[str, ...] = ()
    library_stack_bytes: int = 0
    stack_alignment: int = 8
    library_stacks: Mapping[str, int] = field(default_factory=dict[str, int])
    emulator: str = ""
    emulator_flags: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict[str, str])
    device_memory: tuple[tuple[int, int], ...] = ()
    since: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: str = ""

    @property
    def is_host(self) -> bool:
        """Whether it makes programs for the machine that compiles."""
        return self.kind == "host"

    def tool(self, role: str) -> str:
        """The program for a task, such as "compiler"."""
        return f"{self.prefix}{self.tools[role]}"

    @property
    def sources(self) -> tuple[Path, ...]:
        """Every C file that it brings."""
        return (*self.startup, *self.semihosting, *self.console)


def load_toolchain(name: str, path: Path | None = None) -> Toolchain:
    """Read one toolchain.

    Args:
        path: a folder of boards, whose `toolchains/` comes before that of `board_support/`.

    Raises:
        TargetError: there is no such toolchain, or its description is wrong.
    """
    folders = [place / TOOLCHAINS_FOLDER for place in ([path.resolve()] if path else []) + [boards_dir()]]
    found = {file.stem: file for folder in reversed(folders) for file in sorted(folder.glob("*.toml"))}
    if name not in found:
        raise TargetError(f"unknown toolchain {name!r}", hint=f"one of: {', '.join(sorted(found))}")
    try:
        with found[name].open("rb") as file:
            return _toolchain(found[name], tomllib.load(file))
    except KeyError as error:
        raise TargetError("the toolchain is incomplete", where=str(found[name]), why=f"no {error}") from error
    except (tomllib.TOMLDecodeError, TypeError, ValueError, AttributeError, OSError) as error:
        raise TargetError("the toolchain is wrong", where=str(found[name]), why=str(error)) from error


def _toolchain(file: Path, data: Mapping[str, Any]) -> Toolchain:
    kind, tools = data["kind"], dict(data["tools"])
    if kind not in KINDS:
        raise ValueError(f"kind is {' or '.join(KINDS)}")
    common = Toolchain(
        name=file.stem,
        file=file,
        kind=kind,
        prefix=str(tools.pop("prefix", "")),
        tools={"compiler": tools.pop("compiler"), **tools},
        architectures={arch: _words(features) for arch, features in data["architectures"].items()},
        packages=dict(data.get("packages", {})),
        library_stack_bytes=int(data["stack"]["library_bytes"]),
    )
    return common if kind == "host" else _for_firmware(common, data)


def _for_firmware(common: Toolchain, data: Mapping[str, Any]) -> Toolchain:
    """With what takes to make firmware."""
    compiled, linked, elf, qemu = data["compile"], data["link"], data["elf"], data["qemu"]
    sources = {role: tuple(_source(common.file, s) for s in _words(data["sources"][role])) for role in SOURCES}
    for role in ("objcopy", "addr2line"):
        common.tool(role)  # a KeyError now, not when a build has gone half the way
    own = common.file.parent / linked["script"]
    return Toolchain(
        common.name,
        common.file,
        common.kind,
        common.prefix,
        common.tools,
        common.architectures,
        cores=data.get("cores", {}),
        other_cores=data.get("other_cores", {"arch": next(iter(common.architectures))}),
        warnings=_words(compiled["warnings"]),
        compile_flags=_words(compiled.get("flags", ())),
        aligned_flags=_words(compiled["aligned"]),
        link_flags=_words(linked["flags"]),
        libraries=_words(linked.get("libraries", ())),
        linker_script=own if own.is_file() else str(linked["script"]),
        **sources,
        machine=str(elf["machine"]),
        entry=str(elf["entry"]),
        stack_root=str(data["stack"].get("root", elf["entry"])),
        stored_sections=_words(elf.get("stored", ())),
        call_graph_flags=_words(data["stack"]["flags"]),
        library_stack_bytes=common.library_stack_bytes,
        library_stacks={name: int(size) for name, size in data["stack"].get("functions", {}).items()},
        stack_alignment=int(data["stack"].get("alignment", 8)),
        emulator=str(qemu["program"]),
        emulator_flags=_words(qemu["flags"]),
        packages=common.packages,
        device_memory=tuple((int(begin), int(end)) for begin, end in data.get("memory", {}).get("device", ())),
        since={option: str(version) for option, version in data.get("since", {}).items()},
        notes=str(data.get("notes", "")),
    )


SOURCES = ("startup", "semihosting", "console")


def _words(values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"a list of strings is wanted, not {values!r}")
    return tuple(values)


def _source(file: Path, source: str) -> Path:
    """A C file beside the description; `../common/` is that of `board_support/`, wherever the description is."""
    for path in (file.parent / source, boards_dir() / TOOLCHAINS_FOLDER / source):
        if (resolved := Path(os.path.normpath(path))).is_file():
            return resolved
    raise ValueError(f"there is no source {source!r}")
