"""A second instruction set is a file and a folder: an invented one is added by --board-path alone; ours is RISC-V."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.conftest import DIGITS
from tests.support.alignment import alignment_plugin, check_aligned
from tinycompile.cli import main
from tinycompile.codegen.linker import linker_script
from tinycompile.emulator import execute
from tinycompile.errors import TinycompileError, ToolFailedError, ToolMissingError
from tinycompile.profile import profile_build
from tinycompile.resources import boards_dir, templates_dir
from tinycompile.targets import Core, load_board
from tinycompile.toolchain import make, run

MODEL, SAMPLES = DIGITS / "digits_int8.tflite", DIGITS / "digits_samples.npz"
SYSTEM = ("cc", "ld", "as", "make", "sh", "mkdir", "rm", "uname")

TOOLCHAIN = """\
kind = "firmware"

[tools]
prefix = "moon-"
compiler = "c99"
objcopy = "copy"
addr2line = "lines"

[compile]
flags = ["-DMOON=1"]
warnings = ["-Wall", "-Werror"]
aligned = []

[link]
flags = ["-specs=nosys.specs", "-Wl,--gc-sections"]
script = "moon.ld.j2"

[sources]
startup = ["moon_boot.c", "moon_math.c"]
semihosting = ["../common/semihosting.c"]
console = ["../common/console.c"]

[elf]
machine = "EM_ARM"
entry = "moon_entry"
stored = [".ARM.exidx"]

[stack]
flags = ["-fcallgraph-info=su"]
library_bytes = 32

[qemu]
program = "moon-emulator"
flags = ["moon-files"]

[packages]
moon-c99 = "moon-get install c99"

[architectures]
moon32 = ["long_multiply"]
"""

BOARD = """\
description = "a board on the moon"
clock_hz = 25_000_000
sources = ["../common/cmsdk_timer.c"]
toolchain = "moon"

[core]
name = "crater"
arch = "moon32"
features = []
pipeline = "crater"
flags = ["-DCRATER"]

[memory.flash]
origin = 0x0000_0000
bytes = 0x40_0000

[memory.ram]
origin = 0x2000_0000
bytes = 0x40_0000

[qemu]
machine = "mps2-an385"
icount_shift = 5
timer_hz = 25_000_000
"""

PROGRAMS = {
    "moon-c99": 'case "$*" in *-DCRATER*) ;; *) exit 9 ;; esac\nexec {gcc} -mcpu=cortex-m3 -mthumb "$@"',
    "moon-copy": 'exec {objcopy} "$@"',
    "moon-lines": 'exec {addr2line} "$@"',
    # Takes only what the toolchain's file says.
    "moon-emulator": """\
case "$*" in *semihosting*) exit 9 ;; --version) exec {qemu} --version ;; esac
first=1
for word in "$@"; do
    [ $first = 1 ] && set -- && first=0
    case "$word" in
    moon-files) set -- "$@" -semihosting-config enable=on,target=native ;;
    *) set -- "$@" "$word" ;;
    esac
