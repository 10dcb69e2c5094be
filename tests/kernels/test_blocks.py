"""Block functions, defined by the macros of `runtime/kernels/tc_*_block.h` and without the generator.

Their portable twins are compared with NumPy on the host, the assembly with its twins in QEMU, on words of any value:
sums wrap as in the registers. `blocks.c` defines one of every kind and form.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import pytest

from tests.support.emulated_kernel import run_program
from tests.support.full import also
from tests.support.host_kernel import WARNINGS
from tinycompile.ir import Array
from tinycompile.resources import runtime_dir

HERE = Path(__file__).parent
_FOLDER = tempfile.TemporaryDirectory(prefix="tinycompile-blocks-")
SOURCE = HERE / "blocks.c"


@dataclass(frozen=True)
class Form:
    """The arguments of a line of FORMS in `blocks.c`."""

    signed: bool
    unsigned: bool
    bits: int
    shift: int
    low: int
    high: int
    rounded: bool = False

    @property
    def words(self) -> int:
        """int32 parameters per channel."""
        return 3 if self.signed else 2

    def requantized(self, a: Array, parameters: Array) -> Array:
        """int8 of accumulators; `parameters` (..., words) of each one's channel."""
        a = wrapped(a)
        multiplier, offset = parameters[..., 0].astype(np.int64), parameters[..., 1].astype(np.int64)
        if self.signed:
            offset = wrapped(offset - np.where(a < 0, parameters[..., 2], 0))
        if self.rounded:
            offset = wrapped(offset + (a >> 31))
        t = wrapped(offset + (a * multiplier + (2**31 if self.rounded else 0) >> 32)) >> self.shift
        smallest, largest = (
            (0, 2**self.bits - 1) if self.unsigned else (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
        )
        return np.clip(np.clip(t, smallest, largest), self.low, self.high).astype(np.int8)


FORMS = (
    Form(False, False, 8, 13, -128, 127),
    Form(True, False, 8, 12, -128, 127),
    Form(False, True, 7, 11, 0, 127),
    Form(True, False, 7, 10, -64, 63),
    Form(False, False, 8, 9, -100, 127),
    Form(True, False, 8, 9, -128, 50),
    Form(True, False, 8, 14, -60, 70),
    Form(False, False, 7, 8, -30, 40),
    Form(True, True, 7, 12, 5, 90),
    Form(False, False, 8, 0, -128, 127),
)
FEW_FORMS = (0, 1, 7)
"""Those of FEW_FORMS in `blocks.c`."""
MATRIX_FORMS = (*(FORMS[index] for index in FEW_FORMS), Form(False, False, 8, 12, -128, 127, rounded=True))

forms = pytest.mark.parametrize("form", range(len(FORMS)))


def wrapped(values: Array) -> Array:
    """Modulo 2^32, as an int32 register holds it; int64."""
    return values.astype(np.int64).astype(np.uint32).astype(np.int32).astype(np.int64)


def halves(words: Array) -> Array:
    """int64 (..., 2): the low and the high int16 lane of words."""
    return np.ascontiguousarray(words).view(np.int16).reshape(*words.shape, 2).astype(np.int64)


def even_bytes(words: Array) -> Array:
    """SXTB16: int64 (..., 2) bytes 0 and 2 of words."""
    return np.ascontiguousarray(words).view(np.int8).reshape(*words.shape, 4)[..., ::2].astype(np.int64)


def random_words(rng: np.random.Generator, *shape: int) -> Array:
    return rng.integers(-(2**31), 2**31, shape).astype(np.int32)


@cache
def library() -> tuple[cffi.FFI, Any]:
    """`blocks.c`, compiled for this machine."""
    ffi = cffi.FFI()
    ffi.cdef("""
        typedef void block(const void *, const void *, void *, const void *);
        extern block *const lane_blocks[30][2];
        extern block *const lane_rows[20][2];
        extern block *const products[8][2];
        extern int32_t products_pairs[8];
        extern block *const outputs[10][2];
        extern block *const outputs4[9][2];
        extern block *const rows_blocks[20][2];
        extern block *const bands_blocks[140][2];
        extern int32_t bands_shapes[7][2];
        extern block *const matrix_blocks[16][2];
        extern int32_t matrix_pairs[4];
        extern int32_t form_count;
        typedef struct { uint32_t entry; uint32_t stride; const void *weights_end, *last_end, *x_end; } lane_job;
        typedef struct { const void *x_end, *weights_end; uint32_t entry; } row_job;
        typedef struct { int32_t band; uint32_t row, step, end, last_end; } depthwise_job;
        typedef struct { const void *rows_end, *columns_end; uint32_t step; int32_t start, parameters[3]; } matrix_job;
        typedef struct { uint32_t step, row; } target;
        typedef struct { uint32_t step, row, tile, wrap; } target4;
    """)
    folder = Path(_FOLDER.name)
    command = ["cc", "-std=c99", "-O0", *WARNINGS, f"-I{runtime_dir()}", "-shared", "-fPIC", str(SOURCE)]
    subprocess.run([*command, "-o", str(folder / "blocks.so")], check=True)
    return ffi, ffi.dlopen(str(folder / "blocks.so"))


def pointer(ffi: cffi.FFI, array: Array, offset: int = 0) -> Any:
    """To the word `offset` of a contiguous array."""
    return ffi.cast("char *", array.ctypes.data) + 4 * offset


def test_the_forms_are_those_of_the_source() -> None:
    assert library()[1].form_count == len(FORMS)


@forms
@pytest.mark.parametrize(("variant", "pixels"), [(0, 4), (1, 3), (2, 3)])
def test_lane_blocks(form: int, variant: int, pixels: int) -> None:
    """Per 4 inputs p of each pixel, then q, times a word of weights and its even bytes."""
    (ffi, lib), rule = library(), FORMS[form]
    for seed, (groups, channels) in enumerate([(1, 1), (2, 2), (5, 3), (8, 4)]):
        rng = np.random.default_rng(seed)
        pairs = -(-channels // 2)
        x = random_words(rng, groups, 2, pixels)
        stream = [
            (random_words(rng, 2), random_words(rng, groups, 2), random_words(rng, 2, rule.words)) for _ in range(pairs)
        ]
        flat = np.concatenate([each.ravel() for pair in stream for each in pair])
        words = flat.size // pairs
        output = np.full((pixels, max(2, channels)), 99, np.int8)
        job = ffi.new("lane_job *", {"stride": output.shape[1]})
        job.weights_end = pointer(ffi, flat, words * max(1, channels // 2))
        job.last_end, job.x_end = pointer(ffi, flat, flat.size), pointer(ffi, x, x.size)
        lib.lane_blocks[3 * form + variant][0](pointer(ffi, x), pointer(ffi, flat), pointer(ffi, output), job)
        expected = np.zeros_like(output)
        for pair, (start, body, parameters) in enumerate(stream):
            products = np.einsum("gpl,gcl->pc", halves(x[:, 0]), halves(body))
            products += np.einsum("gpl,gcl->pc", halves(x[:, 1]), even_bytes(body))
            first = max(0, min(2 * pair, channels - 2))  # the last pair of an odd number repeats a channel
            expected[:, first : first + 2] = rule.requantized(products + start, parameters)
        np.testing.assert_array_equal(output, expected)


@forms
@pytest.mark.parametrize("direct", [False, True])
def test_lane_rows(form: int, direct: bool) -> None:
    """8 channels: p and q are in the row, or made of its bytes."""
    (ffi, lib), rule = library(), FORMS[form]
    for groups, blocks in [(1, 1), (4, 2), (7, 1)]:
        rng = np.random.default_rng(groups)
        x = random_words(rng, groups, 1 if direct else 2)
        start, body = random_words(rng, blocks, 8), random_words(rng, blocks, groups, 8)
        parameters = random_words(rng, blocks, 8, rule.words)
        flat = np.concatenate([start, body.reshape(blocks, -1), parameters.reshape(blocks, -1)], axis=1).ravel()
        output = np.zeros((blocks, 8), np.int8)
        job = ffi.new("row_job *", {"entry": groups % 2})
        job.x_end, job.weights_end = pointer(ffi, x, x.size), pointer(ffi, flat, flat.size)
        lib.lane_rows[2 * form + direct][0](pointer(ffi, x), pointer(ffi, flat), pointer(ffi, output), job)
        if direct:
            values = x.view(np.int8).reshape(groups, 4).astype(np.int64)
            p, q = -values[:, ::2] - 128, 256 * values[:, 1::2] + values[:, ::2] + 128
        else:
            p, q = halves(x[:, 0]), halves(x[:, 1])
        products = np.einsum("gl,bgcl->bc", p, halves(body)) + np.einsum("gl,bgcl->bc", q, even_bytes(body))
        np.testing.assert_array_equal(output, rule.requantized(products + start, parameters))


def test_matrix_blocks() -> None:
    """2 rows times 4 and 8 columns, of as many pairs of lanes as the block function is for."""
    ffi, lib = library()
    rng = np.random.default_rng(0)
    for (form, rule), variant, fours in product(enumerate(MATRIX_FORMS), range(4), (1, 2)):
        pairs = lib.matrix_pairs[variant]
        rows, columns = random_words(rng, pairs, 2), random_words(rng, fours, pairs, 4)
        start, parameters = 0 if rule.rounded else int(random_words(rng)), random_words(rng, 3)
        output = np.zeros((2, fours, 4), np.int8)
        job = ffi.new("matrix_job *", {"step": 4 * fours, "start": start, "parameters": parameters.tolist()})
        job.rows_end, job.columns_end = pointer(ffi, rows, rows.size), pointer(ffi, columns, columns.size)
        lib.matrix_blocks[4 * form + variant][0](pointer(ffi, rows), pointer(ffi, columns), pointer(ffi, output), job)
        sums = np.einsum("prl,fpcl->rfc", halves(rows), halves(columns)) + start
        np.testing.assert_array_equal(output, rule.requantized(sums, parameters))


@pytest.mark.parametrize("kind", range(8))
def test_winograd_products(kind: int) -> None:
    ffi, lib = library()
    pairs = lib.products_pairs[kind]
    rng = np.random.default_rng(0)
    u, v = random_words(rng, 16, pairs, 2), random_words(rng, 16, pairs, 4)
    sums = np.zeros((16, 2, 4), np.int32)
    lib.products[kind][0](pointer(ffi, u), pointer(ffi, v), pointer(ffi, sums), pointer(ffi, v, v.size))
    np.testing.assert_array_equal(sums, wrapped(np.einsum("ipcl,iptl->ict", halves(u), halves(v))))


@forms
def test_winograd_outputs(form: int) -> None:
    """A'MA of 4 tiles, with the start added at position (1, 1)."""
    (ffi, lib), rule = library(), FORMS[form]
    rng = np.random.default_rng(form)
    sums, parameters = random_words(rng, 4, 4, 2, 4), random_words(rng, 2, 1 + rule.words)
    output = np.zeros((2, 8, 2), np.int8)
    target = ffi.new("target *", {"step": 2, "row": 16})
    lib.outputs[form][0](pointer(ffi, sums), pointer(ffi, parameters), pointer(ffi, output), target)
    a = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
    m = sums.astype(np.int64)
    m[1, 1] += parameters[:, :1]
    accumulators = np.einsum("yi,ijct,xj->ytxc", a, m, a).reshape(2, 8, 2)
    np.testing.assert_array_equal(output, rule.requantized(accumulators, parameters[:, 1:]))


@pytest.mark.parametrize(("few", "form"), list(enumerate(FEW_FORMS)))
@pytest.mark.parametrize(("variant", "tile_rows"), [(0, 1), (0, 2), (2, 1), (2, 2)])
def test_winograd4_outputs(few: int, form: int, variant: int, tile_rows: int) -> None:
    """The same for 6x6 positions, of tiles beside each other or two by two."""
    (ffi, lib), rule = library(), FORMS[form]
    rng = np.random.default_rng(form)
    sums, parameters = random_words(rng, 37, 2, 4), random_words(rng, 2, 1 + rule.words)
    width = 16 // tile_rows
    output = np.zeros((4 * tile_rows, width, 2), np.int8)
    target = ffi.new(
        "target4 *", {"step": 2, "row": 2 * width, "tile": 8, "wrap": 8 * width - 16 if tile_rows == 2 else 0}
    )
    lib.outputs4[3 * few + variant][0](pointer(ffi, sums), pointer(ffi, parameters), pointer(ffi, output), target)
    a = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 4]])
    m = sums[:36].astype(np.int64).reshape(6, 6, 2, 4)
    m[1, 1] += parameters[:, :1]
    tiles = np.einsum("yi,ijct,xj->tyxc", a, m, a).reshape(tile_rows, -1, 4, 4, 2)
    accumulators = tiles.transpose(0, 2, 1, 3, 4).reshape(output.shape)
    np.testing.assert_array_equal(output, rule.requantized(accumulators, parameters[:, 1:]))


def depthwise(block: Any, planes: Array, weights: Array, width: int, stride: int) -> Array:
    """Both output rows, (2, width), of which the lower one is empty with stride 2."""
    ffi, _ = library()
    output = np.full((2, width), 99, np.int8)
    job = ffi.new("depthwise_job *", {"band": 4 * planes.shape[1], "row": width, "step": 1 if width > 1 else 0})
    job.end = 8 * stride * max(1, width // 2)
    job.last_end = job.end + (4 * stride if width % 2 and width > 1 else 0)
    block(pointer(ffi, planes), pointer(ffi, weights), pointer(ffi, output), job)
    return output


@forms
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_rows_blocks(form: int, stride: int) -> None:
    """The pairs of one plane with the first two taps of each column, those of the next with the last two."""
    rule = FORMS[form]
    for width in (1, 2, 5):
        rng = np.random.default_rng(width)
        planes = random_words(rng, 2, 16)
        taps, start = random_words(rng, 2, 3), random_words(rng, 1)
        parameters = random_words(rng, rule.words)
        weights = np.concatenate([taps.ravel(), start, parameters])
        output = depthwise(library()[1].rows_blocks[2 * form + stride - 1][0], planes, weights, width, stride)
        pixels, lanes = halves(planes), halves(taps)
        for x in range(width):
            window = pixels[:, x * stride : x * stride + 3]
            upper = np.sum(window[0] * lanes[0]) + np.sum(window[1, :, 0] * lanes[1, :, 1])
            lower = np.sum(window[0, :, 1] * lanes[0, :, 0]) + np.sum(window[1] * lanes[1])
            assert output[0, x] == rule.requantized(upper + start, parameters)
            assert output[1, x] == (rule.requantized(lower + start, parameters) if stride == 1 else 99)


@forms
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_bands_blocks(form: int, stride: int) -> None:
    """The pairs of all planes with those of the taps, which differ by output row."""
    (_, lib), rule = library(), FORMS[form]
    for index, (taps, bands) in enumerate(map(tuple, lib.bands_shapes)):
        for width in (1, 2, 5):
            rng = np.random.default_rng(width)
            planes = random_words(rng, bands, 20)
            body, start = random_words(rng, bands, taps, 3 - stride), random_words(rng, 1)
            parameters = random_words(rng, rule.words)
            weights = np.concatenate([body.ravel(), start, parameters])
            block = lib.bands_blocks[2 * (7 * form + index) + stride - 1][0]
            output = depthwise(block, planes, weights, width, stride)
            pixels, lanes = halves(planes), halves(body)
            for x in range(width):
                sums = np.einsum("btl,btrl->r", pixels[:, x * stride : x * stride + taps], lanes)
                expected = rule.requantized(sums + start, parameters)
                assert output[0, x] == expected[0]
                assert output[1, x] == (expected[1] if stride == 1 else 99)


CORES = {
    "mps2-an500": ("-O2",),
    "mps2-an386": ("-Os", "-fno-inline"),
    "mps2-an505": ("-O0",),
    **dict(also(("mps3-an547", ("-O3",)))),
}


@pytest.mark.parametrize(("target", "flags"), CORES.items(), ids=CORES)
def test_the_assembly_is_its_twin(target: str, flags: Sequence[str]) -> None:
    run_program(SOURCE.read_text() + (HERE / "blocks_main.c").read_text(), target, *flags)


def test_on_a_core_without_fpu() -> None:
    core = ("-mcpu=cortex-m4+nofp", "-mthumb", "-mfloat-abi=soft")
    run_program(SOURCE.read_text() + (HERE / "blocks_main.c").read_text(), "mps2-an386", core=core)


ARM = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
COMPILERS = {
    "gcc": ("arm-none-eabi-gcc", *ARM, "-std=c99", "-fsyntax-only"),
    "g++": ("arm-none-eabi-gcc", *ARM, "-xc++", "-std=c++11", "-fsyntax-only"),
    "unoptimized": ("arm-none-eabi-gcc", *ARM, "-std=c99", "-O0", "-fno-inline"),
    "without DSP": ("arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-std=c99", "-fsyntax-only"),
    "Thumb-1": ("arm-none-eabi-gcc", "-mcpu=cortex-m0", "-mthumb", "-std=c99", "-fsyntax-only"),
    "reserved r9": ("arm-none-eabi-gcc", *ARM, "-std=c99", "-ffixed-r9", "-DTC_RESERVE_R9"),
    "host C++": ("g++", "-xc++", "-std=c++11", "-fsyntax-only"),
}


@pytest.mark.parametrize("command", COMPILERS.values(), ids=COMPILERS)
def test_they_compile_without_warnings(command: Sequence[str], tmp_path: Path) -> None:
    """Without code where another test makes that of the same core, and where none of it is assembly."""
    source = ["-I", str(runtime_dir()), "-c", str(SOURCE), "-o", str(tmp_path / "blocks.o")]
    subprocess.run([*command, *WARNINGS, *source], check=True)
