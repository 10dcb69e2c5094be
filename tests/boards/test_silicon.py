"""What silicon has and QEMU doesn't show, as far as it can be shown: memory attributes, boot, stack limit, hooks."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.boards.test_every_board import BOARDS, Image, check
from tests.conftest import DIGITS
from tests.support.emulated_kernel import run_program
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.errors import TargetError, ToolFailedError, UsageError
from tinycompile.layout import Layout, check_attributes
from tinycompile.resources import boards_dir
from tinycompile.targets import Memory, behind_bootloader, load_board
from tinycompile.targets.memory import memories_of
from tinycompile.toolchain import make

MODEL = DIGITS / "digits_int8.tflite"
SAMPLES = np.load(DIGITS / "digits_samples.npz")

# ---- memory attributes ----

BOARD = """
description = "a board with SDRAM"
clock_hz = 1
sources = ["../common/cmsdk_timer.c"]
[core]
name = "cortex-m7"
flags = ["-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"]
dsp = true
fpu = true
schedule = "m7"
[memory.flash]
origin = {flash}
bytes = 0x10_0000
[memory.ram]
origin = 0x2000_0000
bytes = 0xF00
[memory.sdram]
kind = "ram"
external = true
origin = 0xC000_0000
bytes = 0x80_0000
cost = 3.0
{mpu}
"""
MPU = 'source = "sdram.c"\nsetup = "sdram_init"\nmpu = "write-back"'


def board_folder(folder: Path, mpu: str = "", flash: str = "0x0800_0000", head: str = "") -> Path:
    """A folder for --board-path; its board has no internal RAM for an arena."""
    (folder / "boards" / "own").mkdir(parents=True)
    (folder / "boards" / "own" / "board.toml").write_text(head + BOARD.format(mpu=mpu, flash=flash))
    (folder / "boards" / "own" / "sdram.c").write_text("void sdram_init(void);\nvoid sdram_init(void)\n{\n}\n")
    return folder / "boards"


def test_an_arena_in_device_memory_is_refused(tmp_path: Path) -> None:
    boards = board_folder(tmp_path)
    arguments = ["build", str(MODEL), "--target", "own", "--board-path", str(boards), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and not (tmp_path / "out").exists()
    planned = CliRunner().invoke(main, ["plan", str(MODEL), "--target", "own", "--board-path", str(boards)])
    assert planned.exit_code == 2 and "is Device memory" in planned.output
    for word in ("'sdram' (from 0xc0000000 on) is Device memory", "board.toml", "--align strict", 'mpu = "write-back"'):
        assert word in result.output, result.output


def test_aligned_words_only(tmp_path: Path) -> None:
    """As board.toml says; the arena is in Device memory."""
    boards = board_folder(tmp_path, head='align = "strict"')
    build = tinycompile.compile(MODEL, "own", board_path=boards, output=tmp_path / "out")
    assert build.report["options"]["align"] == "strict" and build.board.core.strict
    assert "may be in Device memory" in (build.folder / "digits_int8.h").read_text()
    for file in ("Makefile", "CMakeLists.txt", "zephyr/CMakeLists.txt", "library.json"):
        assert "-mno-unaligned-access" in (build.folder / file).read_text()
    with pytest.raises(AssertionError, match="needs -mno-unaligned-access"):
        run_program("int main(void)\n{\n    return 0;\n}\n", "mps2-an500", folder=build.folder)


def test_what_makes_device_memory_usable(tmp_path: Path) -> None:
    for number, (mpu, head, usable) in enumerate([("", "", False), ("", 'align = "strict"', True), (MPU, "", True)]):
        board = load_board("own", board_folder(tmp_path / str(number), mpu, head=head))
        sdram = next(m for m in board.memories if m.external)
        for layout in (
            Layout(board.ram, sdram, None, board.flash),
            Layout(board.ram, board.ram, sdram, board.flash),
            Layout(sdram, board.ram, None, board.flash),
            Layout(board.ram, board.ram, None, board.flash, cold=sdram),
            Layout(board.ram, board.ram, None, board.flash, weights=sdram),
        ):
            if usable:
                check_attributes(board, layout)
            else:
                with pytest.raises(TargetError, match="unaligned words are a fault"):
                    check_attributes(board, layout)


def test_code_in_device_memory_is_refused_in_any_case(tmp_path: Path) -> None:
    board = load_board("own", board_folder(tmp_path, flash="0xA000_0000", head='align = "strict"'))
    with pytest.raises(TargetError, match="nothing can be executed"):
        check_attributes(board, Layout.simple(board))


def test_the_default_memory_map() -> None:
    normal = [(0, 0x4000_0000), (0x6000_0000, 0x4000_0000)]
    device = [(0x4000_0000, 32), (0x5FFF_FFE0, 32), (0x3FFF_FFE0, 64), (0xA000_0000, 32), (0x9FFF_FFE0, 64)]
    board = BOARDS["stm32f746"]
    assert not any(board.is_device(Memory("m", origin, size)) for origin, size in normal)
    assert all(board.is_device(Memory("m", origin, size)) for origin, size in device)
    assert not board.is_device(Memory("m", 0xC000_0000, 32, mpu="write-back"))


@pytest.mark.parametrize("keys", [{"mpu": "normal", "setup": "f"}, {"mpu": "write-back"}])
def test_an_mpu_entry_that_makes_no_sense(keys: dict[str, str]) -> None:
    tables = {"flash": {"origin": 0, "bytes": 8}, "ram": {"origin": 0xC000_0000, "bytes": 32, **keys}}
    with pytest.raises(ValueError, match="mpu"):
        memories_of(tables)


def test_an_alignment_that_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="align is any or strict"):
        load_board("own", board_folder(tmp_path, head='align = "words"'))
    with pytest.raises(UsageError, match="--align 'words' is unknown"):
        tinycompile.compile(MODEL, align="words")
    with pytest.raises(UsageError, match="for microcontrollers"):
        tinycompile.compile(MODEL, "host", align="strict")


def test_no_memory_of_ours_is_device_memory() -> None:
    assert [(b.name, m.name) for b in BOARDS.values() for m in b.memories if b.is_device(m)] == []


# ---- the MPU, in QEMU ----

# Peripherals of the board are memory here; what belongs to the core is what it is.
MOCK = """
static uint32_t peripherals[1024];
static volatile uint32_t *mock(uint32_t address)
{
    uint32_t hash = address * 2654435761u >> 22;
    return address >= 0xE0000000u ? (volatile uint32_t *)address : &peripherals[hash];
}
"""
DUMP = """
    const int file = semihosting_open_write("output.bin");
    for (uint32_t number = 0; number < 8u; number++) {
        MPU_RNR = number;
        const uint32_t region[4] = {MPU_RBAR, MPU_RASR, %s, MPU_CTRL};
        (void)semihosting_write(file, region, sizeof region);
    }
    return 0;
