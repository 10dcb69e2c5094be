"""`--align strict`: no kernel loads or stores a word or halfword at an unaligned address.

QEMU has no Device memory, but a core with CCR.UNALIGN_TRP = 1, which start-up sets, faults at such an access wherever
it is. `make strict` runs the cases of all tests in this folder in the same way.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.kernels import (
    test_assembly,
    test_attention,
    test_block,
    test_blockwise_packed,
    test_depthwise_dense,
    test_depthwise_toeplitz,
    test_float_blocks,
    test_float_fused,
    test_fused,
    test_halves,
    test_hybrid,
    test_integer_products,
    test_lane_packed,
    test_lane_tiles,
    test_layer_norm,
    test_linear_attention,
    test_lstm,
    test_many_registers,
    test_mve,
    test_mve_packed,
    test_rvv,
    test_signals,
    test_svdf,
    test_trained_layers,
    test_training,
    test_wide,
    test_wide_dsp,
    test_wide_onnx,
    training_cases,
)
from tests.ops.samples import sampler_of
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated, run_program
from tests.support.full import some
from tests.support.kernel_checks import int8, site_of
from tinycompile.dtypes import BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT64
from tinycompile.ir import Node, Op, Quantization, Site, TensorType
from tinycompile.kernels import base, for_halves, kernels_of
from tinycompile.kernels.base import Factory
from tinycompile.ops import all_ops
from tinycompile.ops.abs import Abs
from tinycompile.ops.add import Add
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.cast import Cast
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.cumulative_product import CumulativeProduct
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.div import Div
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.greater import Greater
from tinycompile.ops.grid_sample import GridSample
from tinycompile.ops.identity import Identity
from tinycompile.ops.l2_normalization import L2Normalization
from tinycompile.ops.left_shift import LeftShift
from tinycompile.ops.log_softmax import LogSoftmax
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.mean import Mean
from tinycompile.ops.mean_of_sum import MeanOfSum
from tinycompile.ops.mul import Mul
from tinycompile.ops.neg import Neg
from tinycompile.ops.pad import Pad
from tinycompile.ops.plane_rows import PlaneRows
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reduce_prod import ReduceProd
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.resize_bilinear import ResizeBilinear
from tinycompile.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.spatial_sum import SpatialSum
from tinycompile.ops.take import Take
from tinycompile.ops.transpose import Transpose
from tinycompile.ops.transpose_conv import TransposeConv
from tinycompile.resources import runtime_dir
from tinycompile.targets import load_toolchain, strict_flags

STRICT_FLAGS = strict_flags(load_toolchain("arm-none-eabi"))
M7 = core_named("cortex-m7", dsp=True, fpu=True, strict=True)
CLANG_INCLUDES = ("-isystem", "/usr/lib/arm-none-eabi/include")
NO_CODE = {"begin_backward", "bit_cast", "reshape", "concatenation_in_place", "take", "input_rows", "view", "same_bits"}
"""Factories whose kernels have no function of their own."""


IN_RESULT = {"concatenation_into_first", "concatenation_into_last"}
"""Factories whose kernels have operands in their result."""


SEVERAL_RESULTS = {
    "class_scores",
    "detection_postprocess",
    "dynamic_quantize",
    "gru",
    "lstm",
    "non_max_suppression",
    "rnn",
    "signal_fft_auto_scale",
    "signal_filter_bank_spectral_subtraction",
    "signal_framer",
    "signal_overlap_add",
    "signal_stacker",
    "svdf",
    "top_k",
}
"""Factories of kernels that write several arrays, which the program for one kernel has no room for."""


def weighted(op: Op, x: TensorType, shape: tuple[int, ...], axis: int) -> Site:
    """A node with constant weights and bias."""
    rng = np.random.default_rng(len(shape) + axis)
    scales = rng.uniform(0.001, 0.01, shape[axis]).astype(np.float32)
    types = [x, TensorType(shape, INT8, Quantization(scales, np.zeros(shape[axis], np.int64), axis))]
    constants = [None, rng.integers(-127, 128, shape).astype(np.int8), rng.integers(-300, 300, shape[axis], np.int32)]
    return site_of(op, [*types, TensorType((shape[axis],), INT32)], constants, int8((), 0.3, 5))


def int8_sites() -> list[Site]:
    image, odd, y = int8((1, 6, 7, 8), 0.1, 3), int8((1, 5, 7, 9), 0.1, 3), int8((), 0.15, 5)
    float_image = TensorType(image.shape, FLOAT32)
    unaries = [
        (Logistic(), int8((1, 19), 0.03, 5), int8((), 1 / 256, -128)),
        (Quantize(INT8), float_image, y),
        (Quantize(INT8), TensorType(odd.shape, UINT8, odd.quant), y),
        (Dequantize(), odd, TensorType((), FLOAT32)),
        (Softmax(1.0), int8((2, 23), 0.3, 4), int8((), 1 / 256, -128)),
        (Pad(((0, 0), (1, 2), (3, 0), (0, 0)), -7), odd, odd),
        (Transpose((0, 3, 1, 2)), odd, odd),
        (Transpose((0, 2, 1, 3)), odd, odd),
        (PlaneRows(2), int8((1, 3, 8, 5)), int8(())),
        (ResizeNearestNeighbor((6, 10)), odd, odd),
        (ResizeBilinear((6, 10)), odd, odd),
        (ResizeBilinear((12, 14)), image, image),
        (ResizeBilinear((12, 14), rule="onnx"), image, image),
        (Softmax(rule="onnx"), int8((3, 10), 0.1, 5), int8((), 1 / 256, -128)),
        (Softmax(1.0), int8((3, 10), 0.1, 4), int8((), 1 / 256, -128)),
        (Take(1, (2, 0, 0)), odd, odd),
        (Identity(), odd, odd),
        (SpatialSum(), TensorType((1, 5, 1, 9), INT16), TensorType((), INT32)),
        (SpatialSum(), odd, TensorType((), INT32)),
        (MeanOfSum(Mean((1, 2), True), odd), TensorType((1, 1, 1, 9), INT32), int8((), 0.07, -5)),
        *((AveragePool2D((3, 2), (2, 1), (1, 0, 1, 0)), x, x) for x in (image, odd)),
        *((MaxPool2D((3, 2), (2, 1), (1, 0, 1, 0)), x, x) for x in (image, odd)),
        *((Mean(axes, True), x, int8((), 0.07, -31)) for x in (image, odd) for axes in ((1, 2), (3,), (2,))),
    ]
    binaries = [
        (op, [a, int8(b, 0.07, -20)])
        for op in (Add((-100, 127)), Mul(), Add(rule="onnx"), Div(rule="onnx"))
        for a, b in ((image, image.shape), (odd, (9,)), (odd, odd.shape), (image, (1, 6, 7, 1)))
    ]
    scalar = np.array([[77]], np.int8)
    return [
        *(site_of(op, [x], [None], y) for op, x, y in unaries),
        *(site_of(op, types, [None, None], y) for op, types in binaries),
        *(site_of(op, [image, int8((1, 1))], [None, scalar], y) for op in (Add(), Div(rule="onnx"))),
        *(site_of(Concatenation(axis), [odd, odd], [None, None], odd) for axis in (2, 3)),
        weighted(Conv2D((1, 2), (1, 1), (1, 1, 1, 1)), odd, (5, 3, 3, 9), 0),
        weighted(DepthwiseConv2D((1, 2), (1, 1), (1, 1, 1, 1)), odd, (1, 3, 3, 9), 3),
        weighted(DepthwiseConv2D((1, 1), (1, 1), (1, 1, 1, 1)), odd, (1, 3, 3, 9), 3),
        weighted(FullyConnected(), int8((2, 20), 0.1, 3), (5, 20), 0),
        weighted(TransposeConv((10, 14), (2, 2)), odd, (5, 3, 3, 9), 0),
        site_of(BatchMatMul(adj_y=True), [int8((2, 3, 9)), int8((2, 5, 9))], [None, None], y),
        site_of(BatchMatMul(adj_x=True), [int8((9, 3)), int8((9, 41))], [None, None], y),
        site_of(BatchMatMul(adj_y=True), [int8((2, 1, 9)), int8((2, 5, 9))], [None, None], y),
    ]


def float_sites() -> list[Site]:
    def floats(*shape: int) -> TensorType:
        return TensorType(shape, FLOAT32)

    x, y = floats(2, 4, 7, 6), floats()
    weights = np.random.default_rng(0).normal(0, 1, (4, 3, 2, 6)).astype(np.float32)
    filters, matrix = weights.reshape(1, 4, 6, 6), weights.reshape(24, 6)
    return [
        site_of(ElementwiseFunction("clip", 0.4, 1.3), [x], [None], y),
        site_of(Softmax(), [x], [None], y),
        site_of(GridSample(4, "reflection"), [floats(1, 3, 4, 5), floats(1, 2, 3, 2)], [None, None], y),
        site_of(CumulativeProduct(1, reverse=True), [floats(3, 4, 5)], [None], y),
        site_of(Cast(FLOAT16), [x], [None], TensorType((), FLOAT16)),
        site_of(Cast(FLOAT32), [TensorType(x.shape, FLOAT64)], [None], y),
        site_of(Div(), [TensorType((3, 5), UINT64)] * 2, [None, None], TensorType((), UINT64)),
        site_of(LeftShift(), [TensorType((3, 5), UINT16)] * 2, [None, None], TensorType((), UINT16)),
        site_of(Add(), [x, x], [None, None], y),
        site_of(Mul(), [x, floats(6)], [None, None], y),
        site_of(Concatenation(1), [x, x], [None, None], y),
        site_of(ResizeBilinear((6, 10)), [x], [None], y),
        site_of(TransposeConv((8, 14), (2, 2)), [x, floats(*weights.shape)], [None, weights], y),
        site_of(BatchMatMul(), [floats(3, 4), floats(4, 5)], [None, None], y),
        site_of(Pad(((1, 2), (0, 3), (2, 0)), -1.5), [floats(2, 3, 4)], [None], y),
        site_of(AveragePool2D((2, 3), (2, 1), (1, 1, 0, 1)), [x], [None], y),
        site_of(MaxPool2D((2, 3), (2, 1), (1, 1, 0, 1)), [x], [None], y),
        site_of(Mean((1, 2), True), [x], [None], y),
        site_of(Conv2D((2, 1)), [x, floats(*weights.shape)], [None, weights], y),
        site_of(DepthwiseConv2D((2, 1)), [x, floats(*filters.shape)], [None, filters], y),
        site_of(FullyConnected(), [x, floats(*matrix.shape)], [None, matrix], y),
    ]


def own_cases() -> list[tuple[Factory, Site]]:
    """Of the assembly, and of kernels that the M7 doesn't have."""
    found = [*test_assembly.CASES, *test_mve.cases(), *test_block.cases()]
    found += [*test_mve_packed.cases(), *test_fused.mve_cases(), *test_fused.block_cases(), *test_hybrid.helium_cases()]
    found += [
        *test_integer_products.helium_cases(),
        *test_many_registers.CASES,
        *test_fused.woven_cases(),
        *test_rvv.CASES,
    ]
    found += [*test_halves.CASES, *test_block.winograd_cases()]
    return [*found, *apart_cases()]


