"""The same bits under the compiler flags that users have: those of float arithmetic, and those that reserve r9."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import cffi
import numpy as np
import pytest

from tests.kernels.test_assembly import dense
from tests.kernels.test_dsp import layer
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import compile_for_arm, programs, run_kernel
from tests.support.kernel_checks import M7, int8, random_values, site_of
from tests.support.recurrent_models import recurrent_site
from tinycompile.dtypes import FLOAT32, INT8, INT32, UINT8
from tinycompile.ir import Array, Quantization, Site, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Factory, Kernel
from tinycompile.numerics.step_requant import exact_requant
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.batch_matmul import BatchMatMul
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.div import Div
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.gelu import Gelu
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.mean import Mean
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.rnn import Rnn
from tinycompile.resources import runtime_dir
from tinycompile.targets import Core

HOST = core_named("host")
SPECIAL = np.array(
    [0.5, -0.5, 0.49999997, 1.5, 2.5, -2.5, 126.5, 127.5, -128.5, 3e9, -3e9, 1e30, -3.4e38, np.inf, -np.inf, np.nan],
    np.float32,
)


def operands(t: TensorType, rng: np.random.Generator) -> Array:
    """Random values; a vector of floats has halves and what is beyond every range as well."""
    values = random_values(t, rng)
    if t.dtype == FLOAT32 and len(t.shape) == 1:
        values[: SPECIAL.size] = SPECIAL
        values[SPECIAL.size :: 2] = np.round(values[SPECIAL.size :: 2]) * np.float32(0.5)
    return values


def float32(*shape: int) -> TensorType:
    return TensorType(shape, FLOAT32)


def float_sites() -> Iterator[Site]:
    """Every kernel whose C has floats, but functions of the C library."""
    rng = np.random.default_rng(0)
    for dtype, ties, scale, zero in ((INT8, "away", 0.7, 5), (UINT8, "even", 1.0, 128), (INT8, "even", 0.1, 0)):
        y = TensorType((300,), dtype, Quantization.per_tensor(scale, zero))
        yield site_of(Quantize(dtype, ties), [float32(300)], [None], y)
    yield site_of(Dequantize(), [int8((64,), 0.3, 7)], [None], float32(64))
    for operator in (Add, Mul, Div):
        types = [int8((200,), 0.1, 3), int8((200,), 0.07, -4)]
        yield site_of(operator(rule="onnx"), types, [None, None], int8((), 0.33 if operator is Div else 0.1, 1))
    weights = rng.integers(-128, 128, (6, 40)).astype(np.int8)
    types = [int8((3, 40), 2.0**-5, 9), TensorType((6, 40), INT8, Quantization.per_tensor(2.0**-12, 0))]
    types.append(TensorType((6,), INT32))
    yield site_of(FullyConnected(), types, [None, weights, np.full(6, 2**31 - 9, np.int32)], int8((), 2.0**-8, 5))
    kernels = rng.normal(0, 1, (4, 3, 3, 3)).astype(np.float32)
    yield site_of(Conv2D(), [float32(1, 6, 7, 3), float32(4, 3, 3, 3)], [None, kernels], float32())
    yield site_of(
        DepthwiseConv2D(), [float32(1, 6, 7, 3), float32(1, 4, 3, 9)], [None, kernels.reshape(1, 4, 3, 9)], float32()
    )
    yield site_of(FullyConnected(), [float32(5, 27), float32(4, 27)], [None, kernels.reshape(4, 27)], float32())
    yield site_of(BatchMatMul(), [float32(5, 17), float32(17, 3)], [None, None], float32())
    yield site_of(Div(), [float32(3, 40), float32(3, 40)], [None, None], float32())
    yield site_of(MaxPool2D((2, 2), (1, 1), (1, 0, 1, 0)), [float32(1, 5, 6, 2)], [None], float32())
    yield site_of(AveragePool2D((3, 3), (1, 1)), [float32(1, 5, 6, 2)], [None], float32())
    yield site_of(Mean((1,), True), [float32(7, 33)], [None], float32())
    step = exact_requant([Fraction(1, 3)], [Fraction(1, 7)], Fraction(2), -3, -128, 127)
    yield site_of(Mean((1,), True, step), [int8((6, 50), 0.1, 3)], [None], int8((), 0.2, -3))


def portable(site: Site) -> Kernel:
    return kernels_of(site, HOST)[-1]


def plain(kernel: Kernel, site: Site, values: Sequence[Array]) -> Array:
    """What the kernel computes without any of these flags."""
    dynamic = [v if c is None else None for v, c in zip(values, site.constants, strict=True)]
    return run_kernel(kernel, dynamic, site.sig.output)


def test_plain_kernels_are_their_definitions() -> None:
    """What the others are compared with: bit for bit where results are integers, floats within rounding."""
    for index, site in enumerate(float_sites()):
        values = values_of(site, index)
        with np.errstate(all="ignore"):
            (expected,) = site.node.op.evaluate(site.sig, values)
        actual = plain(portable(site), site, values)
        if site.sig.output.dtype == FLOAT32:
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-3)
        else:
            np.testing.assert_array_equal(actual, expected, err_msg=f"site {index}")


def values_of(site: Site, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    pairs = zip(site.sig.inputs, site.constants, strict=True)
    return [operands(t, rng) if constant is None else constant for t, constant in pairs]


FAST = "-ffast-math -fno-math-errno"
FLAGS = [
    ("gcc", "-O0"),
    ("gcc", "-O3 -ffast-math"),
    ("gcc", "-Ofast -std=gnu11 -mfma -ffp-contract=fast -fshort-enums -funsigned-char"),
    ("gcc", "-O2 -funsafe-math-optimizations -fno-signed-zeros -fno-trapping-math"),
    ("gcc", "-O3 -ffinite-math-only -freciprocal-math -funroll-loops"),
    ("clang", "-Ofast -mfma -ffp-contract=fast"),
    ("clang", "-O2 -funsafe-math-optimizations"),
    ("clang", "-O1 -ffinite-math-only -freciprocal-math"),
]


@pytest.mark.parametrize(("compiler", "flags"), FLAGS, ids=[" ".join(pair) for pair in FLAGS])
def test_host_kernels_have_the_same_bits(compiler: str, flags: str, tmp_path: Path) -> None:
    """One library of all kernels, linked without the flags: GCC's start-up code for -ffast-math flushes denormals."""
    sites = list(float_sites())
    kernels = [portable(site) for site in sites]
    source, objects = tmp_path / "kernels.c", tmp_path / "kernels.o"
    source.write_text(programs({f"run_{i}": kernel for i, kernel in enumerate(kernels)}))
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command = [
        compiler,
        "-fPIC",
        *flags.split(),
        *warnings,
        f"-I{runtime_dir()}",
        "-c",
        str(source),
        "-o",
        str(objects),
    ]
    subprocess.run(command, check=True)
    subprocess.run(["gcc", "-shared", str(objects), "-o", str(tmp_path / "kernels.so"), "-lm"], check=True)
    ffi = cffi.FFI()
    ffi.cdef("".join(f"void run_{i}(void *const *arguments);" for i in range(len(kernels))))
    library = ffi.dlopen(str(tmp_path / "kernels.so"))
    for index, (site, kernel) in enumerate(zip(sites, kernels, strict=True)):
        values = values_of(site, index)
        output = np.zeros(site.sig.output.shape, site.sig.output.dtype.carrier)
        dynamic = [np.ascontiguousarray(v) for v, c in zip(values, site.constants, strict=True) if c is None]
        arrays = [*dynamic, output, *(np.ascontiguousarray(constant.values) for constant in kernel.constants)]
        arguments = ffi.new("void *[]", [ffi.cast("void *", array.ctypes.data) for array in arrays])
        getattr(library, f"run_{index}")(arguments)
        expected = plain(kernel, site, values)
        assert output.tobytes() == expected.tobytes(), (index, kernel.variant)


