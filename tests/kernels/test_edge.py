"""`tc_edge.h`: exact under every compiler flag, in C and C++, over all of float32."""

from __future__ import annotations

import cffi
import numpy as np
import pytest

from tinycompile.resources import runtime_dir
from tinycompile.toolchain import run

FLAGS = {
    "gcc": ["gcc", "-x", "c", "-std=c99", "-O2"],
    "fast": ["gcc", "-x", "c", "-std=c99", "-Ofast", "-march=native"],
    "clang": ["clang", "-x", "c", "-std=c99", "-O3", "-ffast-math"],
    "c++": ["g++", "-x", "c++", "-std=c++11", "-Ofast"],
}
SOURCE = """\
#include "kernels/tc_edge.h"
#ifdef __cplusplus
extern "C"
#endif
void quantize(const float *x, int32_t *y, int32_t n, const float *scale, const int32_t *p)
{
    for (int32_t i = 0; i < n; i++) {
        y[i] = tc_edge_quantize(x[i], scale[i], p[0], p[1], p[2], p[3]);
    }
}
#ifdef __cplusplus
extern "C"
#endif
void dequantize(const int32_t *q, float *y, int32_t n, const float *scale, int32_t zero_point)
{
    for (int32_t i = 0; i < n; i++) {
        y[i] = tc_edge_dequantize(q[i], scale[i], zero_point);
    }
}
"""


@pytest.fixture(scope="module", params=list(FLAGS))
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("edge")
    (folder / "edge.c").write_text(SOURCE)
    command = [*FLAGS[request.param], "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fPIC", "-c"]
    run([*command, f"-I{runtime_dir()}", "edge.c", "-o", "edge.o"], cwd=folder)
    run(["gcc", "-shared", "edge.o", "-o", "edge.so"], cwd=folder)  # with -Ofast it would change Python's own FPU mode
    ffi = cffi.FFI()
    ffi.cdef(
        "void quantize(const float *, int32_t *, int32_t, const float *, const int32_t *);"
        "void dequantize(const int32_t *, float *, int32_t, const float *, int32_t);"
    )
    return ffi, ffi.dlopen(str(folder / "edge.so"))


def floats(rng: np.random.Generator, count: int) -> np.ndarray:
    """Of any bits, subnormal ones too."""
    return rng.integers(0, 2**32, count, dtype=np.uint64).astype(np.uint32).view(np.float32)


def scales(rng: np.random.Generator, count: int) -> np.ndarray:
    """Usual ones, and the ends of the range."""
    usual = np.float32(2.0) ** rng.integers(-20, 6, count).astype(np.float32) * rng.uniform(1, 2, count)
    found = usual.astype(np.float32)
    anything = np.abs(floats(rng, count // 8))
    anything[~np.isfinite(anything) | (anything == 0)] = np.float32(1e-45)
    found[: count // 8] = anything
    return found


def near_ties(rng: np.random.Generator, scale: np.ndarray) -> np.ndarray:
    """The floats at and around (k + 1/2) * scale."""
    ties = ((rng.integers(-140, 140, scale.size) + 0.5) * scale.astype(np.float64)).astype(np.float32)
    steps = rng.integers(-2, 3, scale.size)
    return (ties.view(np.int32) + steps.astype(np.int32)).view(np.float32)


@pytest.mark.parametrize("ties_even", [0, 1])
@pytest.mark.parametrize("p", [(3, -128, 127), (0, 0, 255), (-5, -(2**15), 2**15 - 1), (7, -(2**31), 2**31 - 1)])
def test_quantize_divides_and_rounds_as_ieee_754(library, p: tuple[int, int, int], ties_even: int) -> None:
    ffi, code = library
    rng, count = np.random.default_rng(1), 40_000
    scale = scales(rng, count)
    x = np.where(rng.random(count) < 0.7, near_ties(rng, scale), floats(rng, count)).astype(np.float32)
    x[:6] = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45]
    y = np.empty(count, np.int32)
    code.quantize(
        ffi.from_buffer("float[]", x),
        ffi.from_buffer("int32_t[]", y),
        count,
        ffi.from_buffer("float[]", scale),
        ffi.new("int32_t[4]", [*p, ties_even]),
    )
    with np.errstate(all="ignore"):
        quotient = (x / scale).astype(np.float64)  # in float32, then exact
        whole = np.rint(quotient) if ties_even else np.copysign(np.floor(np.abs(quotient) + 0.5), quotient)
        expected = np.clip(np.where(np.isnan(x), -np.inf, whole) + p[0], p[1], p[2]).astype(np.int64)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("zero_point", [0, -128, 255])
def test_dequantize_rounds_once(library, zero_point: int) -> None:
    ffi, code = library
    rng, count = np.random.default_rng(2), 40_000
    scale, q = scales(rng, count), rng.integers(-128, 256, count).astype(np.int32)
    q[: count // 4] = rng.integers(-(2**31), 2**31, count // 4)
    y = np.empty(count, np.float32)
    code.dequantize(
        ffi.from_buffer("int32_t[]", q),
        ffi.from_buffer("float[]", y),
        count,
        ffi.from_buffer("float[]", scale),
        zero_point,
    )
    steps = q.astype(np.int64) - zero_point
    with np.errstate(all="ignore"):
        exact = steps.astype(np.longdouble) * scale.astype(np.longdouble)  # 33 and 24 bits in 64
        expected = exact.astype(np.float32)
    np.testing.assert_array_equal(y.view(np.uint32), np.where(steps == 0, np.float32(0), expected).view(np.uint32))
