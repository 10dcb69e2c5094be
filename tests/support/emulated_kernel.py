"""Runs kernels on an emulated core: the assembly of what `host_kernel` tests in portable C.

All cases of a call are linked into one firmware and run once, since starting the compiler and QEMU takes longer than
any kernel.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from tests.support.alignment import alignment_plugin, check_aligned
from tests.support.host_kernel import Block, memory_of, pointers_of, programs
from tests.support.kernel_checks import random_values, sharings
from tinycompile.codegen.linker import linker_script
from tinycompile.ir import Array, Site, TensorType
from tinycompile.kernels.base import Factory, Kernel
from tinycompile.resources import boards_dir, runtime_dir
from tinycompile.targets import Board, Core, load_board, strict_flags

CPP = (
    *("-xc++", "-std=gnu++11", "-fsyntax-only", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wundef", "-Werror"),
    "-Wno-missing-field-initializers",  # of designated ones, where C is content
)

_MAIN = """
#include <stdint.h>
#include "board.h"
#include "semihosting.h"

{memory}

int main(void)
{{
    board_init();
    const int file = semihosting_open_write("output.bin");
{calls}
    semihosting_close(file);
    return 0;
}}
"""


def check_emulated(
    cases: Sequence[tuple[Factory, Site]],
    target: str = "mps2-an500",
    *flags: str,
    isa: Core | None = None,
    core: Sequence[str] | None = None,
    strict: bool = False,
    values_of: Callable[[TensorType, np.random.Generator], Array] = random_values,
    operands_of: Callable[[Site], Sequence[Array]] | None = None,
    expected_of: Callable[[Kernel, Site, Sequence[Array]], Array] | None = None,
) -> None:
    """Every kernel gives what its operator's definition gives, apart from and inside its first operand's memory.

    Args:
        flags: more compiler flags.
        isa: what the factories see; None for the board's.
        core: flags that select the core; None for the board's.
        strict: compiled as by `--align strict`, which makes start-up set CCR.UNALIGN_TRP, with the tensors at any
            address; a plugin sees that vectors are aligned, too. A C++ compiler reads the kernels as well.
        values_of: makes the operands, each on its own.
        operands_of: has all operands of a node, where they belong together.
        expected_of: makes the result that is compared with, bit for bit; None for the definition.
    """
    board = load_board(target)
    if strict:
        isa = replace(isa or board.core, strict=True)
        flags = (*flags, *strict_flags(board.toolchain))
    runs, expected = list[tuple[Kernel, list[Block], int, int]](), list[Array]()
    seeds = Counter[Factory]()  # others' cases don't change a kernel's operands
    for index, (factory, site) in enumerate(cases):
        kernel = factory(site, isa or board.core)
        if kernel is None:
            raise AssertionError(f"case {index}: the factory doesn't take this node")
        rng = np.random.default_rng(seeds[factory])
        seeds[factory] += 1
        values = (
            operands_of(site)
            if operands_of
            else [
                values_of(t, rng) if constant is None else constant
                for t, constant in zip(site.sig.inputs, site.constants, strict=True)
            ]
        )
        rights = (expected_of(kernel, site, values),) if expected_of else site.node.op.evaluate(site.sig, values)
        operands = {i: value for i, value in enumerate(values) if site.constants[i] is None}
        parameters = pointers_of(kernel)
        # Some cases have results but the first among their operands.
        count = len(parameters) - len(operands) - len(kernel.constants) - bool(kernel.scratch_bytes)
        first, *others = site.sig.outputs[:count]
        for share in sharings(kernel)[:2]:
            memory = memory_of(kernel, operands, first, share, others)
            for shift in (0, 1 + len(runs) % 3) if strict else (0,):
                for i, right in enumerate(rights[:count]):
                    runs.append((kernel, _shifted(memory, shift, site, count), len(operands) + i, right.nbytes))
                    expected.append(right)
    results = _run(runs, board, (*(core or board.cflags), *flags), strict)
    for index, (data, right) in enumerate(zip(results, expected, strict=True)):
        actual = np.frombuffer(data, right.dtype).reshape(right.shape)
        name = f"run {index}, {runs[index][0].variant}"
        if right.dtype == np.float32:  # sums differ in their order
            np.testing.assert_allclose(actual, right, rtol=2e-5, atol=1e-6 * np.abs(right).max(), err_msg=name)
        else:
            np.testing.assert_array_equal(actual, right, err_msg=name)


def _shifted(memory: Sequence[Block], shift: int, site: Site, results: int) -> list[Block]:
    """The tensors of bytes `shift` bytes higher; constants, scratch and wider tensors keep their alignment."""
    operands = (t for t, constant in zip(site.sig.inputs, site.constants, strict=True) if constant is None)
    bytewise = {i for i, t in enumerate((*operands, *site.sig.outputs[:results])) if t.dtype.bits <= 8}
    return [
        Block(b"\x5a" * shift + block.content, tuple((i, at + shift) for i, at in block.arguments))
        if bytewise.issuperset(i for i, _ in block.arguments)
        else block
        for block in memory
    ]


def _run(
    runs: Sequence[tuple[Kernel, list[Block], int, int]], board: Board, flags: Sequence[str], strict: bool
) -> list[bytes]:
    """The output bytes of every run."""
    with tempfile.TemporaryDirectory(prefix="tinycompile-emulated-") as name:
        folder = Path(name)
        numbers = dict[int, int]()  # a kernel is compiled once for all its runs
        kernels = dict[str, Kernel]()
        contents, memory, calls = dict[str, bytes](), list[str](), list[str]()
        for index, (kernel, own, output, size) in enumerate(runs):
            if id(kernel) not in numbers:
                entry = f"run_{numbers.setdefault(id(kernel), len(numbers))}"
                kernels[entry] = kernel
                memory.append(f"void {entry}(void *const *arguments);")
            names = [f"block_{index}_{i}" for i in range(len(own))]
            memory += [f"extern uint64_t {name}[];" for name in names]
            contents.update(zip(names, (block.content for block in own), strict=True))
            places = {
                arg: f"(uint8_t *){name} + {at}" for name, b in zip(names, own, strict=True) for arg, at in b.arguments
            }
            arguments = ", ".join(places[i] for i in range(len(places)))
            memory.append(f"static void *const arguments_{index}[] = {{{arguments}}};")
            calls.append(f"    run_{numbers[id(kernel)]}(arguments_{index});")
            calls.append(f"    if (!semihosting_write(file, arguments_{index}[{output}], {size}u)) return 1;")
        _write_arrays(folder, contents)
        (folder / "kernels.c").write_text(programs(kernels))
        (folder / "main.c").write_text(_MAIN.format(memory="\n".join(memory), calls="\n".join(calls)))
        _link_and_run(folder, board, flags, strict)
        data, results = (folder / "output.bin").read_bytes(), list[bytes]()
        for _, _, _, size in runs:
            results.append(data[:size])
            data = data[size:]
        return results


def run_program(
    source: str,
    target: str,
    *flags: str,
    core: Sequence[str] | None = None,
    strict: bool = False,
    folder: Path | None = None,
) -> bytes:
    """Runs a C program with `main` on the emulated core; a non-zero exit code is an error.

    Args:
        strict: compiled as by `--align strict`; raises AssertionError also if a load or store isn't aligned.
        folder: whose C files and headers are compiled with it, such as a generated one.

    Returns:
        What it wrote to `output.bin`.
    """
    board = load_board(target)
    with tempfile.TemporaryDirectory(prefix="tinycompile-emulated-") as name:
        work = Path(name)
        for file in [*folder.glob("*.[ch]"), *folder.glob("tinycompile/*.h")] if folder else []:
            (work / file.relative_to(folder or work)).parent.mkdir(exist_ok=True)
            (work / file.relative_to(folder or work)).write_text(file.read_text())
        (work / "main.c").write_text(source)
        more = strict_flags(board.toolchain) if strict else ()
        _link_and_run(work, board, (*(core or board.cflags), *flags, *more), strict)
        output = work / "output.bin"
        return output.read_bytes() if output.exists() else b""


def _link_and_run(folder: Path, board: Board, flags: Sequence[str], strict: bool = False) -> None:
    """All C files of the folder, with the board's."""
    if board.qemu is None:
        raise ValueError(f"{board.name} isn't emulated")
    (folder / "board.ld").write_text(linker_script(board, board))
    toolchain, common = board.toolchain, boards_dir() / "common"
    compiler = toolchain.tool("compiler")
    if (folder / "kernels.c").exists() and strict:
        _tool([compiler, *CPP, *flags, f"-I{runtime_dir()}", "kernels.c"], folder)
    command = [compiler, "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", *flags]
    command += [f"-D{define}" for define in board.defines]
    command += [f"-I{runtime_dir()}", f"-I{common}", *toolchain.compile_flags]
    objects = _objects(tuple(command), (*toolchain.startup, *toolchain.semihosting, *board.sources))
    sources = [*folder.glob("*.c"), *folder.glob("*.s")]
    if board.link_flags:  # libraries are chosen by other options than those that code is made by
        _tool([*command, "-c", *map(str, sources)], folder)
        sources = [*folder.glob("*.o")]
    sources += objects
    command += ["-nostartfiles", "-Wl,--defsym=linker_stack_bytes=4096"]
    command += [flag for flag in toolchain.link_flags if flag not in command]  # picolibc.specs may stand once only
    command += [*board.link_flags, "-T", "board.ld"]
    _tool([*command, *map(str, sources), *toolchain.libraries, "-o", "cases.elf"], folder)
    command = [toolchain.emulator, *board.qemu.flags, "-nographic", "-monitor", "none"]
    command += ["-serial", "none", *toolchain.emulator_flags, "-kernel", "cases.elf"]
    command += ["-plugin", alignment_plugin(folder / "alignment.txt", toolchain.emulator)] if strict else []
    _tool(command, folder, timeout=120)
    if strict:
        check_aligned(folder / "alignment.txt")


@cache
def _objects(command: tuple[str, ...], sources: tuple[Path, ...]) -> list[Path]:
    """What all programs for a board have in common."""
    folder = Path(tempfile.mkdtemp(dir=_common_folder().name))
    _tool([*command, "-c", *map(str, sources)], folder)
    return [*folder.glob("*.o")]


@cache
def _common_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tinycompile-boards-")


def _write_arrays(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Arrays that the program may write, aligned to 8 bytes, as assembly: C's initializers take the compiler longer."""
    lines, data = [".data"], bytearray()
    for name, content in contents.items():
        padded = content.ljust(-(-len(content) // 8) * 8, b"\0")
        lines += [".balign 8", f".global {name}", f'{name}: .incbin "arrays.bin", {len(data)}, {len(padded)}']
        data += padded
    (folder / "arrays.bin").write_bytes(data)
    (folder / "arrays.s").write_text("\n".join(lines) + "\n")


def _tool(command: Sequence[str], folder: Path, timeout: float | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=timeout)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