done
exec {qemu} "$@\"""",
}
TOOLS = {
    "gcc": "arm-none-eabi-gcc",
    "objcopy": "arm-none-eabi-objcopy",
    "addr2line": "arm-none-eabi-addr2line",
    "qemu": "qemu-system-arm",
}


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The board's folder and the toolchain's; on PATH are its tools, and none of ours."""
    places = {role: shutil.which(tool) or pytest.skip(f"no {tool}") for role, tool in TOOLS.items()}
    bin_folder, folder = tmp_path / "bin", tmp_path / "boards"
    for new in (bin_folder, folder / "moon", folder / "toolchains"):
        new.mkdir(parents=True)
    for tool in SYSTEM:
        (bin_folder / tool).symlink_to(shutil.which(tool) or pytest.skip(f"no {tool}"))
    for name, text in PROGRAMS.items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{text.format(**places)}\n")
        (bin_folder / name).chmod(0o755)
    toolchains = folder / "toolchains"
    (folder / "moon" / "board.toml").write_text(BOARD)
    (toolchains / "moon.toml").write_text(TOOLCHAIN)
    startup = (boards_dir() / "common" / "startup.c").read_text()
    (toolchains / "moon_boot.c").write_text(startup.replace("Reset_Handler", "moon_entry"))
    (toolchains / "moon_math.c").write_text("int moon_math(void);\nint moon_math(void)\n{\n    return MOON;\n}\n")
    script = (templates_dir() / "linker.ld.j2").read_text()
    (toolchains / "moon.ld.j2").write_text(f"/* made on the moon */\n{script}")
    monkeypatch.setenv("PATH", str(bin_folder))
    return folder


def test_an_invented_toolchain_builds_and_runs(boards: Path, tmp_path: Path) -> None:
    data = np.load(SAMPLES)
    build = tinycompile.compile(MODEL, target="moon", board_path=boards, output=tmp_path / "out", pareto=False)
    shutil.rmtree(boards)  # the output folder needs nothing else
    np.testing.assert_array_equal(build.run(data["input_0"][:3], on="qemu"), data["output_0"][:3])
    assert (build.folder / "firmware" / "moon.ld").read_text().startswith("/* made on the moon */")
    assert build.report["ram"]["stack_bytes"] >= build.report["run"]["stack_bytes_painted"]
    assert build.report["board"]["core"] == "crater" and (build.folder / "firmware" / "moon_math.c").is_file()
    profile = profile_build(build)
    layers = sum(layer["instructions"] for layer in profile["layers"])
    assert layers + profile["outside_layers"]["instructions"] == profile["instructions"] > 0
    assert profile["note"] == "there is no model of the crater" and profile["estimate"] is None
    make(build.folder, "console")
    texts = [*build.folder.glob("Makefile"), *build.folder.glob("firmware/*.ld"), build.folder / "report.json"]
    assert [file.name for file in texts if "arm-none-eabi" in file.read_text()] == []


def test_what_is_missing_is_named_with_its_package(boards: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "moon-c99").unlink()
    with pytest.raises(ToolMissingError, match=r"moon-c99 was not found.*\n.*moon-get install c99"):
        tinycompile.compile(MODEL, target="moon", board_path=boards)


def test_code_for_another_machine_is_refused(boards: Path, tmp_path: Path) -> None:
    file = boards / "toolchains" / "moon.toml"
    file.write_text(file.read_text().replace("EM_ARM", "EM_RISCV"))
    with pytest.raises(TinycompileError, match=r"moon-c99 makes code for EM_ARM") as error:
        tinycompile.compile(MODEL, target="moon", board_path=boards, pareto=False)
    assert "machine = 'EM_RISCV'" in str(error.value)


def test_features_that_need_other_hardware_are_refused(boards: Path, tmp_path: Path) -> None:
    arguments = ["build", str(MODEL), "--target", "moon", "--board-path", str(boards), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*arguments, "--flash-offset", "16K"])
    assert result.exit_code == 2 and "can't move its vector table" in result.output


@pytest.mark.parametrize(("core", "since"), [("cortex-m85", "GCC 13"), ("cortex-m52", "GCC 14")])
def test_a_core_that_the_compiler_is_too_old_for(tmp_path: Path, core: str, since: str) -> None:
    """What GCC 12.2 says of it becomes what to do; of a core that nobody has heard of there is nothing to say."""
    toolchain = load_board("mps2-an385").toolchain
    for name, known in ((core, True), ("cortex-m99", False)):
        message = f"arm-none-eabi-gcc: error: unrecognized -mcpu target: {name}"
        (tmp_path / "Makefile").write_text(f"all:\n\t@echo '{message}' >&2; exit 1\n")
        with pytest.raises(ToolFailedError) as error:
            make(tmp_path, toolchain=toolchain)
        assert (f"doesn't know -mcpu={core}" in str(error.value) and since in str(error.value)) == known
        assert message in str(error.value)


def test_the_riscv_description_is_read() -> None:
    board = load_board("qemu-riscv32")
    assert board.compiler == "riscv64-unknown-elf-gcc" and board.alignment == "core"
    assert board.core == Core("rv32imac", "rv32imac", frozenset({"long_multiply", "many_registers"}), "rv32")
    assert not any(board.is_device(memory) for memory in board.memories)


def test_riscv_alignment_has_room_behind_instructions_of_16_bits(tmp_path: Path) -> None:
    """The linker fills what its relaxation leaves, so an aligned place is preceded by 14 bytes, not 12."""
    prefix, common = "riscv64-unknown-elf-", boards_dir() / "common"
    names = ("gcc", "objdump")
    compiler, objdump = (shutil.which(prefix + name) or pytest.skip(f"no {prefix}{name}") for name in names)
    board, found = load_board("qemu-riscv32"), list[int]()
    for source in sorted(common.glob("*semihosting*.c")):
        object_file = tmp_path / f"{source.stem}.o"
        flags = ["-O2", "--specs=picolibc.specs", "-I", str(common), *board.cflags]
        run([compiler, *flags, "-c", str(source), "-o", str(object_file)], cwd=tmp_path)
        text = run([objdump, "-r", str(object_file)], cwd=tmp_path)
        found += [int(bytes_before, 16) for bytes_before in re.findall(r"R_RISCV_ALIGN\s+\*ABS\*\+0x(\w+)", text)]
    assert set(found) == {16 - 2}


def test_riscv_counts_exactly_and_loads_aligned_words_alone(tmp_path: Path) -> None:
    """QEMU's core takes unaligned words, in contrast to many others: a plugin looks for them."""
    data = np.load(SAMPLES)
    build = tinycompile.compile(MODEL, target="qemu-riscv32", output=tmp_path / "out", pareto=False)
    report, inputs = tmp_path / "alignment.txt", [data["input_0"][:1]]
    plugins = [alignment_plugin(report, build.board.toolchain.emulator)]
    run = execute(build.elf("firmware.elf"), build.board, inputs, build.outputs, plugins=plugins)
    np.testing.assert_array_equal(run.outputs[0][0], data["output_0"][:1])
    assert check_aligned(report) > inputs[0].nbytes
    assert run.stack_bytes <= build.report["ram"]["stack_bytes"]
    counted = profile_build(build, inputs)["instructions"]
    assert 0 < run.instructions[0] - counted < 16, "the call, and reading the counter"


