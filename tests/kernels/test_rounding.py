"""Conversions of floats to integers, on every kind of float: with instructions of an FPU and on the bits."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import pytest

from tinycompile.ir import Array
from tinycompile.resources import runtime_dir

PROGRAM = """\
#include "kernels/tc_float_exact.h"

void away(const float *values, int32_t *results, int32_t count);
void away(const float *values, int32_t *results, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) {
        results[i] = tc_round_away(values[i]);
    }
}

void even(const float *values, int32_t *results, int32_t count);
void even(const float *values, int32_t *results, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) {
        results[i] = tc_round_even(values[i], -7);
    }
}
"""
LOWEST = -(2**31)


def every_kind() -> Array:
    """Each sign and exponent with random mantissas and those at their ends; halves and what is beside them."""
    rng = np.random.default_rng(0)
    ends = np.array([0, 1, 2, 0x3FFFFF, 0x400000, 0x400001, 0x7FFFFE, 0x7FFFFF], np.uint32)
    mantissas = np.concatenate([ends, rng.integers(0, 1 << 23, 400, dtype=np.uint32)])
    bits = (np.arange(512, dtype=np.uint32)[:, None] << np.uint32(23)) | mantissas
    halves = np.arange(-5000, 5001, dtype=np.float32) * np.float32(0.5)
    beside = [np.nextafter(halves, np.float32(end), dtype=np.float32) for end in (-np.inf, np.inf)]
    return np.concatenate([bits.ravel().view(np.float32), halves, *beside])


def away(values: Array) -> Array:
    """Halves away from zero; float64 holds a float32 and a half exactly."""
    with np.errstate(all="ignore"):
        wide = values.astype(np.float64)
        rounded = np.sign(wide) * np.floor(np.abs(wide) + 0.5)
        return np.where(np.abs(rounded) < 2**31, rounded, LOWEST).astype(np.int64)


def even(values: Array) -> Array:
    with np.errstate(all="ignore"):
        limited = np.clip(np.rint(values.astype(np.float64)), -(2**24), 2**24)
        beyond = np.abs(values) >= 2**23
        limited = np.where(beyond, np.sign(values) * 2**24, limited)
        return np.where(np.isnan(values), -7, limited).astype(np.int64)


@pytest.mark.parametrize("unit", [0, 1])
@pytest.mark.parametrize("flags", ["gcc -O2", "gcc -Ofast -mfma -ffp-contract=fast", "clang -O2 -ffast-math -mfma"])
def test_every_kind_of_float_is_rounded_as_defined(flags: str, unit: int, tmp_path: Path) -> None:
    (tmp_path / "round.c").write_text(PROGRAM)
    warnings = "-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror".split()
    compiled = [*flags.split(), *warnings, f"-DTC_FLOAT_UNIT={unit}", f"-I{runtime_dir()}", "-fPIC"]
    subprocess.run([*compiled, "-c", "round.c", "-o", "round.o"], cwd=tmp_path, check=True)
    subprocess.run(["gcc", "-shared", "round.o", "-o", "round.so"], cwd=tmp_path, check=True)
    ffi = cffi.FFI()
    ffi.cdef("".join(f"void {name}(const float *, int32_t *, int32_t);" for name in ("away", "even")))
    library: Any = ffi.dlopen(str(tmp_path / "round.so"))
    values = every_kind()
    for function, definition in ((library.away, away), (library.even, even)):
        results = np.zeros(values.size, np.int32)
        function(ffi.cast("const float *", values.ctypes.data), ffi.cast("int32_t *", results.ctypes.data), values.size)
        np.testing.assert_array_equal(results, definition(values))
