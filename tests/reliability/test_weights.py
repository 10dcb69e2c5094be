"""Separate weights: field updates that fit, and everything that doesn't. Flipped bits, 1,000 of them, in both kinds."""

from __future__ import annotations

import re
import shutil
import zlib
from pathlib import Path

import cffi
import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

import tinycompile
from tests.conftest import DIGITS
from tests.reliability.programs import sources
from tests.support.random_model import RandomModel
from tests.support.tflite_builder import NONE, SAME, TfliteBuilder
from tinycompile.build import Build
from tinycompile.codegen.blob import HEADER_BYTES
from tinycompile.errors import TargetError, ToolFailedError, UsageError
from tinycompile.toolchain import run

OK, NULL, ALIGNMENT, WEIGHTS, FORMAT, GRAPH, INIT = 0, 1, 2, 4, 6, 7, 8
FLIPS = 1000


def network(weights: np.ndarray, *, bias: bool = True) -> bytes:
    """A convolution with or without a bias, a depthwise one, a pointwise one."""
    b = TfliteBuilder()
    x, y, z, last = (b.tensor((1, 6, 6, c), s, 3) for c, s in ((2, 0.05), (4, 0.2), (4, 0.4), (3, 0.6)))
    fields = {"StrideH": 1, "StrideW": 1, "Padding": SAME, "FusedActivationFunction": NONE}
    last_operand = b.constant(np.array([0, -200, 100, 300], np.int32), [0.0005] * 4) if bias else -1
    b.op("CONV_2D", [x, b.constant(weights[:72].reshape(4, 3, 3, 2), [0.01] * 4), last_operand], [y], **fields)
    depthwise = b.constant(weights[72:].reshape(1, 3, 3, 4), [0.02] * 4, axis=3)
    b.op("DEPTHWISE_CONV_2D", [y, depthwise, -1], [z], DepthMultiplier=1, **fields)
    pointwise = b.constant(weights[60:72].reshape(3, 1, 1, 4), [0.02] * 3)
    b.op("CONV_2D", [z, pointwise, -1], [last], **fields)
    return b.build([x], [last])


def some_weights(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-127, 128, 108).astype(np.int8)


def built(content: bytes, folder: Path, target: str = "mps2-an386") -> Build:
    folder.mkdir()
    (folder / "net.tflite").write_bytes(content)
    return tinycompile.compile(folder / "net.tflite", target=target, output=folder / "out", weights="separate")


def with_weights(build: Build, content: bytes, folder: Path) -> Build:
    """The same code beside another file of weights."""
    shutil.copytree(build.folder, folder)
    (folder / "net_weights.bin").write_bytes(content)
    return Build(folder)


X = np.random.default_rng(9).integers(-128, 128, (2, 6, 6, 2)).astype(np.int8)


@pytest.mark.parametrize("target", ["mps2-an386", "mps2-an500", "mps3-an547"])
def test_a_field_update_needs_no_new_code(target: str, tmp_path: Path) -> None:
    old = built(network(some_weights(0)), tmp_path / "old", target)
    new = built(network(some_weights(1)), tmp_path / "new", target)
    assert old.weights is not None and new.weights is not None
    before, after = old.run(X, on="qemu"), new.run(X, on="qemu")
    assert np.any(before != after)
    updated = with_weights(old, new.weights.read_bytes(), tmp_path / "updated")
    np.testing.assert_array_equal(updated.run(X), after)
    np.testing.assert_array_equal(updated.run(X, on="qemu"), after)
    assert (updated.folder / "firmware.elf").read_bytes() == (old.folder / "firmware.elf").read_bytes()


def test_weights_that_need_other_code_are_refused(tmp_path: Path) -> None:
    """A channel of zeros is eliminated: the loops are shorter."""
    dead = some_weights(0)
    dead[:18] = 0
    old, new = (built(network(w), tmp_path / n) for n, w in (("old", some_weights(0)), ("new", dead)))
    assert new.weights is not None
    assert old.report["weights_file"]["graph"] != new.report["weights_file"]["graph"]
    wrong = with_weights(old, new.weights.read_bytes(), tmp_path / "wrong")
    with pytest.raises(ToolFailedError, match=f"returned {GRAPH}"):
        wrong.run(X)
    with pytest.raises(ToolFailedError, match="exit status 4"):
        wrong.run(X, on="qemu")


def test_the_name_of_the_file_and_of_the_layers_does_not_matter(tmp_path: Path) -> None:
    content = network(some_weights(0))
    (tmp_path / "v2.tflite").write_bytes(content)
    first = built(content, tmp_path / "a").report["weights_file"]
    again = tinycompile.compile(tmp_path / "v2.tflite", "mps2-an386", output=tmp_path / "o", weights="separate")
    assert again.report["weights_file"]["graph"] == first["graph"]


