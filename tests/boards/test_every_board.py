"""Every board's firmware: linked for the real memory map, run in QEMU where that has the board or one like it."""

from __future__ import annotations

import re
import struct
import subprocess
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

import tinycompile
from tests.conftest import DIGITS, ROOT
from tests.support.serial_board import emulated
from tinycompile import interpreter
from tinycompile.build import Build
from tinycompile.ir import Graph, TensorType
from tinycompile.lowering import imported
from tinycompile.monitor import lines
from tinycompile.options import Options
from tinycompile.serial_link.console import Action, Area, Place, console_of
from tinycompile.targets import Board, Memory, all_boards
from tinycompile.targets.memory import ram_choices
from tinycompile.toolchain import make

SHF_ALLOC = 2
BOARDS = {name: board for name, board in all_boards().items() if not board.is_host}


@dataclass(frozen=True)
class Image:
    """What the checks need of an ELF."""

    symbols: dict[str, int]
    undefined: list[str]
    sections: dict[str, tuple[int, int]]
    segments: list[tuple[int, int, bytes]]

    @staticmethod
    def of(path: Path) -> Image:
        with path.open("rb") as file:
            elf = ELFFile(file)
            table = list(elf.get_section_by_name(".symtab").iter_symbols())
            return Image(
                {s.name: s["st_value"] for s in table if s["st_shndx"] != "SHN_UNDEF"},
                [s.name for s in table if s["st_shndx"] == "SHN_UNDEF" and s.name],
                {s.name: (s["sh_addr"], s["sh_size"]) for s in elf.iter_sections() if s["sh_flags"] & SHF_ALLOC},
                [(s["p_paddr"], s["p_filesz"], s.data()) for s in elf.iter_segments("PT_LOAD") if s["p_filesz"]],
            )

    def word(self, address: int) -> int:
        """From what is stored: a load address."""
        for start, size, data in self.segments:
            if start <= address < start + size:
                return struct.unpack_from("<I", data, address - start)[0]
        raise AssertionError(f"nothing is stored at {address:#x}")


def inside(start: int, size: int, *regions: Memory | None) -> bool:
    return any(r and r.origin <= start and start + size <= r.origin + r.bytes for r in regions)


def check_vectors(image: Image, board: Board) -> None:
    """A Cortex-M finds its stack pointer and its handlers in a table."""
    table = (board.vectors or board.flash).origin
    assert image.symbols["vectors"] == table
    assert table % 128 == 0, "VTOR wants a table of 16 entries to be aligned to 128 bytes"
    assert image.word(table) == image.symbols["linker_stack_top"]
    assert image.word(table + 4) == image.symbols["Reset_Handler"] | 1
    assert all(image.word(table + 4 * i) & 1 for i in range(1, 16)), "every handler is Thumb code"


def check(image: Image, board: Board) -> None:
    if board.toolchain.machine == "EM_ARM":
        check_vectors(image, board)
    else:
        assert image.symbols[board.toolchain.entry] == board.flash.origin, "the core starts at the first instruction"
    stack_top = image.symbols["linker_stack_top"]
    assert stack_top % board.toolchain.stack_alignment == 0
    assert any(m.origin < stack_top <= m.end for m in ram_choices(board.memories) if not m.external)
    assert not image.undefined
    others = [(board.ram, board.ram.code_origin), (board.flash, board.flash.data_origin)]
    elsewhere = [replace(memory, origin=origin) for memory, origin in others if origin is not None]
    used = [*board.memories, board.vectors, board.boot, *elsewhere]
    for name, (start, size) in image.sections.items():
        assert inside(start, size, *used), name
    for start, size, _ in image.segments:
        assert inside(start, size, board.flash, board.vectors, board.boot)
    if board.flash.data_origin is not None:
        start, size = image.sections[".rodata"]
        assert inside(start, size, replace(board.flash, origin=board.flash.data_origin))
        stored = start - board.flash.data_origin + board.flash.origin  # the MMU shows both buses the same pages
        assert any(at <= stored and stored + size <= at + length for at, length, _ in image.segments)


def check_results(build: Build) -> None:
    """What QEMU computes on the board, or on the one that stands in for it."""
    data = np.load(DIGITS / "digits_samples.npz")
    np.testing.assert_array_equal(build.run(data["input_0"][:8], on="qemu"), data["output_0"][:8])
    report = build.report
    assert report["run"]["instructions"] > report["macs"]["executed"] // 8
    assert report["run"]["stack_bytes_painted"] < 1024
    assert report["ram"]["total_bytes"] < report["ram"]["limit_bytes"]


