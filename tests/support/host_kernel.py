"""Compile one `Kernel` with the system C compiler and run it on arrays, for differential tests.

The function is printed into a small program of its own, compiled with every warning as an error, and run in one of
two ways: as a shared library through cffi (fast), or in a process under the address and undefined-behaviour
sanitisers, where every argument has its own heap block with red zones (`sanitize=True`). The scratch buffer starts as
0xA5 garbage. With `share_operand` the output shares memory with that operand at the smallest distance that the kernel
declares, which tests the claim.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import cffi
import numpy as np

from tests.support.sanitizers import EVERYTHING, REPORT
from tinycompile.ir import Array, TensorType
from tinycompile.kernels.base import Function, Kernel
from tinycompile.resources import runtime_dir

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Werror")
_ENTRY = "tc_test_run"
_LIBRARY = ("-shared", "-fPIC")
_BARE_LIBRARY = (*_LIBRARY, "-nodefaultlibs")
"""What the process that loads it has anyway, such as the sanitisers' libraries, takes a third of the linker's time."""


@dataclass(frozen=True)
class Block:
    """One memory block: contents before the run, and which arguments point into it at which byte offset."""

    content: bytes
    arguments: tuple[tuple[int, int], ...]


def run_kernel(
    kernel: Kernel,
    inputs: Sequence[Array | None],
    output_type: TensorType,
    *,
    share_operand: int | None = None,
    sanitize: bool = False,
    others: Sequence[TensorType] = (),
    result: int = 0,
) -> Array:
    """The output that the kernel computes.

    Args:
        kernel: with a function; its parameters are the inputs, the outputs, the constants, then the scratch.
        inputs: the node's operands; None for the constant ones, which are no parameters of the function.
        output_type: shape and dtype of the output, the first of several.
        share_operand: index of the operand whose memory the output shares: a key of `kernel.overlap`, or 0 if the
            kernel works in place.
        sanitize: run under the sanitisers.
        others: of the outputs behind the first. result: which of all is returned.
    Raises:
        AssertionError: the C doesn't compile without warnings, or a sanitiser complains.
    """
    operands = {index: array for index, array in enumerate(inputs) if array is not None}
    memory = memory_of(kernel, operands, output_type, share_operand, others)
    run = _run_sanitized if sanitize else _run_shared
    found = (output_type, *others)[result]
    data = run(kernel, memory, len(operands) + result, found.bytes)
    return found.dtype.unpack(data, found.elements).reshape(found.shape)


def compile_together(kernels: Sequence[Kernel]) -> None:
    """For `run_kernel` under the sanitisers: one library, in half the compiler's time for as many."""
    entries = {f"{_ENTRY}_{index}": kernel for index, kernel in enumerate(kernels)}
    library = _build(programs(entries), (*EVERYTHING, *_BARE_LIBRARY), ".so")
    _TOGETHER.update((program(kernel), (library, entry)) for entry, kernel in entries.items())


_TOGETHER = dict[str, tuple[Path, str]]()
"""Library and entry of kernels by what `program` says of them."""


def compile_for_arm(kernel: Kernel, core: str = "cortex-m7", optimize: str = "-O3", *flags: str) -> str:
    """Compile with arm-none-eabi-gcc and more flags, all warnings as errors; returns the assembly text."""
    gcc = shutil.which("arm-none-eabi-gcc")
    if gcc is None:
        raise FileNotFoundError("arm-none-eabi-gcc is not installed")
    command = [gcc, f"-mcpu={core}", "-mthumb", optimize, *_common_flags(), *flags, "-S", "-x", "c", "-", "-o", "-"]
    return _tool(command, stdin=program(kernel).encode()).decode()


def program(kernel: Kernel, entry: str = _ENTRY) -> str:
    """The kernel as a translation unit with an entry that takes an array of argument pointers."""
    return programs({entry: kernel})


def programs(kernels: Mapping[str, Kernel]) -> str:
    """A translation unit of kernels, by the names of their entries, each as in `program`."""
    called = list(dict.fromkeys(each for kernel in kernels.values() for each in _function_of(kernel).all_called))
    names = {function: f"function_{number}" for number, function in enumerate(called)}
    includes = dict.fromkeys(f'#include "{header}"\n' for each in called for header in each.headers)
    preambles = "\n".join(dict.fromkeys(str(text) for each in called for text in each.preambles))
    bodies = "\n".join(
        f"static void {names[each]}({', '.join(each.parameters)})\n"
        f"{{\n{each.calling([names[callee] for callee in each.callees])}}}\n"
        for each in called
    )
    entries = "".join(_entry(name, kernel, names) for name, kernel in kernels.items())
    standard = "#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n"
    return f"{standard}{''.join(includes)}\n{preambles}\n{bodies}\n{entries}"


def _entry(name: str, kernel: Kernel, names: Mapping[Function, str]) -> str:
    function = _function_of(kernel)
    types = (re.sub(r"\w+$", "", parameter) for parameter in pointers_of(kernel))  # C++ wants them written
    arguments = [f"({kind.strip()})arguments[{index}]" for index, kind in enumerate(types)]
    arguments += ["NULL", "TC_BOTH_CORES"] if kernel.together else []
    return (
        f"void {name}(void *const *arguments);\n"
        f"void {name}(void *const *arguments)\n{{\n    {names[function]}({', '.join(arguments)});\n}}\n"
    )