"""


def with_mpu(calls: str, declarations: str = "", v8: bool = False, mock: bool = False) -> str:
    head = f"#include <stdint.h>\n{MOCK}\n#define REGISTER(a) (*mock((uint32_t)(a)))\n" if mock else ""
    includes = '#include "board.h"\n#include "mpu.h"\n#include "semihosting.h"\n'
    dump = DUMP % ("MPU_MAIR0" if v8 else "0")
    return f"{head}{includes}{declarations}\nint main(void)\n{{\n    board_init();\n{calls}\n{dump}}}\n"


V7_POLICIES = {(1, 1, 1): "write-back", (0, 1, 0): "write-through", (1, 0, 0): "non-cacheable"}
"""Of (TEX, C, B): Arm DDI 0403, table B3-15."""
V8_POLICIES = {0xFF: "write-back", 0xAA: "write-through", 0x44: "non-cacheable"}
"""Of a MAIR field: Arm DDI 0553, MAIR_ATTR."""


def v7_regions(dump: bytes) -> dict[int, tuple[int, int, str, int]]:
    """(begin, end, policy or "", access permission) of each region that is on; all are XN and not shared."""
    found = dict[int, tuple[int, int, str, int]]()
    for number, (rbar, rasr, _, control) in enumerate(struct.iter_unpack("<4I", dump)):
        if not rasr & 1:
            continue
        assert control & 5 == 5, "on, with the default map behind it"
        assert rasr >> 28 & 1 and not rasr >> 18 & 1
        size = 2 << (rasr >> 1 & 31)
        base = rbar & ~31
        assert base % size == 0
        policy = V7_POLICIES.get((rasr >> 19 & 7, rasr >> 17 & 1, rasr >> 16 & 1), "")
        found[number] = (base, base + size, policy, rasr >> 24 & 7)
    return found


@pytest.mark.parametrize("name", [name for name, board in BOARDS.items() if any(m.mpu for m in board.memories)])
def test_the_set_up_of_a_memory_makes_the_region_that_board_toml_says(name: str) -> None:
    """The board's own C, with its peripherals replaced by memory, on a core whose MPU is then read."""
    board = BOARDS[name]
    for memory in (m for m in board.memories if m.mpu):
        text = (board.folder / memory.source).read_text()
        dump = run_program(
            with_mpu(f"    {memory.setup}();", text, mock=True), "mps2-an500", "-Wno-unused", *includes(board.folder)
        )
        regions = v7_regions(dump)
        covering = [r for r in regions.values() if r[0] <= memory.origin and memory.end <= r[1]]
        assert covering, memory.name
        _, _, policy, access = covering[-1]  # the highest number wins
        assert policy == memory.mpu
        assert access == (6 if memory.kind == "flash" else 3)


