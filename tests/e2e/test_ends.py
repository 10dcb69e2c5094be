"""A whole model with everything at its end: float edges, filters that a converter clamped, accumulators that wrap,
weights with a zero point; and the project built under flags that users have.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.reliability.variants import at_level, sanitized
from tests.support.litert import Oracle
from tests.support.tflite_builder import SAME, TfliteBuilder
from tinycompile.build import Build
from tinycompile.emulator import execute
from tinycompile.samples import drop_batch
from tinycompile.toolchain import make

pytest.importorskip("ai_edge_litert", reason="needs LiteRT")

MAX, MIN = 2**31 - 1, -(2**31)


def network() -> bytes:
    """QUANTIZE, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, DEQUANTIZE."""
    rng, b = np.random.default_rng(4), TfliteBuilder()
    options = {"StrideH": 1, "StrideW": 1, "Padding": SAME, "DilationHFactor": 1, "DilationWFactor": 1}
    x, q = b.tensor((1, 6, 6, 3), dtype="float32"), b.tensor((1, 6, 6, 3), 0.05, -7)
    b.op("QUANTIZE", [x], [q])
    weights = rng.integers(-100, 100, (8, 3, 3, 3)).astype(np.int8)
    weights[[2, 5]] = 0
    bias = np.array([10, -300, MAX, 77, 500, MIN, 0, -9], np.int32)  # two dead filters
    a = b.tensor((1, 6, 6, 8), 0.3, 4)
    b.op("CONV_2D", [q, b.constant(weights, 0.01), b.constant(bias, 0.0005)], [a], **options)
    weights = rng.integers(-100, 100, (1, 3, 3, 8)).astype(np.int8)
    bias = np.array([MAX, MAX - 4000, MIN + 9, MIN, 5, 2**30, 0, -7], np.int32)  # these wrap
    d = b.tensor((1, 6, 6, 8), 0.2, -20)
    b.op(
        "DEPTHWISE_CONV_2D",
        [a, b.constant(weights, 0.02, axis=3), b.constant(bias, 0.006)],
        [d],
        DepthMultiplier=1,
        **options,
    )
    weights = rng.integers(-128, 128, (10, 288)).astype(np.int8)
    f = b.tensor((1, 10), 0.9, 3)
    b.op("FULLY_CONNECTED", [d, b.constant(weights, 0.01, 90), b.constant(np.arange(10, dtype=np.int32), 0.002)], [f])
    y = b.tensor((1, 10), dtype="float32")
    b.op("DEQUANTIZE", [f], [y])
    return b.build([x], [y])


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    x = np.random.default_rng(0).normal(0, 3, (4, 6, 6, 3)).astype(np.float32)
    x.ravel()[:9] = [np.inf, -np.inf, np.nan, 3e38, -3e38, 1e10, -1e10, 1e-42, 0.025]
    return x


@pytest.fixture(scope="module")
def expected(samples: np.ndarray) -> np.ndarray:
    oracle = Oracle(network())
    index = oracle.interpreter.get_output_details()[0]["index"]
    return np.concatenate([oracle.run([x[None]])[index] for x in samples])


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("ends")
    (folder / "ends.tflite").write_bytes(network())
    return tinycompile.compile(folder / "ends.tflite", target="mps2-an386", output=folder / "out")


def test_it_is_what_litert_computes(build: Build, samples: np.ndarray, expected: np.ndarray, tmp_path: Path) -> None:
    np.testing.assert_array_equal(build.run(samples), expected)
    np.testing.assert_array_equal(build.run(samples, on="qemu"), expected)
    np.testing.assert_array_equal(sanitized(build, [samples], "gcc undefined -O2", tmp_path / "work")[0], expected)


@pytest.mark.parametrize(
    "flags", ["-Ofast -std=gnu11 -ffp-contract=fast", "-O2 -ffast-math -fshort-enums -funsigned-char"]
)
def test_the_project_under_other_flags(build: Build, samples: np.ndarray, expected: np.ndarray, flags: str) -> None:
    """Given after the project's own flags, whose -std and -ffp-contract they replace."""
    makefile = build.folder / "Makefile"
    text = makefile.read_text()
    try:
        make(build.folder, "clean")
        makefile.write_text(text.replace(" -ffp-contract=off ", f" -ffp-contract=off {flags} "))
        make(build.folder, "firmware.elf")
        outputs = execute(build.elf("firmware.elf"), build.emulated, [samples], build.outputs).outputs
    finally:
        makefile.write_text(text)
    np.testing.assert_array_equal(drop_batch(outputs[0]), expected)


def test_at_o0(build: Build, samples: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(at_level(build, "-O0", [samples])[0], expected)
