"""Board descriptions: `board_support/<board>/board.toml`, read and checked.

A board is a folder of data. Adding one edits no Python.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinycompile.errors import TargetError
from tinycompile.kernels.base import Isa
from tinycompile.resources import boards_dir
from tinycompile.targets.memory import Memory, memories_of, ram_choices


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
class Board:
    """A target.

    Attributes:
        sources: C files that implement board.h, compiled with `defines`.
        cflags: compiler flags that select the core.
        stand_in: the board QEMU runs in its place, None where QEMU has the board itself or nothing like it.
        external_stand_ins: which memory of the stand-in serves for each external one.
    """

    name: str
    description: str
    folder: Path
    isa: Isa
    cflags: tuple[str, ...]
    clock_hz: int
    memories: tuple[Memory, ...]
    sources: tuple[Path, ...]
    defines: tuple[str, ...]
    qemu: Qemu | None
    stand_in: Board | None
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


def all_boards() -> dict[str, Board]:
    """Every board of `board_support/`, by name."""
    return {folder.parent.name: load_board(folder.parent.name) for folder in sorted(boards_dir().glob("*/board.toml"))}


def load_board(name: str) -> Board:
    """Read one board.

    Raises:
        TargetError: no such board, or its description is wrong.
    """
    path = boards_dir() / name / "board.toml"
    known = sorted(p.parent.name for p in boards_dir().glob("*/board.toml"))
    if name not in known:
        raise TargetError(f"unknown target {name!r}", hint=f"one of: {', '.join(known)}")
    try:
        with path.open("rb") as file:
            return _board(name, path.parent, tomllib.load(file))
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise TargetError("the board description is wrong", where=str(path), why=repr(error)) from error


def _board(name: str, folder: Path, data: Mapping[str, Any]) -> Board:
    core, memory, qemu = data["core"], data["memory"], data.get("qemu", {})
    isa = Isa(
        core=core["name"],
        dsp=bool(core.get("dsp", False)),
        mve=bool(core.get("mve", False)),
        fpu=bool(core.get("fpu", False)),
        schedule=core.get("schedule", "m4"),
    )
    return Board(
        name=name,
        description=data["description"],
        folder=folder,
        isa=isa,
        cflags=tuple(core["flags"]),
        clock_hz=int(data["clock_hz"]),
        memories=memories_of(memory),
        sources=tuple((folder / source).resolve() for source in data["sources"]),
        defines=tuple(data.get("defines", ())),
        qemu=Qemu(qemu["machine"], qemu["icount_shift"], qemu["timer_hz"]) if "machine" in qemu else None,
        stand_in=load_board(qemu["stand_in"]) if "stand_in" in qemu else None,
        external_stand_ins=dict(qemu.get("external", {})),
    )