def includes(folder: Path) -> tuple[str, ...]:
    return (f"-I{folder}", f"-I{boards_dir() / 'common'}")


REGIONS = """
    mpu_normal(0, 0x60000000u, 0x1000u, MPU_WRITE_BACK, MPU_READ_WRITE);
    mpu_normal(1, 0x60001000u, 0x20u, MPU_WRITE_THROUGH, MPU_READ_ONLY);
    mpu_normal(2, 0x60002000u, 0x2000u, MPU_NON_CACHEABLE, MPU_READ_WRITE);
"""
EXPECTED = {
    0: (0x6000_0000, 0x6000_1000, "write-back"),
    1: (0x6000_1000, 0x6000_1020, "write-through"),
    2: (0x6000_2000, 0x6000_4000, "non-cacheable"),
}


def test_regions_of_armv7m() -> None:
    regions = v7_regions(run_program(with_mpu(REGIONS), "mps2-an500"))
    assert {number: region[:3] for number, region in regions.items()} == EXPECTED
    assert [regions[number][3] for number in range(3)] == [3, 6, 3]


@pytest.mark.parametrize("target", ["mps2-an505", "mps3-an547"])
def test_regions_of_armv8m(target: str) -> None:
    regions = dict[int, tuple[int, int, str]]()
    for number, (rbar, rlar, mair, control) in enumerate(
        struct.iter_unpack("<4I", run_program(with_mpu(REGIONS, v8=True), target))
    ):
        if rlar & 1:
            policy = V8_POLICIES[mair >> 8 * (rlar >> 1 & 7) & 0xFF]
            regions[number] = (rbar & ~31, (rlar | 31) + 1, policy)
            assert control & 5 == 5 and rbar & 1 and not rbar >> 3 & 3
            assert rbar >> 1 & 3 == (3 if number == 1 else 1)
    assert regions == EXPECTED


EFFECT = """
#include "board.h"
#include "mpu.h"
static void *const external = (void *)0x60000000u;
int main(void)
{
    board_init();
    *(volatile uint16_t *)external = 0x4770u; /* bx lr */
    cortex_m_barrier();
    ((void (*)(void))0x60000001u)();
    %s
    *(volatile uint32_t *)((char *)external + 4) = 1;
    %s
    return 0;
}
"""
NORMAL = "mpu_normal(3, 0x60000000u, 0x1000u, MPU_WRITE_BACK, MPU_READ_WRITE);"


def test_a_region_is_in_force() -> None:
    """QEMU has no caches and no attributes, but who may do what it knows."""
    run_program(EFFECT % (NORMAL, ""), "mps2-an500")
    for region, then in [
        (NORMAL, "((void (*)(void))0x60000001u)();"),
        (NORMAL.replace("READ_WRITE", "READ_ONLY"), ""),
        ("mpu_forbid(3, 0x60000000u, 0x1000u);", ""),
    ]:
        with pytest.raises(AssertionError, match="hard fault"):
            run_program(EFFECT % (region, then), "mps2-an500")