def apart_cases() -> list[tuple[Factory, Site]]:
    wide = [*test_wide.cases(), *test_wide_dsp.dual_products(), *test_wide_dsp.short_forms()]
    wide += [*test_wide_onnx.dual_products(), *test_depthwise_dense.CASES[2:3], *test_depthwise_toeplitz.CASES[1:2]]
    wide += test_halves.LANES
    wide += [(factory, test_block.several_outputs()) for factory in test_block.MULTIPLIED]
    wide += [*test_lane_packed.CASES, *test_blockwise_packed.cases(), *test_float_blocks.cases()]
    wide += [*test_attention.cases(), *test_layer_norm.cases(), *test_linear_attention.cases()]
    return [
        *wide,
        *test_float_fused.cases(),
        *test_hybrid.cases(),
        *test_lstm.cases(),
        *test_svdf.cases(),
        *test_signals.several(),
        *test_signals.fouriers(),
        *test_signals.transforms()[::12],
    ]


def generic_cases() -> list[tuple[Factory, Site]]:
    """Every kernel with code for every site, but for those that have cases of their own, and those whose operands lie
    in the result already: what they copy is what `concatenation` copies.
    """
    own = {factory for factory, _ in own_cases()}
    found = list[tuple[Factory, Site]]()
    for site in (*int8_sites(), *float_sites(), *test_fused.functions(), *typed_sites(), *sampled_sites()):
        kernels_of(site, M7)  # loads every module
        for factory in base._FACTORIES.get(type(site.node.op), ()):  # pyright: ignore[reportPrivateUsage]
            kernel = None if factory in own else factory(site, M7)
            if kernel is not None and kernel.function is not None and not kernel.parts:
                found.append((factory, site))
    return found


