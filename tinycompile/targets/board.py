"""Board descriptions: `board_support/<board>/board.toml`, read and checked.

A board is a folder of data. Adding one edits no Python.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tinycompile.errors import TargetError
from tinycompile.resources import boards_dir
from tinycompile.targets.core import Core, core_of
from tinycompile.targets.memory import Memory, memories_of, ram_choices, weights_place
from tinycompile.targets.memory_system import Cache, MemorySystem, caches_of, check_accesses, with_costs
from tinycompile.targets.second_core import SecondCore, second_core_of
from tinycompile.targets.toolchain import DEFAULT_TOOLCHAIN, Toolchain, load_toolchain

Alignment = Literal["any", "strict", "core"]


@dataclass(frozen=True)
class Qemu:
    """The QEMU machine that can run the board's firmware, and its instruction counter.

    Attributes:
        machine: the name that QEMU's `-machine` takes.
        icount_shift: one instruction takes 2**icount_shift ns of virtual time.
        timer_hz: frequency of `board_ticks()` in virtual time.
        cpu: what QEMU's `-cpu` takes; empty for the machine's own.
    """

    machine: str
    icount_shift: int
    timer_hz: int
    cpu: str = ""

    @property
    def flags(self) -> tuple[str, ...]:
        """QEMU's options for the machine and its core."""
        return ("-machine", self.machine, *(("-cpu", self.cpu) if self.cpu else ()))

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
class Power:
    """What the chip takes while its core runs, by a published figure.

    Attributes:
        volts: of the supply. run_ma: milliamperes, from and to. source: where that is said.
    """

    volts: float
    run_ma: tuple[float, float]
    source: str


@dataclass(frozen=True)
class Fetch:
    """What brings constants to RAM while the core computes: the board's own `tc_fetch_begin` and `tc_fetch_wait`.

    Attributes:
        source: the C file, compiled only if kernels call them.
        memories: names of those that it reads from.
    """

    source: Path
    memories: tuple[str, ...]


@dataclass(frozen=True)
class Board:
    """A target.

    Attributes:
        sources: C files that implement board.h, compiled with `defines`.
        toolchain: what makes its firmware.
        cflags: compiler flags that select the core.
        link_flags: behind those where an ELF is linked.
        boot: what a boot ROM runs before the vector table is used, None on most boards.
        vectors: where the vector table must be, None for the start of the flash.
        flasher: None where the board can't be flashed, such as emulated ones.
        baud: of the console's UART.
        stand_in: the board QEMU runs in its place, None where QEMU has the board itself or nothing like it.
        weights: where separate weights are: a part of one of its flash memories that nothing else is placed in.
        external_stand_ins: which memory of the stand-in serves for each external one.
        flash_offset: bytes at the start of the flash that belong to a bootloader.
        caches: those in front of its memories.
        fetch: None where the core copies constants itself.
        cores: that can compute a model together: they have the same memories and instructions, and second_core.h.
        alone: why a second core that the chip has doesn't compute with the first.
        second: a second core that is another one than the first; code for both is for `with_both_cores`.
        power: None where nobody has said.
    """

    name: str
    description: str
    folder: Path
    core: Core
    toolchain: Toolchain
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
    flash_offset: int = 0
    caches: tuple[Cache, ...] = ()
    fetch: Fetch | None = None
    link_flags: tuple[str, ...] = ()
    cores: int = 1
    alone: str = ""
    second: SecondCore | None = None
    power: Power | None = None

    @cached_property
    def memory_system(self) -> MemorySystem:
        """What waiting for its memories costs."""
        return MemorySystem(self.memories, self.caches)

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
        return self.toolchain.is_host

    @property
    def alignment(self) -> Alignment:
        """Where the generated code loads and stores words: anywhere, at aligned places, or without a choice."""
        return "strict" if self.core.strict else "any" if self.core.has("unaligned") else "core"

    @property
    def alignment_flags(self) -> tuple[str, ...]:
        """What the compiler has to be told for aligned words only; for cores with no others it does nothing else."""
        return strict_flags(self.toolchain) if self.core.strict and self.core.has("unaligned") else ()

    @property
    def compiler(self) -> str:
        return self.toolchain.tool("compiler")

    def is_device(self, memory: Memory) -> bool:
        """Whether a part of the memory is Device memory, where unaligned words are a fault and nothing is executed."""
        ranges = self.toolchain.device_memory
        return not memory.mpu and any(memory.origin < end and begin < memory.end for begin, end in ranges)

    @property
    def reset_origin(self) -> int:
        """Where the core finds its first stack pointer and program counter: behind it is the bootloader, if any."""
        return self.vectors.origin if self.vectors else self.flash.origin - self.flash_offset

    def emulated(self) -> Board | None:
        """The board whose memory map and I/O the QEMU link uses."""
        return self if self.qemu else self.stand_in