# ---- the data cache ----

CACHE = """
#include "board.h"
#include "kernels/tc_cache.h"
static uint8_t data[100];
int main(void)
{
    board_init();
    tc_cache_before_dma(data + 3, 61);
    tc_cache_after_dma(data + 3, 61);
    return 0;
}
"""


@pytest.mark.parametrize("target", ["mps2-an500", "mps3-an547"])
def test_cache_maintenance(target: str) -> None:
    run_program(CACHE, target, "-Wpedantic", "-Wconversion", "-Wshadow")


LINES = """
#include "board.h"
#include "kernels/tc_cache.h"
int main(void)
{
    static const uint32_t cases[][3] = {{0, 1, 1}, {0, 32, 1}, {0, 33, 2}, {31, 1, 1}, {31, 2, 2},
                                        {3, 61, 2}, {5, 0, 0}, {1, 64, 3}}; /* start, bytes, lines */
    board_init();
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t last = 0; /* stands for the register */
        tc_cache_lines(&last, (void *)(0x20000000u + cases[i][0]), cases[i][1]);
        if (last != (cases[i][2] > 0u ? 0x20000000u + 32u * (cases[i][2] - 1u) : 0u)) {
            return 1;
        }
    }
    return 0;
}
"""


def test_every_line_is_maintained() -> None:
    run_program(LINES, "mps2-an500")


# ---- behind a bootloader ----