def typed_sites() -> list[Site]:
    """Of elements and rules that samples don't have."""
    odd, y = int8((1, 5, 7, 9), 0.05, 3), int8((), 0.15, -30)
    floats, integers = TensorType((3, 5), FLOAT32), TensorType((3, 5), INT32)
    seven, wide = np.array(7, np.int32), TensorType((3, 5), INT16, Quantization.per_tensor(0.001, 0))
    return [
        site_of(Cast(UINT8), [TensorType((3, 5), INT8)], [None], TensorType((), UINT8)),
        *(site_of(op, [odd, int8((9,), 0.05, 3)], [None, None], y) for op in (Div(), Prelu())),
        site_of(Maximum(), [odd, odd], [None, None], odd),
        site_of(Div(INT16.range), [wide, wide], [None, None], wide),
        site_of(LogSoftmax(), [floats], [None], floats),
        site_of(L2Normalization(), [floats], [None], floats),
        site_of(Greater(), [integers, TensorType((), INT32)], [None, seven], TensorType((), BOOL)),
        site_of(Greater(), [odd, int8((), 0.07, 1)], [None, np.array(9, np.int8)], TensorType((), BOOL)),
        *(site_of(op, [integers], [None], integers) for op in (Abs(), Neg())),
        *(site_of(ReduceProd((1,), False), [x], [None], x) for x in (odd, integers)),
        site_of(ReduceSum((1,), False), [integers], [None], integers),
        site_of(ArgMax(0, INT64), [TensorType((10,), FLOAT32)], [None], TensorType((), INT64)),
    ]