@pytest.mark.parametrize(
    ("target", "flags"),
    [
        ("mps2-an386", "-Ofast -std=gnu11 -ffp-contract=fast -fshort-enums -funsigned-char"),
        ("mps2-an385", "-O2 -ffast-math"),
        ("mps2-an500", "-O3 -funsafe-math-optimizations -ffp-contract=fast"),
    ],
)
def test_emulated_kernels_have_the_same_bits(target: str, flags: str) -> None:
    """With an FPU of single precision, without one, and with one of double precision."""
    cases: list[tuple[Factory, Site]] = [(lambda s, _: portable(s), site) for site in float_sites()]
    check_emulated(cases, target, *flags.split(), isa=HOST, values_of=operands, expected_of=plain)


M0, M3 = core_named("cortex-m0"), core_named("cortex-m3")
M4, M55 = core_named("cortex-m4", dsp=True, fpu=True), core_named("cortex-m55", dsp=True, mve=True, fpu=True)
SINGLE_BASE = ("-fPIC", "-msingle-pic-base", "-mpic-register=r9")


def sites_with_assembly() -> Iterator[Site]:
    padding = (1, 1, 1, 1)
    yield layer(Conv2D(padding=padding), (1, 8, 16, 8), (6, 3, 3, 8), 0, 1)
    yield layer(DepthwiseConv2D(padding=padding), (1, 8, 9, 8), (1, 3, 3, 8), 3, 1)
    yield dense(16, 9, 2, (-128, 127), 0)