@pytest.fixture(scope="module")
def offset(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """A firmware behind 32 KiB of a bootloader, for the STM32F746."""
    folder = tmp_path_factory.mktemp("offset") / "out"
    result = CliRunner().invoke(main, ["build", str(MODEL), "--flash-offset", "32K", "-o", str(folder), "-q"])
    assert result.exit_code == 0, result.output
    return Build(folder)


def check_offset(build: Build) -> None:
    """Everything of the real image is behind the bootloader; QEMU runs the stand-in's."""
    board = load_board(build.report["target"])
    image = Image.of(build.folder / "firmware.elf")
    check(image, behind_bootloader(board, 0x8000))
    assert image.symbols["vectors"] == board.flash.origin + 0x8000
    assert min(start for start, _, _ in image.segments) >= board.flash.origin + 0x8000
    assert build.board.flash.origin == board.flash.origin + 0x8000
    np.testing.assert_array_equal(build.run(SAMPLES["input_0"][:2], on="qemu"), SAMPLES["output_0"][:2])


def test_behind_a_bootloader(offset: Build) -> None:
    check_offset(offset)
    assert (offset.folder / "tinycompile" / "tc_cache.h").exists()  # the M7 has a data cache


def test_behind_a_bootloader_on_a_board_that_qemu_has(tmp_path: Path) -> None:
    check_offset(tinycompile.compile(MODEL, "netduinoplus2", flash_offset=0x8000, output=tmp_path / "out"))


def test_exceptions_go_to_the_table_behind_the_bootloader(offset: Build, tmp_path: Path) -> None:
    """What stands for the bootloader has no table but its first two words: VTOR must have moved."""
    folder = shutil.copytree(offset.folder, tmp_path / "out")
    source = folder / "firmware" / "main.c"
    text = source.read_text()
    source.write_text(text.replace("    board_init();", '    board_init();\n    __asm__ volatile("udf #0");'))
    make(folder, "firmware_qemu.elf")
    with pytest.raises(ToolFailedError) as error:
        Build(folder).run(SAMPLES["input_0"][:1], on="qemu")
    assert "tinycompile firmware: hard fault" in str(error.value)


@pytest.mark.parametrize(
    ("target", "offset", "reason"),
    [
        ("rp2040", "32K", "a boot ROM"),
        ("mps3-an547", "32K", "a place of its own"),
        ("microbit", "32K", "this core can't move"),
        ("stm32f746", "0x8010", "a multiple of 1024"),
        ("stm32f746", "1M", "the flash has 1,048,576 bytes"),
        ("host", "32K", "this machine"),
    ],
)
def test_an_offset_that_does_not_go(target: str, offset: str, reason: str, tmp_path: Path) -> None:
    arguments = ["build", str(MODEL), "--target", target, "--flash-offset", offset, "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and reason in result.output, result.output


def test_weights_that_the_bootloader_leaves_no_place_for() -> None:
    with pytest.raises(TargetError, match="--flash-offset leaves nothing in front"):
        tinycompile.compile(MODEL, weights="separate", flash_offset=0x9_0000)


# ---- stack limit, traps ----

OVERFLOW = """
#include "board.h"
static volatile uint32_t victim[4096];
static uint32_t __attribute__((noinline)) deep(uint32_t n)
{
    volatile uint32_t frame[8];
    frame[0] = n;
    return n == 0u ? 0u : deep(n - 1u) + frame[0];
}
int main(void)
{
    board_init();
    return victim[0] + deep(%s) == 0u;
}
"""


@pytest.mark.parametrize("target", ["mps2-an505", "mps3-an547"])
def test_a_stack_that_overflows_is_a_fault_on_armv8m(target: str) -> None:
    run_program(OVERFLOW % "20u", target)
    with pytest.raises(AssertionError, match="hard fault"):
        run_program(OVERFLOW % "300u", target)


UNALIGNED = """
#include "board.h"
static uint32_t data[2];
int main(void)
{
    uint32_t word;
    board_init();
    __asm__ volatile("ldr %0, [%1]" : "=r"(word) : "r"((const char *)data + 1));
    return (int)word;
}
"""


def test_armv6m_code_traps_on_the_core_that_stands_in() -> None:
    """An M0 faults at unaligned words by itself; QEMU's M3, which runs its code, must be told to."""
    run_program(UNALIGNED, "mps2-an385")
    with pytest.raises(AssertionError, match="hard fault"):
        run_program(UNALIGNED, "mps2-an385", core=("-mcpu=cortex-m0plus", "-mthumb"))


# ---- a hook between layers ----

HOOKED = """
#include "board.h"
#include "digits_int8.h"
static digits_int8_context context;
static int calls, last = -1;
void feed(int layer);
void feed(int layer)
{
    calls++;
    last = layer;
}
int main(void)
{
    board_init();
    return digits_int8_init(&context) != DIGITS_INT8_OK || digits_int8_invoke(&context) != DIGITS_INT8_OK
           || calls < LAYERS || last != LAYERS - 1;
}
"""


def test_a_hook_between_layers(offset: Build) -> None:
    program = HOOKED.replace("LAYERS", str(len(offset.report["layers"])))
    run_program(program, "mps2-an500", "-DTC_LAYER_HOOK=feed", "-Wpedantic", folder=offset.folder)
    with pytest.raises(AssertionError):  # nobody calls it unasked
        run_program(program, "mps2-an500", folder=offset.folder)


# ---- what the boards' pages say ----


@pytest.mark.parametrize("name", BOARDS)
def test_the_readme_says_what_protects_from_silicon(name: str) -> None:
    board, text = BOARDS[name], (BOARDS[name].folder / "README.md").read_text()
    _, _, section = text.partition("## On silicon\n")
    lines = [line for line in section.splitlines() if line.startswith("| ") and line != "| | |"]
    rows = dict(line.strip("| ").split(" | ", 1) for line in lines)
    for row in ("memory attributes", "caches and DMA", "flash wait states", "behind a bootloader", "stack limit"):
        assert row in rows
    assert ("FPU in interrupts" in rows) == board.core.has("fpu")
    assert ("tc_cache.h" in rows["caches and DMA"]) == board.core.has("cache")
    assert ("MSPLIM" in rows["stack limit"]) == board.core.has("stack_limit")
    assert all(memory.mpu in rows["memory attributes"] for memory in board.memories if memory.mpu)
    refused = board.boot is not None or board.vectors is not None or not board.core.has("vector_offset")
    assert ("refused" in rows["behind a bootloader"]) == refused


def test_the_terminal_says_that_words_are_aligned(tmp_path: Path) -> None:
    boards = board_folder(tmp_path)
    arguments = ["build", str(MODEL), "--target", "own", "--board-path", str(boards), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*arguments, "--align", "strict"])
    assert result.exit_code == 0 and "words only where they are aligned" in result.output