class Library:
    """The generated C with `init`, and weights that can be damaged."""

    def __init__(self, build: Build, folder: Path) -> None:
        self.ffi = cffi.FFI()
        self.ffi.cdef(
            "int net_init(void *); int net_init_with(void *, const void *); int net_invoke(void *);"
            "int net_check_abi(void *, unsigned, unsigned);"
        )
        library = folder / "libnet.so"
        files = [str(path) for path in sources(build.folder.resolve(), "net")]
        run(["gcc", "-std=c99", "-O1", "-fPIC", "-shared", *files, "-lm", "-o", str(library)], cwd=folder)
        self.c = self.ffi.dlopen(str(library))
        self.context = self.ffi.new("uint64_t[]", 4096)
        header = (build.folder / "net.h").read_text()
        self.abi = int(re.findall(r"NET_ABI (0x\w+)u", header)[0], 16)
        self.context_bytes = build.report["ram"]["arena_bytes"] + 2 * self.ffi.sizeof("void *")

    def init(self, content: bytes, shift: int = 0) -> int:
        memory = self.ffi.new("uint64_t[]", len(content) // 8 + 2)
        self.keep = memory
        at = self.ffi.cast("char *", memory) + shift
        self.ffi.memmove(at, content, len(content))
        return self.c.net_init_with(self.context, self.ffi.new("void *[3]", [self.ffi.NULL, self.ffi.NULL, at]))

    def check(self) -> int:
        return self.c.net_check_abi(self.context, self.abi, self.context_bytes)


@pytest.fixture(scope="module")
def separate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, bytes]:
    folder = tmp_path_factory.mktemp("separate")
    build = built(network(some_weights(0)), folder / "net", "host")
    assert build.weights is not None
    return Library(build, folder), build.weights.read_bytes()


def test_what_init_refuses(separate: tuple[Library, bytes]) -> None:
    library, good = separate

    def changed(at: int, value: bytes) -> bytes:
        return good[:at] + value + good[at + len(value) :]

    assert library.c.net_init(library.ffi.NULL) == NULL
    assert library.c.net_init(library.context) == NULL  # no linker script says where they are
    assert library.c.net_invoke(library.context) == INIT
    assert library.init(good) == OK and library.c.net_invoke(library.context) == OK and library.check() == OK
    assert library.init(good, shift=4) == ALIGNMENT
    assert library.c.net_invoke(library.context) == INIT  # refused ones leave nothing behind
    for content, status in [
        (bytes(len(good)), FORMAT),
        (b"\xff" * len(good), FORMAT),  # erased flash
        (changed(4, b"\1"), FORMAT),
        (changed(8, (len(good) - HEADER_BYTES + 8).to_bytes(4, "little")), GRAPH),
        (changed(16, b"\0"), GRAPH),
        (changed(12, b"\0\0\0\0"), WEIGHTS),
        (changed(HEADER_BYTES, bytes([good[HEADER_BYTES] ^ 1])), WEIGHTS),
    ]:
        assert library.init(content) == status
    assert zlib.crc32(good[HEADER_BYTES:]) == int.from_bytes(good[12:16], "little")