def kernels_with_assembly(isa: Core) -> list[tuple[Factory, Site]]:
    """One kernel for each technique; for a core with Helium only those of Helium."""
    cases, seen = list[tuple[Factory, Site]](), set[str]()
    for site in sites_with_assembly():
        for index, kernel in enumerate(kernels_of(site, isa)):
            stem = re.sub(r"_(compact|small|\d+)$", "", kernel.variant)
            wanted = "mve" in stem if isa.has("mve") else not stem.endswith("generic") and "tiles" not in stem
            if wanted and stem not in seen:
                seen.add(stem)
                cases.append((lambda s, i, index=index: kernels_of(s, i)[index], site))
    return cases


@pytest.mark.parametrize(("isa", "target"), [(M3, "mps2-an385"), (M4, "mps2-an386"), (M55, "mps3-an547")])
def test_reserved_r9_is_left_alone(isa: Core, target: str) -> None:
    """The assembly names it nowhere, and its twins compute the same."""
    flags = ("-DTC_RESERVE_R9", "-ffixed-r9")
    cases = kernels_with_assembly(isa)
    for factory, site in cases:
        kernel = factory(site, isa)
        assert kernel is not None
        text = compile_for_arm(kernel, isa.name, "-O2", *_float_abi(isa), *flags)
        assert not re.search(r"^\s+(?![@.]).*\br9\b", text, re.MULTILINE), kernel.variant
    check_emulated(cases, target, "-O2", *flags, isa=isa)


def _float_abi(isa: Core) -> list[str]:
    return ["-mfloat-abi=hard"] if isa.has("fpu") else []


@pytest.mark.parametrize("isa", [M0, M3, M4, M55], ids=["m0", "m3", "m4", "m55"])
def test_r9_that_the_compiler_owns_is_an_error_that_says_what_to_do(isa: Core) -> None:
    """Or the kernel doesn't use it."""
    complained = 0
    for factory, site in kernels_with_assembly(isa):
        kernel = factory(site, isa)
        assert kernel is not None
        try:
            text = compile_for_arm(kernel, isa.name, "-O2", *_float_abi(isa), *SINGLE_BASE)
        except AssertionError as error:
            assert "compile it with -DTC_RESERVE_R9" in str(error)
            complained += 1
        else:
            assert not re.search(r"^\s+(?![@.]).*\br9\b", text, re.MULTILINE), kernel.variant
    assert complained >= (4 if isa.has("dsp") and not isa.has("mve") else 2)


@pytest.mark.parametrize("flags", ["-fPIC", "-fPIE", "-fno-omit-frame-pointer -mapcs-frame", "-mfloat-abi=soft"])
def test_the_assembly_lives_with_other_flags(flags: str) -> None:
    for factory, site in kernels_with_assembly(M7)[:4]:
        kernel = factory(site, M7)
        assert kernel is not None
        compile_for_arm(kernel, "cortex-m7", "-O1", *flags.split())


def test_functions_that_are_pointed_at_compile_for_debugging() -> None:
    """At -Og it is known too late which function a pointer leads to: nothing must rely on its being inlined."""
    a, b = int8((200,), 0.1, 3), int8((200,), 0.07, -4)
    sum_of_floats = site_of(Add(rule="onnx"), [a, b], [None, None], int8((), 0.1, 1))
    for site in (sum_of_floats, recurrent_site(Rnn())):
        compile_for_arm(portable(site), "cortex-m7", "-Og")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ("-ffast-math", "without -ffast-math"),
        ("-Ofast", "without -ffast-math"),
        ("-funsafe-math-optimizations", "without -ffast-math"),
        ("-ffinite-math-only", "without -ffast-math"),
        ("-fpack-struct", "tc_structs_must_not_be_packed"),
        ("-Ofast -DTC_ALLOW_FAST_MATH", None),
        ("-O2", None),
    ],
)
def test_what_cannot_be_kept_is_an_error_with_its_reason(flags: str, complaint: str | None) -> None:
    """Functions of the C library under fast floats; structs without alignment."""
    kernel = portable(site_of(Gelu(approximate=True), [float32(8)], [None], float32(8)))
    if complaint is None:
        compile_for_arm(kernel, "cortex-m4", "-O2", *flags.split())
    else:
        with pytest.raises(AssertionError, match=complaint):
            compile_for_arm(kernel, "cortex-m4", "-O2", *flags.split())