def pointers_of(kernel: Kernel) -> Sequence[str]:
    """Its parameters but for those that say which of two cores calls."""
    parameters = kernel.function.parameters if kernel.function else ()
    return parameters[:-2] if kernel.together else parameters


def _function_of(kernel: Kernel) -> Function:
    if kernel.function is None:
        raise ValueError(f"{kernel.variant} has no code")
    return kernel.function


def memory_of(
    kernel: Kernel,
    operands: Mapping[int, Array],
    output_type: TensorType,
    share_operand: int | None,
    others: Sequence[TensorType] = (),
) -> list[Block]:
    """The blocks behind the parameters: operands, outputs, constants, scratch."""
    blocks, output_index = list[Block](), len(operands)
    for position, (operand, array) in enumerate(operands.items()):
        if operand == share_operand:
            alignment = max(array.itemsize, output_type.dtype.carrier.itemsize)
            distance = -(-kernel.distances.get(operand, 0) // alignment) * alignment
            blocks.append(_shared_block(array, position, output_type.bytes, output_index, distance))
        else:
            blocks.append(Block(np.ascontiguousarray(array).tobytes(), ((position, 0),)))
    if share_operand is None:
        blocks.append(Block(b"\x5a" * output_type.bytes, ((output_index, 0),)))
    rest = [b"\x5a" * other.bytes for other in others]
    rest += [np.ascontiguousarray(constant.values).tobytes() for constant in kernel.constants]
    if kernel.scratch_bytes:
        rest.append(b"\xa5" * kernel.scratch_bytes)
    blocks += [Block(data, ((position, 0),)) for position, data in enumerate(rest, start=output_index + 1)]
    parameters = pointers_of(kernel)
    if sum(len(block.arguments) for block in blocks) != len(parameters):
        raise AssertionError(f"{kernel.variant}: {len(operands)} operands for the parameters {parameters}")
    return blocks


def _shared_block(array: Array, index: int, output_bytes: int, output_index: int, distance: int) -> Block:
    """Input and output in one block, the input `distance` bytes above the output (below if negative)."""
    data = np.ascontiguousarray(array).tobytes()
    input_at, output_at = max(distance, 0), max(-distance, 0)
    content = bytearray(b"\x5a" * max(input_at + len(data), output_at + output_bytes))
    content[input_at : input_at + len(data)] = data
    return Block(bytes(content), ((index, input_at), (output_index, output_at)))


def _common_flags() -> tuple[str, ...]:
    return ("-std=c99", *WARNINGS, f"-I{runtime_dir()}")


@cache
def _build_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tinycompile-host-kernel-")


def _tool(command: Sequence[str], stdin: bytes = b"") -> bytes:
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    if done.returncode:
        message = done.stderr.decode(errors="replace")
        raise AssertionError(f"{' '.join(command)}\n{message}\n{stdin.decode()}")
    return done.stdout


def _build(source: str, flags: Sequence[str], suffix: str) -> Path:
    """Compile `source` unless the same text was compiled before."""
    digest = hashlib.sha256("\0".join((source, *flags)).encode()).hexdigest()[:24]
    target = Path(_build_folder().name) / f"{digest}{suffix}"
    if not target.exists():
        command = ["cc", *_common_flags(), *flags, *_linker(), "-x", "c", "-"]
        _tool([*command, "-o", str(target), "-lm", "-lgcc"], source.encode())
    return target


@cache
def _linker() -> tuple[str, ...]:
    """A third faster than the usual one with the sanitizers' libraries, where it is installed."""
    return ("-fuse-ld=gold",) if shutil.which("ld.gold") else ()


def _run_shared(kernel: Kernel, memory: Sequence[Block], output_index: int, output_bytes: int) -> bytes:
    library_path = _build(program(kernel), ("-O2", *_LIBRARY), ".so")
    ffi = cffi.FFI()
    ffi.cdef(f"void {_ENTRY}(void *const *arguments);")
    library = ffi.dlopen(str(library_path))
    buffers = [ffi.new("uint64_t[]", len(block.content) // 8 + 1) for block in memory]
    pointers = ffi.new("void *[]", sum(len(block.arguments) for block in memory))
    output = ffi.NULL
    for block, buffer in zip(memory, buffers, strict=True):
        ffi.memmove(buffer, block.content, len(block.content))
        for index, offset in block.arguments:
            pointers[index] = ffi.cast("char *", buffer) + offset
            if index == output_index:
                output = pointers[index]
    getattr(library, _ENTRY)(pointers)
    return bytes(ffi.buffer(output, output_bytes))


def _run_sanitized(kernel: Kernel, memory: Sequence[Block], output_index: int, output_bytes: int) -> bytes:
    arguments = {index: (number, at) for number, block in enumerate(memory) for index, at in block.arguments}
    layout = [len(memory), *(len(block.content) for block in memory), len(arguments)]
    layout += [value for index in sorted(arguments) for value in arguments[index]]
    layout += [output_index, output_bytes]
    request = np.array(layout, np.uint32).tobytes() + b"".join(block.content for block in memory)
    source = program(kernel)
    library, entry = _TOGETHER.get(source) or (_build(source, (*EVERYTHING, *_BARE_LIBRARY), ".so"), _ENTRY)
    output = _runner().run(library, entry, request, output_bytes)
    if output is None:
        raise AssertionError(f"the kernel failed under the sanitisers:\n{_report(source, request, output_bytes)}")
    return output


def _report(source: str, request: bytes, output_bytes: int) -> str:
    """What the sanitisers say of a kernel that fails, which is compiled again for it."""
    library = _build(source, (*REPORT, *_BARE_LIBRARY), ".so")
    with tempfile.TemporaryFile() as messages:
        _Runner(messages).run(library, _ENTRY, request, output_bytes)
        messages.seek(0)
        return re.sub(r"(?s)Shadow bytes.*", "", messages.read().decode(errors="replace"))


class _Runner:
    """A process under the sanitisers that runs libraries in copies of itself.

    To start one for each kernel, with a program linked to the sanitisers, takes as long as to compile the kernel.
    """

    def __init__(self, messages: IO[bytes]) -> None:
        """`messages`: a file for what the sanitisers say."""
        executable = _build(_RUNNER, _RUNNER_FLAGS, "")
        # No search for leaks, a third of the time: kernels allocate nothing.
        environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=1"}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen([executable], stdin=pipe, stdout=pipe, stderr=messages, env=environment)

    def run(self, library: Path, entry: str, request: bytes, output_bytes: int) -> bytes | None:
        """What a function of the library writes; None if it fails."""
        to, answer = self._process.stdin, self._process.stdout
        if to is None or answer is None:
            raise ValueError("a runner has pipes")
        name = f"{library}\n{entry}".encode()
        to.write(len(name).to_bytes(4, "little") + name + request)
        to.flush()
        status = answer.read(4)
        if len(status) != 4:
            raise AssertionError(f"the sanitisers' process ended with exit code {self._process.wait()}")
        return answer.read(output_bytes) if status == bytes(4) else None


@cache
def _runner() -> _Runner:
    return _Runner((Path(_build_folder().name) / "messages").open("wb"))


_RUNNER_FLAGS = ("-O1", "-D_DEFAULT_SOURCE", "-fsanitize=address,undefined")
# Each request is the name of the library and its function, the layout, then the blocks: each one of the heap's, of
# exactly its size.
_RUNNER = """
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
typedef void entry(void *const *arguments);
static void read_all(void *data, size_t bytes)
{
    if (fread(data, 1, bytes, stdin) != bytes) {
        exit(3);
    }
}
static uint32_t read_number(void)
{
    uint32_t number;
    read_all(&number, sizeof number);
    return number;
}
static void run(char *name, void *const *arguments)
{
    char *const end = strchr(name, '\\n');
    if (end == NULL) {
        _exit(8);
    }
    *end = '\\0';
    void *const library = dlopen(name, RTLD_NOW);
    entry *function = NULL;
    if (library != NULL) {
        *(void **)&function = dlsym(library, end + 1);
    }
    if (function == NULL) {
        fprintf(stderr, "%s\\n", dlerror());
        _exit(5);
    }
    function(arguments);
}
static void answer(char *name, void *const *arguments, uint32_t output, size_t output_bytes)
{
    char *const shared = mmap(NULL, output_bytes + 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 1;
    if (shared == MAP_FAILED) {
        exit(6);
    }
    const pid_t child = fork();
    if (child == 0) {
        run(name, arguments);
        memcpy(shared, arguments[output], output_bytes);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        exit(7);
    }
    fwrite(&status, sizeof status, 1, stdout);
    fwrite(shared, 1, status == 0 ? output_bytes : 0, stdout);
    fflush(stdout);
    munmap(shared, output_bytes + 1);
}
int main(void)
{
    uint32_t name_bytes;
    while (fread(&name_bytes, sizeof name_bytes, 1, stdin) == 1) {
        char name[4096] = "";
        size_t bytes[32];
        char *blocks[32];
        void *arguments[32];
        if (name_bytes >= sizeof name) {
            return 8;
        }
        read_all(name, name_bytes);
        const uint32_t block_count = read_number();
        for (uint32_t i = 0; i < block_count; ++i) {
            bytes[i] = read_number();
            blocks[i] = malloc(bytes[i]);
        }
        const uint32_t argument_count = read_number();
        for (uint32_t i = 0; i < argument_count; ++i) {
            char *block = blocks[read_number()];
            arguments[i] = block + read_number();
        }
        const uint32_t output = read_number();
        const size_t output_bytes = read_number();
        for (uint32_t i = 0; i < block_count; ++i) {
            read_all(blocks[i], bytes[i]);
        }
        answer(name, arguments, output, output_bytes);
        for (uint32_t i = 0; i < block_count; ++i) {
            free(blocks[i]);
        }
    }
    return 0;
}
"""