def all_boards(path: Path | None = None) -> dict[str, Board]:
    """Every board of `board_support/` and of the folder `path`, by name."""
    return {name: load_board(name, path) for name in sorted(_folders(path))}


def _meant(name: str, boards: Iterable[str]) -> str:
    """Which boards a name could be for: the core of another chip, a family, a part number, a misspelling."""
    wanted, names = name.lower(), sorted(boards)
    cores = {each: board.core.name for each, board in all_boards().items()}
    if with_core := [each for each, core in cores.items() if core == wanted]:
        return f"boards with this core: {', '.join(with_core)}; "
    near = [each for each in names if each.startswith(wanted) or wanted.startswith(each)]
    near = near or difflib.get_close_matches(wanted, names, 1)
    return f"did you mean {' or '.join(near)}? " if near else ""


def load_board(name: str, path: Path | None = None) -> Board:
    """Read one board.

    Args:
        path: a folder with more boards, each a folder with a board.toml; they come before those of `board_support/`.

    Raises:
        TargetError: no such board, or its description is wrong.
    """
    folders = _folders(path)
    if name not in folders:
        raise TargetError(
            f"unknown target {name!r}", hint=f"{_meant(name, folders)}one of: {', '.join(sorted(folders))}"
        )
    description = folders[name] / "board.toml"
    try:
        with description.open("rb") as file:
            return _board(name, folders[name], path, tomllib.load(file))
    except KeyError as error:
        raise TargetError("the board description is incomplete", where=str(description), why=f"no {error}") from error
    except (tomllib.TOMLDecodeError, TypeError, ValueError, OSError) as error:
        raise TargetError("the board description is wrong", where=str(description), why=str(error)) from error


def strict_flags(toolchain: Toolchain) -> tuple[str, ...]:
    """Compiler flags for code that loads and stores words only where they are aligned."""
    return (*toolchain.aligned_flags, "-DTC_STRICT_ALIGNMENT=1")


def strict(board: Board) -> Board:
    """The board with code that loads and stores words only where they are aligned."""
    if board.is_host or board.core.strict:
        return board
    found = replace(board, core=replace(board.core, strict=True))
    return replace(found, cflags=(*board.cflags, *found.alignment_flags))


def with_both_cores(board: Board) -> Board:
    """The board with code for both of its cores, in the memories that both see."""
    second = board.second
    if second is None:
        return board
    own = board.flash  # behind a bootloader, if there is one
    memories = tuple(
        replace(m, origin=own.origin, bytes=own.bytes) if m.name == own.name else m for m in second.memories
    )
    return replace(
        board,
        core=replace(second.common, strict=board.core.strict, compact=board.core.compact),
        cflags=(*second.cflags, *(board.alignment_flags if board.core.strict else ())),
        memories=memories,
        caches=second.caches,
        sources=(*board.sources, *second.sources),
        weights=None,
        fetch=None,
        cores=2,
    )


def seen_by_second(board: Board) -> Board:
    """A board for both of its cores, with what the second one waits for the memories."""
    second = board.second
    return board if second is None else replace(board, memories=second.system.memories, caches=second.system.caches)


def compact(board: Board) -> Board:
    """The board with code that is short before it is fast."""
    return board if board.is_host else replace(board, core=replace(board.core, compact=True))


def behind_bootloader(board: Board, offset: int) -> Board:
    """The board with its firmware `offset` bytes behind the start of the flash, and so its stand-in.

    Raises:
        TargetError: the vector table can't be there, or nothing is left of the flash.
    """
    if not offset:
        return board
    where, problem = str(board.folder / "board.toml"), f"--flash-offset {offset:#x} doesn't go with {board.name}"
    if board.is_host or board.boot or board.vectors or not board.core.has("vector_offset"):
        reasons = {
            "it is this machine": board.is_host,
            "a boot ROM says where the program begins ([memory.boot])": board.boot is not None,
            "its vector table has a place of its own ([memory.vectors])": board.vectors is not None,
            "this core can't move its vector table": not board.core.has("vector_offset"),
        }
        raise TargetError(problem, where=where, why=next(why for why, holds in reasons.items() if holds))
    if offset < 0 or offset % VECTORS_ALIGNMENT:
        hint = f"a multiple of {VECTORS_ALIGNMENT}, and of what the flash erases at once"
        raise TargetError(problem, where=where, why="the vector table wouldn't be aligned", hint=hint)
    if offset >= board.flash.bytes:
        raise TargetError(problem, where=where, why=f"the flash has {board.flash.bytes:,} bytes")
    stand_in = board.stand_in and _moved(board.stand_in, offset)
    return replace(_moved(board, offset), stand_in=stand_in)


def _moved(board: Board, offset: int) -> Board:
    memories = tuple(
        replace(m, origin=m.origin + offset, bytes=m.bytes - offset) if m == board.flash else m for m in board.memories
    )
    weights = board.weights
    if weights is not None and board.flash.origin <= weights.origin <= board.flash.origin + offset:
        weights = None  # nothing is left in front of them
    return replace(board, memories=memories, weights=weights, flash_offset=offset)