def sampled_sites() -> Iterator[Site]:
    """Some uses of every operator that there is."""
    for kind in sorted(all_ops().keys() - SEVERAL_RESULTS):
        sampler = sampler_of(kind)
        samples = [] if sampler is None else [sampler(np.random.default_rng(seed)) for seed in range(4)]
        for sample in samples:
            names = tuple(f"x{i}" for i in range(len(sample.constants)))
            results = tuple(f"y{i}" for i in range(len(sample.sig.outputs)))
            yield Site(Node(kind, sample.op, names, results), sample.sig, sample.constants)


def name_of(factory: Callable[..., object]) -> str:
    """Some are made by functions: their name alone isn't enough to tell them apart, and needn't."""
    return f"{factory.__module__.rpartition('.')[2]}.{factory.__qualname__.partition('.')[0]}"


def test_no_kernel_is_left_out() -> None:
    cases = (
        *generic_cases(),
        *test_signals.steps(),
        *own_cases(),
        *training_cases.cases(),
        *test_trained_layers.cases(),
        *test_training.cases(),
    )
    tested = {name_of(factory) for factory, _ in cases}
    no_cases = NO_CODE | IN_RESULT | SEVERAL_RESULTS
    registered = {name_of(f) for factories in base._FACTORIES.values() for f in factories}  # pyright: ignore[reportPrivateUsage]
    registered |= {name_of(factory) for factory in for_halves.factories()}
    assert {name for name in registered - tested if name.rpartition(".")[2] not in no_cases} == set()


def test_assembly_kernels() -> None:
    """Each at least once; all cases with `make strict`."""
    first = {factory: (factory, site) for factory, site in reversed(test_assembly.CASES)}
    check_emulated([*first.values(), *test_assembly.CASES[::9], *test_lane_tiles.cases()[4:]], strict=True)


def test_kernels_in_c() -> None:
    """Each at least once; all cases with `make test-full`, of these and of Helium."""
    check_emulated(some([*generic_cases(), *apart_cases()], 16), isa=M7, strict=True)


