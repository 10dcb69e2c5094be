"""The same generated C under other compilers, levels and sanitizers: what it computes, and what they report."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.reliability.programs import run_c, sources
from tinycompile.build import Build
from tinycompile.emulator import execute
from tinycompile.samples import drop_batch
from tinycompile.toolchain import make

CHECKED = "-g -fno-omit-frame-pointer -fno-sanitize-recover=all"
SANITIZERS = {
    "gcc address+undefined": ("gcc", f"-O1 {CHECKED} -fsanitize=address,undefined"),
    "gcc undefined -O2": ("gcc", f"-O2 {CHECKED} -fsanitize=undefined"),
    "clang integer": (
        "clang",
        # Unsigned arithmetic wraps on purpose: bytes in lanes of words, CRCs, hashes of addresses.
        f"-O1 {CHECKED} -fsanitize=undefined,integer -fno-sanitize=unsigned-integer-overflow,unsigned-shift-base",
    ),
}
LEVELS = ("-O0", "-O2", "-O3", "-Os", "-O2 -flto")
# Vectorisers take what they know of an array's alignment at its word; x86 faults where that isn't so.
HOSTS = ("gcc -O3", "clang -O3")
ANALYZERS = {
    "gcc -fanalyzer": ["gcc", "-std=c99", "-O1", "-fanalyzer", "-Wall", "-Wextra", "-Werror", "-c", "-o", "/dev/null"],
    "clang --analyze": ["clang", "-std=c99", "--analyze", "-Xclang", "-analyzer-werror", "-o", "/dev/null"],
}

_PROGRAM = """\
#include "MODEL.h"
#include <stdio.h>

static MODEL_context context;

int main(int count, char **files)
{
    FILE *const in = fopen(files[1], "rb"), *const out = fopen(files[2], "wb");
    (void)count;
    if (in == NULL || out == NULL) {
        return 3;
    }
    if (MODEL_init(&context) != PREFIX_OK || MODEL_check(&context) != PREFIX_OK) {
        return 4;
    }
    while (READ) {
        if (MODEL_invoke(&context) != PREFIX_OK || !(WRITE)) {
            return 5;
        }
    }
    return fclose(in) | fclose(out);
}
"""


def program(build: Build) -> str:
    """Samples from a file, results to another; inputs row by row aren't for this."""
    model, prefix = build.model, build.model.upper()
    reads, writes = (
        [
            f"f{action}({model}_{kind}put_{i}(&context), {prefix}_{kind.upper()}PUT_{i}_BYTES, 1, {kind}) == 1"
            for i in range(len(tensors))
        ]
        for action, kind, tensors in (("read", "in", build.inputs), ("write", "out", build.outputs))
    )
    text = _PROGRAM.replace("MODEL", model).replace("PREFIX", prefix)
    return text.replace("READ", " && ".join(reads)).replace("WRITE", " && ".join(writes))


def sanitized(build: Build, inputs: Sequence[np.ndarray], kind: str, work: Path) -> list[np.ndarray]:
    """Outputs of a sanitized build on this machine. Raises CalledProcessError with the sanitizer's report."""
    return on_host(build, inputs, *SANITIZERS[kind], work)


def on_host(build: Build, inputs: Sequence[np.ndarray], compiler: str, flags: str, work: Path) -> list[np.ndarray]:
    """Outputs on this machine, by a compiler with flags. Raises CalledProcessError where the program fails."""
    work.mkdir(parents=True, exist_ok=True)
    rows = [b"".join(array[i].tobytes() for array in inputs) for i in range(len(inputs[0]))]
    (work / "in.bin").write_bytes(b"".join(rows))
    files = (str(work / "in.bin"), str(work / "out.bin"))
    run_c(build.folder.resolve(), build.model, program(build), work, *flags.split(), compiler=compiler, arguments=files)
    data, stride = (work / "out.bin").read_bytes(), sum(t.bytes for t in build.outputs)
    table = np.frombuffer(data, np.uint8).reshape(len(rows), stride)
    ends = np.cumsum([t.bytes for t in build.outputs])[:-1]
    parts = np.split(table, ends, axis=1)
    return [
        drop_batch(np.ascontiguousarray(part).view(t.dtype.carrier).reshape(-1, *t.shape))
        for part, t in zip(parts, build.outputs, strict=True)
    ]


def analyzed(build: Build, kind: str) -> None:
    """Raises CalledProcessError where the analyzer has something to say."""
    for source in sources(build.folder.resolve(), build.model):
        subprocess.run([*ANALYZERS[kind], str(source)], check=True, capture_output=True, text=True)


def at_level(build: Build, level: str, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Outputs in QEMU of the firmware compiled by arm-none-eabi-gcc at another level."""
    makefile = build.folder / "Makefile"
    text = makefile.read_text()
    try:
        make(build.folder, "clean")
        makefile.write_text(_roomy(text).replace("OPTIMIZATION ?= -O2", f"OPTIMIZATION ?= {level}"))
        make(build.folder, _image(build))
        outputs = execute(build.elf(_image(build)), build.emulated, inputs, build.outputs).outputs
        return [drop_batch(array) for array in outputs]
    finally:
        makefile.write_text(text)


def by_clang(build: Build, inputs: Sequence[np.ndarray], level: str = "-O2") -> list[np.ndarray]:
    """Outputs in QEMU with the model compiled by clang, the rest by arm-none-eabi-gcc."""
    makefile = build.folder / "Makefile"
    text = makefile.read_text()
    try:
        make(build.folder, "clean")
        # clang marks its objects as having no executable stack; newlib's have no such mark, of which the linker warns.
        makefile.write_text(_roomy(text).replace(" -Wl,--fatal-warnings", ""))
        (build.folder / "build").mkdir()
        for source in sources(build.folder.resolve(), build.model):
            flags = [
                "--target=thumbv7em-none-eabi",
                *build.emulated.cflags,
                level,
                "-std=c99",
                "-ffp-contract=off",
                "-fshort-enums",
            ]
            flags += ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Wcast-qual"]
            flags += ["-Wstrict-prototypes", "-Werror", "-isystem", "/usr/lib/arm-none-eabi/include"]
            command = ["clang", *flags, "-c", str(source), "-o", str(build.folder / "build" / f"{source.stem}.o")]
            subprocess.run(command, check=True, capture_output=True, text=True)
        make(build.folder, _image(build))
        outputs = execute(build.elf(_image(build)), build.emulated, inputs, build.outputs).outputs
        return [drop_batch(array) for array in outputs]
    finally:
        makefile.write_text(text)


def _image(build: Build) -> str:
    return "firmware_qemu.elf" if build.board.stand_in else "firmware.elf"


def _roomy(makefile: str) -> str:
    """-O0 needs more stack than the code that was measured."""
    return makefile.replace("STACK_BYTES ?= ", "STACK_BYTES ?= 4096 # ")