VECTORS_ALIGNMENT = 1024
"""Enough for a vector table of 240 interrupts; VTOR wants the next power of two of its size (DDI 0403, B3.2.5)."""

BOARDS_FOLDER = "boards"
"""In an output folder: copies of the user's boards that the build needs again."""


def copy_boards(path: Path, target: Path, *boards: Board | None) -> None:
    """Those of the boards that are in `path`, and their sources, to `target`: the build needs no other folder.

    Files that a board shares with others of its folder keep their place.
    """
    root = path.resolve()
    files = {file for board in boards if board is not None for file in _files(board) if file.is_relative_to(root)}
    for file in sorted(file for file in files if file.is_file()):
        copy = target / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())


def _files(board: Board) -> set[Path]:
    """What a board and its toolchain are described by and made of."""
    files = {*board.folder.glob("*.*"), *board.sources, *board.toolchain.sources}
    files |= {board.folder / m.source for m in board.memories if m.source}
    return files | {*board.toolchain.file.parent.glob("*.*")}


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


def _fetch(folder: Path, table: Mapping[str, Any], memories: Sequence[Memory]) -> Fetch:
    """The `[fetch]` table.

    Raises:
        ValueError: there is no such source or memory. KeyError: a key is missing.
    """
    wanted = tuple(map(str, table["memories"]))
    if strange := set(wanted).difference(memory.name for memory in memories):
        raise ValueError(f"[fetch]: there is no [memory.{min(strange)}]")
    return Fetch(_source(folder, table["source"]), wanted)


def _qemu(table: Mapping[str, Any]) -> Qemu:
    """The `[qemu]` table of a board that QEMU has. KeyError: a key is missing."""
    return Qemu(table["machine"], table["icount_shift"], table["timer_hz"], str(table.get("cpu", "")))


def _second(folder: Path, data: Mapping[str, Any], toolchain: Toolchain) -> SecondCore:
    """The `[second_core]` table; raises as `second_core_of`."""
    table = data["second_core"]
    sources = [_source(folder, source) for source in table["sources"]]
    return second_core_of(table, data["core"], data.get("cache", {}), toolchain, sources)


ALIGNMENTS = ("any", "strict")
"""Where words may be: `align` in board.toml."""

SPECIAL = ("boot", "vectors")
"""Memories that nothing of a model is placed in."""


def _power(data: Mapping[str, Any]) -> Power:
    """Raises ValueError: no range of currents, or no source."""
    low, high = (float(ma) for ma in data["run_ma"])
    volts, source = float(data["volts"]), str(data["source"])
    if not (0 < low <= high and volts > 0 and source.strip()):
        raise ValueError("power has volts, run_ma = [from, to] in mA, and the source of both")
    return Power(volts, (low, high), source)


def _board(name: str, folder: Path, path: Path | None, data: Mapping[str, Any]) -> Board:
    core, memory, qemu = data["core"], data["memory"], data.get("qemu", {})
    toolchain = load_toolchain(data.get("toolchain", DEFAULT_TOOLCHAIN), path)
    align = data.get("align", "any")
    if align not in ALIGNMENTS:
        raise ValueError(f"align is {' or '.join(ALIGNMENTS)}")
    memories = memories_of({name: table for name, table in memory.items() if name not in SPECIAL})
    caches = caches_of(data.get("cache", {}), memories)
    check_accesses(memories, caches)
    memories = with_costs(memories, caches)
    board = Board(
        name=name,
        description=data["description"],
        folder=folder,
        core=core_of(core, toolchain),
        toolchain=toolchain,
        cflags=tuple(core["flags"]),
        link_flags=tuple(core.get("link", ())),
        clock_hz=int(data["clock_hz"]),
        memories=memories,
        boot=Memory("boot", **memory["boot"], kind="flash") if "boot" in memory else None,
        vectors=Memory("vectors", **memory["vectors"], kind="flash") if "vectors" in memory else None,
        sources=tuple(_source(folder, source) for source in data["sources"]),
        defines=tuple(data.get("defines", ())),
        qemu=_qemu(qemu) if "machine" in qemu else None,
        flasher=Flasher(data["flash"]["tool"], data["flash"].get("target", "")) if "flash" in data else None,
        baud=int(data.get("console", {}).get("baud", 115_200)),
        stand_in=load_board(qemu["stand_in"], path) if "stand_in" in qemu else None,
        weights=weights_place(data["weights"], memories) if "weights" in data else None,
        external_stand_ins=dict(qemu.get("external", {})),
        caches=caches,
        fetch=_fetch(folder, data["fetch"], memories) if "fetch" in data else None,
        cores=int(data.get("cores", 1)),
        alone=str(data.get("alone", "")),
        second=_second(folder, data, toolchain) if "second_core" in data else None,
        power=_power(data["power"]) if "power" in data else None,
    )
    return strict(board) if align == "strict" else board