LIBRARY = """
#include <math.h>
#include <string.h>
int main(int argc, char **argv)
{
    const double x = (double)argc;
    (void)strlen(argv[0]);
    const int whole = (int)(exp(x) + tanh(x) + pow(x, x) + log(x) + lgamma(x) + expm1(x) + erf(x) + fmod(x, 3.0));
    return whole + (int)(expf((float)x) + tanhf((float)x) + powf((float)x, 2.0f) + logf((float)x));
}
"""


@pytest.mark.parametrize("name", ["mps2-an500", "qemu-riscv32"])
def test_what_a_library_needs_in_memory_has_a_place(name: str, tmp_path: Path) -> None:
    """A section that the linker script doesn't name lies where start-up copies and clears nothing."""
    board = load_board(name)
    (tmp_path / "board.ld").write_text(linker_script(board, board))
    (tmp_path / "main.c").write_text(LIBRARY)
    flags = [*board.cflags, *board.toolchain.compile_flags, "-nostartfiles", "-Wl,--orphan-handling=warn"]
    flags += ["-Wl,--defsym=linker_stack_bytes=64", "-Wl,-emain", "-T", "board.ld"]
    command = [board.toolchain.tool("compiler"), *flags, "main.c", "-lm", "-o", "a.elf"]
    linked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    orphans = set(re.findall(r"warning: orphan section `([^']+)'", linked.stderr))
    assert ".comment" in orphans
    in_memory = [s for s in orphans if re.match(r"\.(s?(data|bss|rodata)|t(data|bss)|init_array)", s)]
    assert not in_memory, linked.stderr
