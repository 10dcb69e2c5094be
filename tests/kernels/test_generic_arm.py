"""The generic kernels on ARM: warnings on every core and optimisation level, the DSP instructions in QEMU."""

from __future__ import annotations

import re
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.support.full import also
from tests.support.host_kernel import compile_for_arm
from tests.support.kernel_checks import M7, int8, site_of
from tests.support.tflite_builder import NONE, RELU6, SAME, VALID, TfliteBuilder
from tinycompile.kernels.elementwise import add, mul
from tinycompile.kernels.pooling import average_pool, max_pool
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.mul import Mul

pytestmark = pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")

X = int8((1, 9, 9, 10), 0.1, 3)
KERNELS = [
    add(site_of(Add((-90, 80)), [X, X], [None, None], int8((), 0.15, 5)), M7),
    mul(site_of(Mul(), [X, int8((10,), 0.02)], [None, None], int8((), 0.3, 5)), M7),
    average_pool(site_of(AveragePool2D((3, 3), (2, 2), (1, 1, 1, 1)), [X], [None], X), M7),
    max_pool(site_of(MaxPool2D((2, 2), (2, 2)), [X], [None], X), M7),
]


LEVELS = [
    *product(("cortex-m0plus", "cortex-m4"), ("-O0", "-Os", "-O2", "-O3")),
    *product(("cortex-m3", "cortex-m33"), ("-O0", "-O2", *also("-Os", "-O3"))),
]


@pytest.mark.parametrize(("core", "optimize"), LEVELS)
def test_compiles_without_warnings(core, optimize):
    for kernel in KERNELS:
        assembly = compile_for_arm(kernel, core, optimize)
        uses_dsp = re.search(r"\bs(mlaw[bt]|mmlar|xtab16|el)\b", assembly) is not None
        assert uses_dsp == (core in ("cortex-m4", "cortex-m33"))


def squeeze_and_excite() -> bytes:
    """Elementwise operators, broadcasting both ways, pools and means; odd channel counts."""
    b, rng = TfliteBuilder(), np.random.default_rng(5)
    x = b.tensor((1, 9, 11, 10), scale=0.04, zero_point=-7)
    offset = b.constant(rng.integers(-128, 128, (1, 9, 11, 10)).astype(np.int8), scale=0.03, zero_point=5)
    shifted = b.tensor((1, 9, 11, 10), scale=0.06, zero_point=11)
    b.op("ADD", [x, offset], [shifted], FusedActivationFunction=NONE)
    axes = b.constant(np.array([1, 2], np.int32))
    squeezed = b.tensor((1, 1, 1, 10), scale=0.02, zero_point=-30)
    b.op("MEAN", [shifted, axes], [squeezed], KeepDims=True)
    gate = b.tensor((1, 1, 1, 10), scale=1 / 256, zero_point=-128)
    b.op("LOGISTIC", [squeezed], [gate])
    gated = b.tensor((1, 9, 11, 10), scale=0.05, zero_point=3)
    b.op("MUL", [shifted, gate], [gated], FusedActivationFunction=NONE)
    differed = b.tensor((1, 9, 11, 10), scale=0.05, zero_point=-128)
    b.op("SUB", [gated, squeezed], [differed], FusedActivationFunction=RELU6)
    squared = b.tensor((1, 9, 11, 10), scale=0.3, zero_point=-40)
    b.op("MUL", [differed, differed], [squared], FusedActivationFunction=NONE)
    largest = b.tensor((1, 5, 6, 10), scale=0.3, zero_point=-40)
    b.op("MAX_POOL_2D", [squared], [largest], StrideH=2, StrideW=2, FilterHeight=3, FilterWidth=3, Padding=SAME)
    average = b.tensor((1, 2, 3, 10), scale=0.3, zero_point=-40)
    b.op("AVERAGE_POOL_2D", [largest], [average], StrideH=2, StrideW=2, FilterHeight=2, FilterWidth=2, Padding=VALID)
    return b.build(inputs=[x], outputs=[average])


@pytest.mark.parametrize("target", ["stm32f746", "mps2-an386"])
def test_dsp_instructions_in_qemu(target: str, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs LiteRT")
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("needs qemu-system-arm")
    from tinycompile.verify.compare import verify_build

    model = tmp_path / "gates.tflite"
    model.write_bytes(squeeze_and_excite())
    build = tinycompile.compile(model, target=target, output=tmp_path / "out")
    samples = np.random.default_rng(0).integers(-128, 128, (4, 1, 9, 11, 10)).astype(np.int8)
    outcome = verify_build(build, [samples])
    assert outcome.difference is None, outcome.difference.describe()
    np.testing.assert_array_equal(build.run(samples), build.run(samples, on="qemu"))