def test_every_flipped_bit_of_separate_weights_is_found(separate: tuple[Library, bytes]) -> None:
    """The header's bits included."""
    library, good = separate
    found, rng = 0, np.random.default_rng(0)
    for bit in rng.choice(len(good) * 8, FLIPS, replace=False):
        damaged = bytearray(good)
        damaged[bit // 8] ^= 1 << (bit % 8)
        found += library.init(bytes(damaged)) != OK
    assert found == FLIPS
    assert library.init(good) == OK
    memory = library.ffi.buffer(library.keep)
    for bit in rng.choice(len(good) * 8, FLIPS, replace=False):  # after init: check() finds it
        memory[bit // 8] = bytes([memory[bit // 8][0] ^ (1 << (bit % 8))])
        assert library.check() != OK
        memory[bit // 8] = bytes([memory[bit // 8][0] ^ (1 << (bit % 8))])
    assert library.check() == OK


PROGRAM = """\
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "MODEL.h"
ARRAYS
static MODEL_context context;
static const struct { const void *data; size_t bytes; } arrays[] = {TABLE};

int main(void)
{
    size_t total = 0, found = 0;
    const size_t count = sizeof arrays / sizeof arrays[0];
    for (size_t i = 0; i < count; i++) {
        const uintptr_t page = (uintptr_t)arrays[i].data & ~(uintptr_t)4095;
        total += arrays[i].bytes;
        if (mprotect((void *)page, (uintptr_t)arrays[i].data + arrays[i].bytes - page, PROT_READ | PROT_WRITE) != 0) {
            return 2;
        }
    }
    if (MODEL_init(&context) != UPPER_OK) {
        return 3;
    }
    srand(1);
    for (int flip = 0; flip < FLIPS; flip++) {
        size_t bit = (size_t)rand() % (total * 8u), i = 0;
        while (bit >= arrays[i].bytes * 8u) {
            bit -= arrays[i++].bytes * 8u;
        }
        volatile unsigned char *const byte = (volatile unsigned char *)(uintptr_t)arrays[i].data + bit / 8u;
        *byte ^= (unsigned char)(1u << (bit % 8u));
        found += MODEL_check(&context) == UPPER_ERROR_WEIGHTS;
        *byte ^= (unsigned char)(1u << (bit % 8u));
    }
    printf("%d %zu\\n", MODEL_check(&context), found);
    return 0;
}
"""


@pytest.mark.parametrize("seed", [None, 3, 5])
def test_every_flipped_bit_of_embedded_weights_is_found(seed: int | None, tmp_path: Path) -> None:
    model = DIGITS / "digits_int8.tflite"
    if seed is not None:
        model = tmp_path / "net.tflite"
        model.write_bytes(RandomModel(seed).build(layers=6)[0])
    build = tinycompile.compile(model, target="host", output=tmp_path / "out")
    name, header = build.model, (tmp_path / "out" / f"{build.model}_weights.h").read_text()
    names = re.findall(r"^extern const \w+ (\w+)\[", header, re.MULTILINE)
    program = (
        PROGRAM.replace("ARRAYS", f'#include "{name}_weights.h"').replace("MODEL", name).replace("UPPER", name.upper())
    )
    program = program.replace("TABLE", ", ".join(f"{{{n}, sizeof {n}}}" for n in names)).replace("FLIPS", str(FLIPS))
    (tmp_path / "program.c").write_text(program)
    files = [str(path) for path in (tmp_path / "program.c", *sources(tmp_path / "out", name))]
    run(["gcc", "-std=c99", "-O2", f"-I{tmp_path / 'out'}", *files, "-lm", "-o", str(tmp_path / "p")], cwd=tmp_path)
    assert run([str(tmp_path / "p")], cwd=tmp_path).split() == ["0", str(FLIPS)]


def test_the_firmware_refuses_damaged_weights(tmp_path: Path) -> None:
    """Embedded ones, in QEMU: a bit of the image is flipped where the weights are."""
    build = tinycompile.compile(DIGITS / "digits_int8.tflite", target="mps2-an386", output=tmp_path / "out")
    elf = build.folder / "firmware.elf"
    content = bytearray(elf.read_bytes())
    with elf.open("rb") as file:
        image = ELFFile(file)
        symbol = image.get_section_by_name(".symtab").get_symbol_by_name("digits_int8_top_relu_1_weights")[0]
        section = image.get_section(symbol["st_shndx"])
        content[symbol["st_value"] - section["sh_addr"] + section["sh_offset"] + 11] ^= 4
    samples = np.load(DIGITS / "digits_samples.npz")["input_0"][:1]
    build.run(samples, on="qemu")
    elf.write_bytes(content)
    with pytest.raises(ToolFailedError, match="exit status 4"):
        build.run(samples, on="qemu")


def test_two_models_with_separate_weights(tmp_path: Path) -> None:
    from tinycompile.options import Options
    from tinycompile.pipeline import compile_together

    for name, seed in (("a", 0), ("b", 1)):
        (tmp_path / f"{name}.tflite").write_bytes(network(some_weights(seed)))
    options = Options("mps2-an386", weights="separate")
    builds = compile_together([tmp_path / "a.tflite", tmp_path / "b.tflite"], options, output=tmp_path / "out")
    for build in builds:
        np.testing.assert_array_equal(build.run(X), build.run(X, on="qemu"))
    addresses = [build.report["weights_file"]["address"] for build in builds]
    assert addresses[0] + builds[0].report["weights_file"]["bytes"] == addresses[1]


def test_boards_without_a_place_and_unknown_words(tmp_path: Path) -> None:
    model = DIGITS / "digits_int8.tflite"
    with pytest.raises(TargetError, match=r"no \[weights\] section"):
        tinycompile.compile(model, target="stm32n6", output=tmp_path / "out", weights="separate")
    with pytest.raises(UsageError, match="--weights"):
        tinycompile.compile(model, output=tmp_path / "out", weights="outside")
    assert list(tmp_path.iterdir()) == []