def pattern(t: TensorType) -> np.ndarray:
    return ((np.arange(t.bytes) * 37 + 11) & 0xFF).astype(np.uint8).view(t.dtype.carrier).reshape(t.shape)


def printed(port: Path) -> list[str]:
    """What the firmware prints of an inference."""
    found = list[str]()
    for line in lines(port, 115_200, timeout=60):
        found = [line] if line.startswith("tinycompile:") else [*found, line]
        if line == "end" and found[0].startswith("tinycompile:"):
            return found
    raise AssertionError(found)


def check_console(build: Build) -> None:
    """Results and cycles of each layer are on the UART; and it can be asked for others."""
    with emulated(build.folder / "firmware_console.elf", build.board) as port:
        text = printed(port)
        with console_of(build, Place(port)) as console:
            image = np.load(DIGITS / "digits_samples.npz")["input_0"][:1]
            console.give([image])
            happened, answered = console.do(Action.INVOKE), console.outputs()[0]
            counted = sum(console.words(Area.CYCLES))
    assert text[0] == f"tinycompile: digits_int8 on {build.board.name}"
    layers = [line for line in text if line.startswith("layer ")]
    assert len(layers) == len(build.report["layers"])
    total = next(line for line in text if line.startswith("total: "))
    assert int(total.split()[1]) == sum(int(line.split(": ")[1]) for line in layers)
    assert int(total.split()[1]) > build.report["macs"]["executed"] // 10
    (line,) = [line for line in text if line.startswith("output 0:")]
    assert [int(word) for word in line.split()[2:]] == defined(pattern(build.inputs[0]))
    assert answered.ravel().tolist() == defined(image)
    assert happened.ticks >= counted > build.report["macs"]["executed"] // 10


@cache
def model() -> Graph:
    return imported(DIGITS / "digits_int8.tflite", Options.of())


def defined(image: np.ndarray) -> list[int]:
    """By the definition of every operator, as the same for all boards."""
    (output,) = model().outputs
    return interpreter.run(model(), [image])[output].ravel().tolist()


@pytest.mark.parametrize("name", BOARDS)
def test_the_firmware_is_linked_for_the_real_memory_map_and_runs(name: str, tmp_path: Path) -> None:
    build = tinycompile.compile(DIGITS / "digits_int8.tflite", target=name, output=tmp_path / "out")
    make(build.folder, "console")
    for elf in ("firmware.elf", "firmware_console.elf"):
        check(Image.of(build.folder / elf), BOARDS[name])
    if name == "rp2040":
        check_boot_stage(Image.of(build.folder / "firmware_console.elf"), tmp_path)
    if name in ("rp2350", "rp2350-riscv"):
        address = Image.of(build.folder / "firmware_console.elf").symbols["image_definition"]
        assert BOARDS[name].flash.origin <= address < BOARDS[name].flash.origin + 4096
    if BOARDS[name].emulated():
        check_results(build)
    if BOARDS[name].qemu:
        check_console(build)


def check_boot_stage(image: Image, folder: Path) -> None:
    """The words are the program that the comment above them shows, and the boot ROM will accept them."""
    stored = [image.word(0x10000000 + 4 * i) for i in range(64)]
    crc = 0xFFFFFFFF
    for byte in struct.pack("<63I", *stored[:63]):
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    assert stored[63] == crc
    source = (ROOT / "board_support" / "rp2040" / "boot2.c").read_text()
    program = "\n".join(re.findall(r"^ \*   (.*)$", source, re.MULTILINE))
    (folder / "boot2.s").write_text(f".syntax unified\n{program}\n.ltorg\n")
    subprocess.run(["arm-none-eabi-as", "-mcpu=cortex-m0plus", "boot2.s", "-o", "boot2.o"], cwd=folder, check=True)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", "boot2.o", "boot2.bin"], cwd=folder, check=True)
    assert struct.pack("<63I", *stored[:63]).startswith((folder / "boot2.bin").read_bytes())


@pytest.mark.parametrize("name", BOARDS)
def test_the_readme_says_what_was_run_and_what_was_only_linked(name: str) -> None:
    board, text = BOARDS[name], (ROOT / "board_support" / name / "README.md").read_text()
    assert ("Run in QEMU" in text) == (board.qemu is not None)
    assert ("Only linked" in text) == (board.qemu is None)
    if board.stand_in:
        assert board.stand_in.name in text