def test_training_kernels() -> None:
    """Each at least once; all cases with `make test-full`."""
    check_emulated(
        some(training_cases.cases(), 100),
        isa=M7,
        strict=True,
        operands_of=training_cases.operands,
        expected_of=training_cases.first_expected,
    )


def test_helium_kernels() -> None:
    cases = [*test_mve.cases(), *test_mve_packed.cases(), *test_fused.mve_cases(), *test_hybrid.helium_cases()]
    cases += test_integer_products.helium_cases()
    check_emulated(some(cases, 6), "mps3-an547", strict=True)


def test_kernels_without_simd() -> None:
    cases = [*test_block.cases(), *test_fused.block_cases(), *test_signals.steps()[::4], *test_halves.CASES[1::2]]
    cases += test_block.winograd_cases()[1::2]
    check_emulated(cases, "mps2-an385", strict=True)


def test_kernels_of_many_registers() -> None:
    """Their portable C, as no RISC-V board of QEMU's traps."""
    core = core_named("cortex-m3")
    many = replace(core, features=frozenset({*core.features, "many_registers", "rvv"}))
    cases = [*test_many_registers.CASES, *test_fused.woven_cases(), *test_rvv.CASES]
    check_emulated(some(cases, 4), "mps2-an385", isa=many, strict=True)


PROGRAM = """
#include "board.h"
static uint64_t data[4];
int main(void)
{
    const char *const odd = (const char *)data + 1;
    board_init();
    __asm__ volatile("%s, [%%0]" : : "r"(odd) : "r2", "r3", "q0", "memory");
    return 0;
}
"""


@pytest.mark.parametrize(
    ("instruction", "message"),
    [("ldr r2", "hard fault"), ("ldrh r2", "hard fault"), ("vldrw.u32 q0", "accesses"), ("vldrb.u32 q0", "")],
)
def test_the_checks_see_an_unaligned_access(instruction: str, message: str) -> None:
    program = PROGRAM % instruction
    if not message:
        run_program(program, "mps3-an547", strict=True)
        return
    with pytest.raises(AssertionError, match=message):
        run_program(program, "mps3-an547", strict=True)
    run_program(program, "mps3-an547")


LOAD = """
#include "kernels/tc_bytes.h"
uint32_t load(const int8_t *from);
uint32_t load(const int8_t *from)
{
    return tc_load4(from);
}
void store(int8_t *to, uint32_t word);
void store(int8_t *to, uint32_t word)
{
    tc_store4(to, word);
}
"""


@pytest.mark.parametrize(
    ("compiler", "flags", "words"),
    [
        ("gcc", ["-mcpu=cortex-m7"], True),
        ("gcc", ["-mcpu=cortex-m7", *STRICT_FLAGS], False),
        ("gcc", ["-mcpu=cortex-m0plus", "-DTC_STRICT_ALIGNMENT=1"], False),
        ("clang", ["-mcpu=cortex-m7", "-munaligned-access"], True),
        ("clang", ["-mcpu=cortex-m7", *STRICT_FLAGS], False),
        ("clang", ["-mcpu=cortex-m0plus", "-DTC_STRICT_ALIGNMENT=1"], False),
    ],
)
def test_what_compilers_make_of_a_load(compiler: str, flags: list[str], words: bool, tmp_path: Path) -> None:
    """One word, or bytes; never a call of memcpy, which GCC makes of four bytes if nobody writes them out."""
    command = {"gcc": ["arm-none-eabi-gcc"], "clang": ["clang", "--target=arm-none-eabi", *CLANG_INCLUDES]}[compiler]
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    (tmp_path / "load.c").write_text(LOAD)
    command = [*command, *flags, "-mthumb", "-std=c99", "-O2", "-Wall", "-Werror", f"-I{runtime_dir()}", "-S", "load.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assembly = (tmp_path / "load.s").read_text()
    assert "memcpy" not in assembly
    assert ("ldrb" in assembly and "strb" in assembly) != words


def test_a_compiler_that_uses_unaligned_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / "load.c").write_text(LOAD)
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m7", "-mthumb", "-DTC_STRICT_ALIGNMENT=1", f"-I{runtime_dir()}"]
    done = subprocess.run([*command, "-S", "load.c"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode and "needs -mno-unaligned-access" in done.stderr
