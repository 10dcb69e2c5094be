"""Board descriptions: `board_support/<board>/board.toml`, read and checked.

A board is a folder of data. Adding one edits no Python.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinycompile.errors import TargetError
from tinycompile.kernels.base import Isa
from tinycompile.resources import boards_dir
from tinycompile.targets.memory import Memory, memories_of, ram_choices, weights_place


@dataclass(frozen=True)
class Qemu:
    """The QEMU machine that can run the board's firmware, and its instruction counter.

    Attributes:
        machine: `qemu-system-arm -machine` name.
        icount_shift: one instruction takes 2**icount_shift ns of virtual time.
        timer_hz: frequency of `board_ticks()` in virtual time.
    """

    machine: str
    icount_shift: int
    timer_hz: int

    def instructions(self, ticks: int) -> int:
        """Executed instructions in `ticks` of the timer (resolution: one tick)."""
        return round(ticks * 1_000_000_000 / (self.timer_hz << self.icount_shift))


@dataclass(frozen=True)
class Flasher:
    """What writes the board's flash.

    Attributes:
        tool: "pyocd", "openocd" or "st-flash".
        target: the tool's name of the chip (pyocd) or its configuration file (openocd); empty for st-flash.
    """

    tool: str
    target: str


@dataclass(frozen=True)
class Board:
    """A target.

    Attributes:
        sources: C files that implement board.h, compiled with `defines`.
        cflags: compiler flags that select the core.
        boot: what a boot ROM runs before the vector table is used, None on most boards.
        vectors: where the vector table must be, None for the start of the flash.
        flasher: None where the board can't be flashed, such as emulated ones.
        baud: of the console's UART.
        stand_in: the board QEMU runs in its place, None where QEMU has the board itself or nothing like it.
        weights: where separate weights are: a part of one of its flash memories that nothing else is placed in.
        external_stand_ins: which memory of the stand-in serves for each external one.
    """

    name: str
    description: str
    folder: Path
    isa: Isa
    cflags: tuple[str, ...]
    clock_hz: int
    memories: tuple[Memory, ...]
    boot: Memory | None
    vectors: Memory | None
    sources: tuple[Path, ...]
    defines: tuple[str, ...]
    qemu: Qemu | None
    flasher: Flasher | None
    baud: int
    stand_in: Board | None
    weights: Memory | None
    external_stand_ins: Mapping[str, str]

    @property
    def flash(self) -> Memory:
        """The internal flash, from which the core starts."""
        return next(m for m in self.memories if m.name == "flash")

    @property
    def ram(self) -> Memory:
        """The largest run of internal RAM."""
        internal = [m for m in ram_choices(self.memories) if not m.external]
        return max(internal, key=lambda m: m.bytes)

    @property
    def external_flash(self) -> Memory | None:
        """Flash outside of the chip that the core can read like its own."""
        return next((m for m in self.memories if m.kind == "flash" and m.external), None)

    @property
    def is_host(self) -> bool:
        """Whether this is the machine that compiles: no firmware, the system's compiler."""
        return self.isa.core == "host"

    @property
    def compiler(self) -> str:
        return "cc" if self.is_host else "arm-none-eabi-gcc"

    def emulated(self) -> Board | None:
        """The board whose memory map and I/O the QEMU link uses."""
        return self if self.qemu else self.stand_in


def all_boards(path: Path | None = None) -> dict[str, Board]:
    """Every board of `board_support/` and of the folder `path`, by name."""
    return {name: load_board(name, path) for name in sorted(_folders(path))}


def load_board(name: str, path: Path | None = None) -> Board:
    """Read one board.

    Args:
        path: a folder with more boards, each a folder with a board.toml; they come before those of `board_support/`.

    Raises:
        TargetError: no such board, or its description is wrong.
    """
    folders = _folders(path)
    if name not in folders:
        raise TargetError(f"unknown target {name!r}", hint=f"one of: {', '.join(sorted(folders))}")
    description = folders[name] / "board.toml"
    try:
        with description.open("rb") as file:
            return _board(name, folders[name], path, tomllib.load(file))
    except KeyError as error:
        raise TargetError("the board description is incomplete", where=str(description), why=f"no {error}") from error
    except (tomllib.TOMLDecodeError, TypeError, ValueError, OSError) as error:
        raise TargetError("the board description is wrong", where=str(description), why=str(error)) from error


STRICT_FLAGS = ("-mno-unaligned-access",)
"""Compiler flags for code that loads and stores words only where they are aligned."""

BOARDS_FOLDER = "boards"
"""In an output folder: copies of the user's boards that the build needs again."""


def copy_boards(path: Path, target: Path, *boards: Board | None) -> None:
    """Those of the boards that are in `path`, and their sources, to `target`: the build needs no other folder.

    Files that a board shares with others of its folder keep their place.
    """
    root = path.resolve()
    for board in boards:
        if board is None or not board.folder.is_relative_to(root):
            continue
        files = {*board.folder.glob("*.*"), *(s for s in board.sources if s.is_relative_to(root))}
        files |= {board.folder / m.source for m in board.memories if m.source}
        for file in sorted(file for file in files if file.is_file()):
            copy = target / file.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())


def _folders(path: Path | None) -> dict[str, Path]:
    """The folder of every board."""
    if path is not None and not path.is_dir():
        raise TargetError("the board path is not a folder", where=str(path))
    places = [boards_dir(), *([path.resolve()] if path is not None else [])]
    return {toml.parent.name: toml.parent for place in places for toml in place.glob("*/board.toml")}


def _source(folder: Path, source: str) -> Path:
    """A C file beside board.toml; `../common/` is that of `board_support/`, wherever the board is."""
    for path in (folder / source, boards_dir() / folder.name / source):
        if (resolved := Path(os.path.normpath(path))).is_file():
            return resolved
    raise ValueError(f"there is no source {source!r}")


SPECIAL = ("boot", "vectors")
"""Memories that nothing of a model is placed in."""


def _board(name: str, folder: Path, path: Path | None, data: Mapping[str, Any]) -> Board:
    core, memory, qemu = data["core"], data["memory"], data.get("qemu", {})
    isa = Isa(
        core=core["name"],
        dsp=bool(core.get("dsp", False)),
        mve=bool(core.get("mve", False)),
        fpu=bool(core.get("fpu", False)),
        schedule=core.get("schedule", "m4"),
    )
    memories = memories_of({name: table for name, table in memory.items() if name not in SPECIAL})
    return Board(
        name=name,
        description=data["description"],
        folder=folder,
        isa=isa,
        cflags=tuple(core["flags"]),
        clock_hz=int(data["clock_hz"]),
        memories=memories,
        boot=Memory("boot", **memory["boot"], kind="flash") if "boot" in memory else None,
        vectors=Memory("vectors", **memory["vectors"], kind="flash") if "vectors" in memory else None,
        sources=tuple(_source(folder, source) for source in data["sources"]),
        defines=tuple(data.get("defines", ())),
        qemu=Qemu(qemu["machine"], qemu["icount_shift"], qemu["timer_hz"]) if "machine" in qemu else None,
        flasher=Flasher(data["flash"]["tool"], data["flash"].get("target", "")) if "flash" in data else None,
        baud=int(data.get("console", {}).get("baud", 115_200)),
        stand_in=load_board(qemu["stand_in"], path) if "stand_in" in qemu else None,
        weights=weights_place(data["weights"], memories) if "weights" in data else None,
        external_stand_ins=dict(qemu.get("external", {})),
    )
